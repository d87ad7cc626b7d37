//! A token engine without a text side, for measurements: its weights may be random.

use crate::base::Seed;
use crate::device::{self, LoadNotice, LoadProgress, Loaded, OpenError, Resident};
use crate::executor::DeviceError;
use crate::files::{ModelSource, open_files, read_config};
use crate::qwen3::{Config, Dtype, Model, ResolvedDtype};
use crate::token_engine::{EngineError, EngineOptions, TokenEngine};
use crate::weights::{RandomWeights, WatchedWeights};

/// A running token engine and what it runs on.
pub struct BareEngine {
    /// The engine.
    pub engine: TokenEngine,
    /// What it runs, on the CPU; shares its weights with the engine.
    pub(super) model: Option<Model>,
    /// The model's shape.
    pub config: Config,
    /// What the matrices are kept in.
    pub resolved: ResolvedDtype,
    /// Bytes of all packed matrices, on the CPU.
    pub packed_bytes: Option<usize>,
    /// What the process held when the model was loaded.
    pub resident: Option<Resident>,
    /// Bytes of the packed matrices that a decode step has to read.
    pub weight_bytes_per_step: usize,
    /// Bytes of the keys and values of one token.
    pub kv_bytes_per_token: usize,
    /// Where it runs, such as `cpu` or `cuda:0`.
    pub device: String,
    /// Bytes per second that a GPU reads from its memory, or why that could not be measured; `None`
    /// of the CPU, which others measure.
    pub read_bandwidth: Option<Result<f64, DeviceError>>,
    /// Compute threads of the host.
    pub threads: usize,
    /// The kernel set.
    pub kernels: String,
}

impl BareEngine {
    /// Starts the model of `source`; with a seed, on random weights, and then only its
    /// configuration is read. `watch` hears how far it is.
    ///
    /// # Errors
    /// The first fault found in the files or options.
    pub fn open(
        source: &ModelSource,
        random: Option<Seed>,
        dtype: Dtype,
        options: &EngineOptions,
        watch: &mut dyn FnMut(LoadProgress),
    ) -> Result<Self, OpenError> {
        let mut files = open_files(source)?;
        let (config, has_own_head) = match random {
            Some(_) => (files.config()?, false),
            None => read_config(&mut *files)?,
        };
        if has_own_head {
            watch(LoadProgress::Noticed(LoadNotice::OwnHead));
        }
        let mut placement = device::choose(options, None)?;
        let (device, read_bandwidth) = (placement.name(), placement.bandwidth());
        let (threads, kernels) = (placement.threads(), placement.kernels());
        let (loaded, resolved) = match random {
            Some(seed) => {
                options.check()?;
                let mut weights = RandomWeights::new(seed);
                let resolved = placement.resolve(dtype, &config, &weights)?;
                watch(LoadProgress::Resolved(resolved));
                let all = config.parameters() as u64;
                let mut tell = |done| watch(LoadProgress::Loaded { done, all });
                let mut weights = WatchedWeights::new(&mut weights, &mut tell);
                (placement.load(&config, &mut weights, resolved.dtype, options)?, resolved)
            }
            None => {
                let weights = files.weights()?;
                let resolved = placement.resolve(dtype, &config, weights)?;
                (device::load(placement, &config, weights, resolved, options, None, watch)?, resolved)
            }
        };
        let Loaded { executor, blocks, model, packed_bytes, weight_bytes_per_step, kv_bytes_per_token } = loaded;
        let resident = device::resident();
        let engine = TokenEngine::start_on(executor, &config, Vec::new(), options, blocks)?;
        Ok(Self {
            engine,
            model,
            config,
            resolved,
            packed_bytes,
            resident,
            weight_bytes_per_step,
            kv_bytes_per_token,
            device,
            read_bandwidth,
            threads,
            kernels,
        })
    }

    /// Starts the engine anew on the same weights, with nothing known of earlier prompts; `options`
    /// are those it was opened with but for `prefix_reuse`, `queue`, `draft_tokens` and
    /// `draft_rows`.
    ///
    /// # Errors
    /// An option out of its range, or an engine that has stopped.
    pub fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        self.engine.restart(options)
    }
}
