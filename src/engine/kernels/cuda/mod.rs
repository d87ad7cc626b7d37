//! The CUDA kernels of `kernels/cuda/` as the Rust side sees them: the C ABI, and the suite that runs every kernel on a CPU under
//! the emulation and compares it with the slow reference. Nothing here needs a GPU or CUDA.

mod api;

#[cfg(test)]
mod emulation;
#[cfg(test)]
mod tests;

pub(in crate::engine) use api::*;
#[cfg(test)]
pub(in crate::engine) use emulation::{fault, kernels};
