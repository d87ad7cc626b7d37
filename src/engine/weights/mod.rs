//! Where tensors come from: safetensors shards, checked before use, or a seeded random generator.
//!
//! Every source hands out f32 on the CPU, whatever the file holds. Nothing here knows what a tensor is for.

mod checkpoint;
mod error;
mod files;
mod header;
mod number;
mod random;

pub use checkpoint::{Checkpoint, Leftover};
pub use error::WeightsError;
pub use files::{FileBytes, digest_bytes};
pub use random::RandomWeights;

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
