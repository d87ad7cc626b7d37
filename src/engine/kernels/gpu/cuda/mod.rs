//! The CUDA kernels of `kernels/cuda/` as the Rust side sees them: the C ABI and the rules. The suite runs them on a CPU under the
//! emulation, without a GPU or CUDA, or on a device.

mod api;
mod rules;

#[cfg(test)]
pub(super) mod device;
#[cfg(test)]
mod emulation;
#[cfg(test)]
mod tests;

pub(in crate::engine) use api::Api;
#[cfg(test)]
pub(in crate::engine) use emulation::kernels;
