//! A token engine without a text side, for measurements: its weights may be random.

use super::OpenError;
use super::files::open_files;
use super::kernels::Compute;
use super::local_model::check_leftover;
use super::qwen3::{Config, Model};
use super::source::ModelSource;
use super::token_engine::{EngineOptions, TokenEngine};
use super::weights::RandomWeights;
use crate::base::Seed;

/// A running token engine and what it runs on.
pub struct Bare {
    /// The engine.
    pub engine: TokenEngine,
    /// The model's shape.
    pub config: Config,
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
    pub fn open(source: &ModelSource, random: Option<Seed>, options: &EngineOptions) -> Result<Self, OpenError> {
        let files = open_files(source)?;
        let config = files.config()?;
        let compute = Compute::cpu(options.threads)?;
        let model = match random {
            Some(seed) => Model::load(&config, &mut RandomWeights::new(seed), &compute)?,
            None => {
                let mut weights = files.weights()?;
                let model = Model::load(&config, &mut *weights, &compute)?;
                check_leftover(&*weights, &config)?;
                model
            }
        };
        let engine = TokenEngine::start(model, Vec::new(), options)?;
        Ok(Self { engine, config, threads: compute.threads(), kernels: compute.kernels().name() })
    }
}
