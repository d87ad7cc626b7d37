//! The kernels: one file per operation of the CPU. A file of this level holds the operation's signature; `cpu/` holds the
//! implementations, `reference` the plain ones that all kernels are tested against by one `suite`. `gpu/` is the way to the kernels of the
//! package's `kernels/`, which work on a device's memory and are launched by its executor.
//!
//! The shape alphabet: t tokens (rows of a step), n_q query heads, n_kv key/value heads, d head size, v vocabulary.

mod argmax;
mod attention;
#[cfg(target_arch = "x86_64")]
mod bf16_rows;
mod compute;
mod cpu;
mod embedding;
mod format;
#[cfg(any(gpu, all(test, unix)))]
pub(in crate::engine) mod gpu;
mod int8_rows;
mod kv_layout;
mod linear;
mod matrix;
mod norm;
mod panels;
mod rotary;
mod rows;
mod threads;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod tests;

pub(crate) use attention::{Attend, attention};
pub use compute::{Compute, ComputeError, THREADS};
pub use cpu::simd::KernelSet;
pub(crate) use embedding::embed;
pub use format::Format;
pub(crate) use kv_layout::{Heads, KvFormat, KvLayer, KvShape};
pub(crate) use linear::{Linear, Output, linear, linear_argmax};
pub(crate) use matrix::Matrix;
pub(crate) use norm::{rms_norm, select_rows};
pub(crate) use rotary::{Norms, Rotary, rotate_and_store};
pub use rows::Rows;
