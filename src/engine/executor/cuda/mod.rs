//! A model on a CUDA device. A step is a list of launches over memory that never moves, so that the launches of a decode step
//! can be captured once per size and replayed; what differs from step to step lies in device memory.
//!
//! `launch` has the launches as data, `gpu` what a device can do, `weights` and `buffers` its memory, `program` the launches of a
//! step, `inputs` what a step plan becomes. In tests the device is `emulated`.

mod buckets;
mod buffers;
mod executor;
mod gpu;
mod inputs;
mod launch;
mod program;
mod weights;

#[cfg(test)]
pub(crate) mod emulated;
#[cfg(test)]
mod tests;

pub(crate) use buffers::CudaOptions;
pub(crate) use executor::CudaExecutor;
