//! A token engine without a text side, for measurements: its weights may be random.

use super::OpenError;
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
    /// Starts the model of `source`; with a seed, on random weights, and then only `config.json` is read.
    ///
    /// # Errors
    /// The first fault found in the files or options.
    pub fn open(source: &ModelSource, random: Option<Seed>, options: &EngineOptions) -> Result<Self, OpenError> {
        let config = Config::from_json(&String::from_utf8_lossy(&source.required("config.json")?))?;
        let compute = Compute::cpu(options.threads)?;
        let model = match random {
            Some(seed) => Model::load(&config, &mut RandomWeights::new(seed), &compute)?,
            None => {
                let mut checkpoint = source.checkpoint()?;
                let model = Model::load(&config, &mut checkpoint, &compute)?;
                check_leftover(&checkpoint, &config)?;
                model
            }
        };
        let engine = TokenEngine::start(model, Vec::new(), options)?;
        Ok(Self { engine, config, threads: compute.threads(), kernels: compute.kernels().name() })
    }
}
