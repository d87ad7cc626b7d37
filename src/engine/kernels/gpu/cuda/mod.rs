//! The CUDA kernels of `kernels/cuda/` as the Rust side sees them: the C ABI and the rules. The
//! suite runs them on a CPU under the emulation, without a GPU or CUDA, or on a device.

mod api;
mod rules;

#[cfg(all(test, unix))]
pub(in crate::engine) mod device;
#[cfg(all(test, unix))]
mod emulation;
#[cfg(all(test, unix))]
mod tests;

pub(in crate::engine) use api::Api;
#[cfg(all(test, unix))]
pub(in crate::engine) use emulation::kernels;
