//! The CPU's kernels: activations in f32, weights in f32 or fewer bits. Each kernel is written once
//! over [`simd::Simd`], and the instruction set is chosen at run time. Within one kernel set every
//! output is computed by the same operations in the same order, whatever else is in the batch and
//! however many threads there are. So results are bitwise independent of the batch.

pub(super) mod argmax;
pub(super) mod attention;
pub(super) mod compute;
pub(super) mod destination;
pub(super) mod exp;
pub(super) mod int8;
pub(super) mod int8_rows;
pub(super) mod linear;
pub(super) mod norm;
pub(super) mod rotary;
pub(super) mod set;
pub(super) mod simd;
mod strip;
mod threads;
pub(super) mod tile;

#[cfg(target_arch = "x86_64")]
pub(super) mod amx_bf16;
#[cfg(target_arch = "x86_64")]
pub(super) mod bf16_pairs;
#[cfg(target_arch = "x86_64")]
pub(super) mod bf16_rows;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod ints;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
