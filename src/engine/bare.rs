//! A token engine without a text side, for measurements: its weights may be random.

use super::OpenError;
use super::executor::DeviceError;
use super::files::open_files;
use super::memory::{self, Resident};
use super::opening::{Opening, load};
use super::place::{Loaded, Place};
use super::qwen3::{Config, Dtype, Model, Settled};
use super::source::ModelSource;
use super::token_engine::{EngineError, EngineOptions, TokenEngine};
use super::weights::{RandomWeights, WatchedWeights};
use crate::base::Seed;

/// A running token engine and what it runs on.
pub struct Bare {
    /// The engine.
    pub engine: TokenEngine,
    /// What it runs, on the CPU; shares its weights with the engine.
    pub(super) model: Option<Model>,
    /// The model's shape.
    pub config: Config,
    /// What the matrices are kept in.
    pub settled: Settled,
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
    /// Bytes per second that a GPU reads from its memory, or why that could not be measured; `None` of the CPU, which others measure.
    pub read_bandwidth: Option<Result<f64, DeviceError>>,
    /// Compute threads of the host.
    pub threads: usize,
    /// The kernel set.
    pub kernels: String,
}

impl Bare {
    /// Starts the model of `source`; with a seed, on random weights, and then only its configuration is read. `watch` hears how far it is.
    ///
    /// # Errors
    /// The first fault found in the files or options.
    pub fn open(
        source: &ModelSource,
        random: Option<Seed>,
        dtype: Dtype,
        options: &EngineOptions,
        watch: &mut dyn FnMut(Opening),
    ) -> Result<Self, OpenError> {
        let mut files = open_files(source)?;
        let config = files.config()?;
        let mut place = Place::choose(options, None)?;
        let (device, read_bandwidth) = (place.device(), place.bandwidth());
        let (threads, kernels) = (place.threads(), place.kernels());
        let (loaded, settled) = match random {
            Some(seed) => {
                let mut weights = RandomWeights::new(seed);
                let settled = place.settle(dtype, &config, &weights)?;
                watch(Opening::Settled(settled));
                let all = config.parameters() as u64;
                let mut tell = |done| watch(Opening::Loaded { done, all });
                let mut weights = WatchedWeights::new(&mut weights, &mut tell);
                (place.load(&config, &mut weights, settled.dtype, options)?, settled)
            }
            None => {
                let weights = files.weights()?;
                let settled = place.settle(dtype, &config, weights)?;
                (load(place, &config, weights, settled, options, None, watch)?, settled)
            }
        };
        let Loaded { executor, blocks, model, packed_bytes, weight_bytes_per_step, kv_bytes_per_token } = loaded;
        let resident = memory::resident();
        let engine = TokenEngine::start_on(executor, &config, Vec::new(), options, blocks)?;
        Ok(Self {
            engine,
            model,
            config,
            settled,
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

    /// Starts the engine anew on the same weights, with nothing known of earlier prompts; `options` are those it was opened with but for
    /// `prefix_reuse`, `queue`, `draft_tokens` and `draft_rows`.
    ///
    /// # Errors
    /// An option out of its range, or an engine that has stopped.
    pub fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        self.engine.restart(options)
    }
}
