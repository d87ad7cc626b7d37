//! Why weights cannot be used: every variant names the file or the tensor.

use crate::base::Placeholder;

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// No tensor of that name.
    #[error("the weights lack the tensor `{0}`")]
    Missing(String),
    /// The tensor has another shape than the configuration says.
    #[error("the tensor `{name}` has the shape {found:?}; the configuration calls for {expected:?}")]
    Shape {
        /// Which tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
    },
    /// A number format that cannot be read.
    #[error("{file}: the tensor `{name}` is stored as {format}; {readable} can be read")]
    Format {
        /// Which file.
        file: String,
        /// Which tensor.
        name: String,
        /// The format's name in the file.
        format: String,
        /// Those that can be read from such a file.
        readable: &'static str,
    },
    /// A safetensors, index or GGUF file that breaks its format.
    #[error("{file}: {reason}")]
    Corrupt {
        /// Which file.
        file: String,
        /// What is wrong in it.
        reason: String,
    },
    /// Something else in place of the file.
    #[error("{file} is {}, not the file itself: {}", found.name, found.hint)]
    Placeholder {
        /// Which file.
        file: String,
        /// What stands there.
        found: Placeholder,
    },
    /// A file that cannot be read.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the operating system says.
        reason: String,
    },
    /// Tensors that the configuration leaves no place for: the model would not be the one that was
    /// trained.
    #[error("the weights hold {count} tensors that the configuration has no place for, first `{first}`")]
    Unknown {
        /// The first of them by name.
        first: String,
        /// How many.
        count: usize,
    },
    /// Anything that candle reports.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
