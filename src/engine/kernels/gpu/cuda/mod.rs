//! The CUDA kernels of `kernels/cuda/` as the Rust side sees them: the C ABI and the rules. The
//! suite runs them on a CPU under the emulation, without a GPU or CUDA, or on a device.

mod api;
mod rules;

#[cfg(all(test, unix))]
pub(crate) mod device;
#[cfg(all(test, unix))]
mod emulation;
#[cfg(all(test, unix))]
mod tests;

pub(crate) use api::Api;
#[cfg(all(test, unix))]
pub(crate) use emulation::kernels;
