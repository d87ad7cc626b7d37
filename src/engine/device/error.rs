//! The reasons why a model cannot be opened.

use crate::executor::{DeviceError, OutOfMemory};
use crate::files::FilesError;
use crate::kernels::ComputeError;
use crate::text::TextError;
use crate::token_engine::EngineError;
use crate::weights::WeightsError;

/// Why a model cannot be opened. Each reason is a fault of the model's files or of the options.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files are missing, unreadable or not those of a supported model.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The weights do not fit the configuration.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The tokenizer or the chat template is invalid.
    #[error(transparent)]
    Text(#[from] TextError),
    /// An option of the engine is out of its range.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tokenizer has ids that the model's embedding table has no row for.
    #[error(
        "the tokenizer has the token id {largest}, but the model's vocabulary has {vocab_size} entries: they do not \
        belong together"
    )]
    Vocabulary {
        /// The largest id.
        largest: u32,
        /// Rows of the embedding table.
        vocab_size: usize,
    },
    /// The threads cannot be started, or the kernel set is not available.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The device is missing, or this build cannot use it.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The device has too little memory.
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
    /// The device has no kernels for the model's shape or number format.
    #[error("{0}")]
    Unsupported(String),
}
