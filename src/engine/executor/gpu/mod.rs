//! A model on a GPU. A step is a list of launches over memory that never moves, so that the
//! launches of a decode step can be captured once per size and replayed; what differs from step to
//! step lies in device memory. The next step can be started before the tokens of the last one are
//! read back.
//!
//! `device` has what a GPU can do, `weights` and `buffers` its memory, `program` the launches of a
//! step, `inputs` what a step plan becomes. `cuda` is a GPU behind NVIDIA's driver and `cublas` its
//! library of products, `metal` a GPU of Apple's; in tests the device is `emulated`.

mod buckets;
mod buffers;
mod debug;
mod device;
mod executor;
mod inputs;
mod options;
mod program;
mod repeated;
mod weights;

#[cfg(feature = "cuda")]
pub(crate) mod cublas;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(metal)]
pub(crate) mod metal;

#[cfg(test)]
pub(crate) mod emulated;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timing;

pub(crate) use device::Gpu;
pub(crate) use executor::GpuExecutor;
pub(crate) use options::GpuOptions;
pub(crate) use weights::LoadError;
