//! Loads a model's weights onto a device. The number format is resolved, matrices that were
//! converted before come from the weight cache on disk, and no tensor may be left over.

use super::OpenError;
use super::placement::{Loaded, Placement};
use crate::base::{Digest, Hasher};
use crate::kernels::{Compute, Format};
use crate::qwen3::{Config, Dtype, ResolvedDtype};
use crate::text::Date;
use crate::token_engine::EngineOptions;
use crate::weights::{CachedWeights, Leftover, Repacked, TensorSource, WatchedWeights, WeightFiles, WeightsError};

/// The progress of opening a model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadProgress {
    /// Something about the files that a user should know.
    Noticed(LoadNotice),
    /// The number format is resolved; nothing is loaded yet.
    Resolved(ResolvedDtype),
    /// Some of the weights are loaded.
    Loaded {
        /// Weights loaded so far.
        done: u64,
        /// Weights of the whole model.
        all: u64,
    },
}

/// Something unusual about a model's files. The model runs all the same.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoadNotice {
    /// The configuration ties the head to the embedding, and the files have a different one.
    OwnHead,
    /// A LoRA adapter lies beside the weights, under this name; it is not applied.
    Adapter(&'static str),
    /// Weights in formats that no kernel reads were repacked.
    Repacked {
        /// The formats' names, each with the bytes in the files.
        formats: Vec<(&'static str, u64)>,
        /// What they are kept in, the finest first.
        kept: Vec<Format>,
        /// What all weights take in memory.
        memory_bytes: u64,
    },
    /// These tensors are entirely zero.
    ZeroTensors(Vec<String>),
}

/// The number format that is requested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DtypeRequest {
    /// The user's request; `auto` looks at the memory that is free.
    Requested(Dtype),
    /// The format that was resolved when the run began. Free memory is not looked at again, because
    /// another format gives other answers.
    Resolved(Dtype),
}

impl DtypeRequest {
    /// Resolves the request on `device`.
    pub(crate) fn resolve(
        self,
        device: &dyn Placement,
        config: &Config,
        source: &dyn TensorSource,
    ) -> Result<ResolvedDtype, OpenError> {
        match self {
            Self::Requested(dtype) => device.resolve(dtype, config, source),
            Self::Resolved(dtype) => {
                let resolved = device.resolve(dtype, config, source)?;
                let as_stored = ResolvedDtype { dtype, bytes: resolved.stored_bytes, ..resolved };
                Ok(if dtype == Dtype::Auto { as_stored } else { resolved })
            }
        }
    }
}

/// How a model is loaded, beside the engine's options.
pub struct LoadOptions<'a> {
    /// The number format of its weights.
    pub dtype: DtypeRequest,
    /// The threads of another model of this process, which it then shares.
    pub compute: Option<Compute>,
    /// The date that the chat template sees, where it uses one; today's if it is not given.
    pub date: Option<Date>,
    /// Called with the progress of loading.
    pub watch: &'a mut dyn FnMut(LoadProgress),
}

/// Loads checked files onto `device`. `content` holds the digests of the files if they are known
/// already. `watch` is called with the progress.
pub(crate) fn load(
    device: Box<dyn Placement>,
    config: &Config,
    weights: &mut dyn WeightFiles,
    resolved: ResolvedDtype,
    options: &EngineOptions,
    content: Option<&[Digest]>,
    watch: &mut dyn FnMut(LoadProgress),
) -> Result<Loaded, OpenError> {
    // Options out of range are reported before minutes of loading, and before they divide anything.
    options.check()?;
    watch(LoadProgress::Resolved(resolved));
    let all = config.parameters() as u64;
    let mut tell = |done: u64| watch(LoadProgress::Loaded { done, all });
    let worth_keeping = options.weight_cache && config.parameters() >= options.worth_keeping;
    let root = options.weight_folder.clone().or_else(CachedWeights::default_root).filter(|_| worth_keeping);
    let loaded = match root {
        Some(root) => {
            let digest = digest(&content.map_or_else(|| weights.digests(), <[Digest]>::to_vec));
            let mut cached = CachedWeights::new(weights, &root, digest);
            device.load(config, &mut WatchedWeights::new(&mut cached, &mut tell), resolved.dtype, options)?
        }
        None => device.load(config, &mut WatchedWeights::new(weights, &mut tell), resolved.dtype, options)?,
    };
    check_leftover(weights, config)?;
    let Repacked { formats, kept } = weights.repacked();
    if resolved.dtype == Dtype::Auto && !formats.is_empty() {
        watch(LoadProgress::Noticed(LoadNotice::Repacked { formats, kept, memory_bytes: resolved.bytes }));
    }
    let zero = weights.zero_tensors();
    if !zero.is_empty() {
        watch(LoadProgress::Noticed(LoadNotice::ZeroTensors(zero)));
    }
    Ok(loaded)
}

/// Returns one digest of the contents of all files.
fn digest(files: &[Digest]) -> Digest {
    let mut hasher = Hasher::new("maspo weights");
    for file in files {
        hasher.field(&file.0);
    }
    hasher.finish()
}

/// Refuses tensors that no part of the model uses. To be called after loading.
fn check_leftover(weights: &dyn WeightFiles, config: &Config) -> Result<(), WeightsError> {
    weights.check_all_used(if config.tie_word_embeddings { Leftover::TiedHead } else { Leftover::Nothing })
}
