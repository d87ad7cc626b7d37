//! The kernels, in strata: `layout/` says how numbers lie in memory, `cpu/` holds the CPU's kernel
//! sets and the threads they run on, `ops/` has one operation of a forward pass per file. `gpu/`
//! describes the launches of the kernels in the repository's `kernels/` folder, which work on a
//! device's memory. `reference` holds plain implementations, and one `suite` tests all kernels
//! against them.
//!
//! The shape alphabet: t tokens (rows of a step), n_q query heads, n_kv key/value heads, d head
//! size, v vocabulary.

mod layout;

mod cpu;

mod ops;

#[cfg(any(gpu, all(test, unix)))]
pub(crate) mod gpu;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod suite;
#[cfg(test)]
mod tests;

pub use cpu::compute::{Compute, ComputeError, THREADS};
pub(crate) use cpu::rotary::Norms;
pub use cpu::set::KernelSet;
pub use layout::{Format, Rows};
pub(crate) use layout::{Heads, KvFormat, KvLayer, KvShape, Matrix};
pub(crate) use ops::{
    Attend, Linear, Output, Rotary, attention, embed, linear, linear_argmax, rms_norm, rotary_periods,
    rotate_and_store, select_rows,
};
