//! Where tensors come from: safetensors shards or a GGUF file, checked before use, or a seeded
//! random generator.
//!
//! A source hands out tensors in f32 and matrices in any format, whatever the file holds.
//! Nothing here knows what a tensor is for.

mod block_scales;
mod cache;
mod checkpoint;
mod error;
mod files;
mod gguf;
mod header;
mod number;
mod random;
mod watched;

pub use cache::CachedWeights;
pub use checkpoint::{Checkpoint, Leftover};
pub use error::WeightsError;
pub use files::{FileBytes, digest_bytes};
pub(crate) use gguf::first_of_parts;
pub use gguf::{GgufFile, Metadata};
pub use random::RandomWeights;
pub use watched::WatchedWeights;

use super::kernels::{Format, Rows};
use crate::base::Digest;
use candle_core::Tensor;

/// A named set of tensors.
pub trait TensorSource {
    /// Returns the tensor of that name in f32 on the CPU, row-major, with exactly this shape.
    ///
    /// # Errors
    /// A missing tensor, another shape, or an unusable number format, each naming the tensor.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError>;

    /// Returns the matrix of that name, `[outputs, inputs]`, in `format`.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    fn matrix(&mut self, name: &str, (outputs, inputs): (usize, usize), format: Format) -> Result<Rows, WeightsError> {
        let floats: Vec<f32> = self.tensor(name, &[outputs, inputs])?.flatten_all()?.to_vec1()?;
        Ok(Rows::from_floats(format, inputs, &floats))
    }

    /// Returns the format that loses nothing of that matrix as the file stores it; where no kernel
    /// reads the file's format, the next better one.
    fn stored_format(&self, _name: &str) -> Format {
        Format::F32
    }

    /// Counts a tensor of this shape as used: its content comes from elsewhere.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    fn claim(&mut self, _name: &str, _shape: &[usize]) -> Result<(), WeightsError> {
        Ok(())
    }

    /// Whether the numbers are drawn at random, so that a few rows of a matrix can stand for all of
    /// them.
    fn is_random(&self) -> bool {
        false
    }

    /// Whether there is a tensor of that name.
    fn contains(&self, name: &str) -> bool;
}

/// What is stored in formats that no kernel reads, and is therefore repacked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Repacked {
    /// The formats' names, each with the bytes in the files.
    pub formats: Vec<(&'static str, u64)>,
    /// What they become if they are kept as in the files, the finest first.
    pub kept: Vec<Format>,
}

/// Tensors that come from files.
pub trait WeightFiles: TensorSource {
    /// Returns the digests of the files' contents, in a fixed order.
    fn digests(&self) -> Vec<Digest>;

    /// Whether there is an `lm_head.weight` that differs from the embedding.
    fn has_own_head(&self) -> bool;

    /// Returns which of the tensors taken so far are stored in formats that no kernel reads.
    fn repacked(&self) -> Repacked;

    /// Returns the names of the tensors taken so far that are entirely zero, biases apart.
    fn zero_tensors(&self) -> Vec<String>;

    /// Checks that every tensor was taken. Call it after loading.
    ///
    /// # Errors
    /// Tensors that nobody took and that `leftover` does not excuse: a bias that the configuration
    /// does not know, say, without which the model would compute something else.
    fn check_all_used(&self, leftover: Leftover) -> Result<(), WeightsError>;
}
