//! The reasons why a model cannot be opened.

use crate::executor::{DeviceError, OutOfMemory};
use crate::files::FilesError;
use crate::kernels::ComputeError;
use crate::text::TextError;
use crate::token_engine::EngineError;
use crate::weights::WeightsError;

/// Why a model cannot be opened. All of these are faults of the model's files or of what was asked
/// for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files that are missing, unreadable or not those of a supported model.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Weights that do not fit the configuration.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A chat template that is none.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Engine options.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tokenizer knows ids that the model has no row for.
    #[error(
        "the tokenizer has the token id {largest}, but the model's vocabulary has {vocab_size} entries: they do not belong together"
    )]
    Vocabulary {
        /// The largest id.
        largest: u32,
        /// Rows of the embedding table.
        vocab_size: usize,
    },
    /// Threads or instruction set.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// A device that is not there or that this build cannot use.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A device that has too little memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// A shape or format that the device has no kernels for.
    #[error("{0}")]
    Unsupported(String),
}
