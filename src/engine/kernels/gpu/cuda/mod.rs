//! The CUDA kernels of `kernels/cuda/` as the Rust side sees them: the C ABI, the rules, and the suite that compares every kernel
//! with the slow reference: on a CPU under the emulation, without a GPU or CUDA, or on a device.

mod api;
mod rules;

#[cfg(test)]
mod device;
#[cfg(test)]
mod emulation;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod tests;

pub(in crate::engine) use api::Api;
#[cfg(test)]
pub(in crate::engine) use api::{BAD_SHAPE, FAULT};
#[cfg(test)]
pub(in crate::engine) use emulation::{fault, kernels};
