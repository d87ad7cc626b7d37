//! What can be wrong with a model's files.

use super::manifest::ManifestError;
use super::source::SourceError;
use crate::qwen3::ConfigError;
use crate::text::TextError;
use crate::weights::WeightsError;

/// Why a model's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Files that are missing or unreadable.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Files that are not those that were fetched.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A configuration that is not that of a supported model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Weights that break their format.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Tokenizer or chat template.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model must have a tokenizer, and has none.
    #[error("{model} has no {sought}")]
    NoTokenizer {
        /// The model.
        model: String,
        /// Where it was looked for.
        sought: &'static str,
    },
}
