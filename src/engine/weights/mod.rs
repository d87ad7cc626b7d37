//! Where tensors come from: safetensors shards, checked before use, or a seeded random generator.

use candle_core::Tensor;

/// A named set of tensors.
pub trait TensorSource {
    /// The tensor of that name in f32 on the CPU, row-major, with exactly this shape.
    ///
    /// # Errors
    /// A missing tensor, another shape, or an unusable number format, each naming the tensor.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError>;

    /// Whether there is a tensor of that name.
    fn contains(&self, name: &str) -> bool;
}

/// Why weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// No tensor of that name.
    #[error("the weights lack the tensor `{0}`")]
    Missing(String),
    /// The tensor has another shape than the configuration says.
    #[error("the tensor `{name}` has the shape {found:?}; config.json calls for {expected:?}")]
    Shape {
        /// Which tensor.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// The shape that `config.json` implies.
        expected: Vec<usize>,
    },
    /// Anything that candle reports.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}
