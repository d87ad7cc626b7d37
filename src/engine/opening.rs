//! What every model, with text or bare, does to get its weights onto a device: the format is settled, matrices that were converted before
//! come from the disk, and nothing may be left over. Knows no text.

use super::OpenError;
use super::kernels::Compute;
use super::place::{Loaded, Place};
use super::qwen3::{Config, Dtype, Settled};
use super::token_engine::EngineOptions;
use super::weights::{CachedWeights, Leftover, TensorSource, WatchedWeights, WeightFiles, WeightsError};
use crate::base::{Digest, Hasher};

/// What is heard while a model is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// What the weights will be kept in; nothing is loaded yet.
    Settled(Settled),
    /// So many of all weights are loaded.
    Loaded {
        /// So many.
        done: u64,
        /// All.
        all: u64,
    },
}

/// What the weights are to be kept in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// What was asked for; `auto` looks at the memory that is free.
    Asked(Dtype),
    /// What was settled when the run began: memory is not asked again, since another format gives other answers.
    Settled(Dtype),
}

impl Choice {
    /// What it comes to on `place`.
    pub(super) fn settle(
        self,
        place: &Place,
        config: &Config,
        source: &dyn TensorSource,
    ) -> Result<Settled, OpenError> {
        match self {
            Self::Asked(dtype) => place.settle(dtype, config, source),
            Self::Settled(dtype) => {
                let settled = place.settle(dtype, config, source)?;
                let as_stored = Settled { dtype, bytes: settled.stored_bytes, ..settled };
                Ok(if dtype == Dtype::Auto { as_stored } else { settled })
            }
        }
    }
}

/// How a model is opened, beside its options.
pub struct How<'a> {
    /// What its weights are kept in.
    pub dtype: Choice,
    /// The threads of another model of this process, which it then shares.
    pub compute: Option<Compute>,
    /// Hears how far it is.
    pub watch: &'a mut dyn FnMut(Opening),
}

/// Loads checked files onto `place`; `content` are the digests of the files, where they are known already.
pub(super) fn load(
    place: Place,
    config: &Config,
    weights: &mut dyn WeightFiles,
    settled: Settled,
    options: &EngineOptions,
    content: Option<&[Digest]>,
    watch: &mut dyn FnMut(Opening),
) -> Result<Loaded, OpenError> {
    watch(Opening::Settled(settled));
    let all = config.parameters() as u64;
    let mut tell = |done: u64| watch(Opening::Loaded { done, all });
    let worth_keeping = options.weight_cache && config.parameters() >= options.worth_keeping;
    let root = options.weight_folder.clone().or_else(CachedWeights::default_root).filter(|_| worth_keeping);
    let loaded = match root {
        Some(root) => {
            let digest = digest(&content.map_or_else(|| weights.digests(), <[Digest]>::to_vec));
            let mut cached = CachedWeights::new(weights, &root, digest);
            place.load(config, &mut WatchedWeights::new(&mut cached, &mut tell), settled.dtype, options)?
        }
        None => place.load(config, &mut WatchedWeights::new(weights, &mut tell), settled.dtype, options)?,
    };
    check_leftover(weights, config)?;
    Ok(loaded)
}

/// Of the contents of all files.
fn digest(files: &[Digest]) -> Digest {
    let mut hasher = Hasher::new("maspo weights");
    for file in files {
        hasher.field(&file.0);
    }
    hasher.finish()
}

/// To be called when the model is loaded: tensors that nobody asked for are a fault.
fn check_leftover(weights: &dyn WeightFiles, config: &Config) -> Result<(), WeightsError> {
    weights.check_all_used(if config.tie_word_embeddings { Leftover::TiedHead } else { Leftover::Nothing })
}
