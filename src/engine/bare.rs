//! A token engine without a text side, for measurements: its weights may be random.

use super::OpenError;
use super::files::open_files;
use super::kernels::{Compute, Format};
use super::local_model::{TABLE, check_leftover};
use super::memory;
use super::qwen3::{Config, Dtype, Model};
use super::source::ModelSource;
use super::token_engine::{EngineError, EngineOptions, TokenEngine};
use super::weights::RandomWeights;
use crate::base::Seed;

/// A running token engine and what it runs on.
pub struct Bare {
    /// The engine.
    pub engine: TokenEngine,
    /// What it runs; shares its weights with the engine.
    pub(super) model: Model,
    /// The model's shape.
    pub config: Config,
    /// What the matrices are kept in; `auto` means: as in the file.
    pub dtype: Dtype,
    /// Bytes of the packed matrices that a decode step has to read.
    pub weight_bytes_per_step: usize,
    /// Bytes of the keys and values of one token.
    pub kv_bytes_per_token: usize,
    /// Compute threads.
    pub threads: usize,
    /// The kernel set.
    pub kernels: &'static str,
}

impl Bare {
    /// Starts the model of `source`; with a seed, on random weights, and then only its configuration is read.
    ///
    /// # Errors
    /// The first fault found in the files or options.
    pub fn open(
        source: &ModelSource,
        random: Option<Seed>,
        dtype: Dtype,
        options: &EngineOptions,
    ) -> Result<Self, OpenError> {
        let mut files = open_files(source)?;
        let config = files.config()?;
        let compute = Compute::cpu(options.threads)?;
        let settle = |stored| dtype.settle(&config, stored, memory::free());
        let (model, dtype) = match random {
            Some(seed) => {
                let dtype = settle(Format::F32);
                (Model::load(&config, &mut RandomWeights::new(seed), dtype, &compute)?, dtype)
            }
            None => {
                let weights = files.weights()?;
                let dtype = settle(weights.stored_format(TABLE));
                let model = Model::load(&config, weights, dtype, &compute)?;
                check_leftover(weights, &config)?;
                (model, dtype)
            }
        };
        let (weight_bytes_per_step, kv_bytes_per_token) = (model.weight_bytes_per_step(), model.kv_bytes_per_token());
        let engine = TokenEngine::start(model.clone(), Vec::new(), options)?;
        let (threads, kernels) = (compute.threads(), compute.kernels().name());
        Ok(Self { engine, model, config, dtype, weight_bytes_per_step, kv_bytes_per_token, threads, kernels })
    }

    /// Starts the engine anew on the same weights, with an empty K/V pool.
    ///
    /// # Errors
    /// An option out of its range.
    pub fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        self.engine = TokenEngine::start(self.model.clone(), Vec::new(), options)?;
        Ok(())
    }
}
