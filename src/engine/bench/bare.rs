//! A token engine without tokenizer and chat template, for measurements. Its weights may be random.

use crate::base::Seed;
use crate::device::{self, LoadNotice, LoadProgress, Loaded, OpenError, Resident};
use crate::executor::{Backend, DeviceError};
use crate::files::{ModelSource, open_files, read_config};
use crate::qwen3::{Config, Dtype, Model, ResolvedDtype};
use crate::token_engine::{EngineError, EngineOptions, TokenEngine};
use crate::weights::{RandomWeights, WatchedWeights};

/// A running token engine and the model that it runs.
pub struct BareEngine {
    /// The engine.
    pub engine: TokenEngine,
    /// The model, on the CPU; it shares its weights with the engine.
    pub(super) model: Option<Model>,
    /// The model's shape.
    pub config: Config,
    /// The number format of the weight matrices.
    pub resolved: ResolvedDtype,
    /// The size of all packed matrices, on the CPU.
    pub packed_bytes: Option<usize>,
    /// The process's resident memory after the model was loaded.
    pub resident: Option<Resident>,
    /// The size of the packed matrices that a decode step reads.
    pub weight_bytes_per_step: usize,
    /// The size of the keys and values of one token.
    pub kv_bytes_per_token: usize,
    /// The device's name, such as `cpu` or `cuda:0`.
    pub device: String,
    /// What computes on the device.
    pub backend: Backend,
    /// The read bandwidth of a GPU's memory in bytes per second, or why it could not be measured;
    /// `None` for the CPU, which is measured elsewhere.
    pub read_bandwidth: Option<Result<f64, DeviceError>>,
    /// The number of the host's compute threads.
    pub threads: usize,
    /// The name of the kernel set.
    pub kernels: String,
}

impl BareEngine {
    /// Starts the model of `source`. With a seed its weights are random, and only its configuration
    /// is read. `watch` is called with the progress of loading.
    ///
    /// # Errors
    /// The first fault found in the files or the options.
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
        let (backend, threads, kernels) = (placement.backend(), placement.threads(), placement.kernels());
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
            backend,
            read_bandwidth,
            threads,
            kernels,
        })
    }

    /// Starts the engine again on the same weights, without any cached prefix. Only `prefix_reuse`,
    /// `queue`, `draft_tokens` and `draft_rows` of `options` may differ from those that it was
    /// opened with.
    ///
    /// # Errors
    /// An option is out of its range, or the engine has stopped.
    pub fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        self.engine.restart(options)
    }
}
