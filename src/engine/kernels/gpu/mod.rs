//! The kernels of GPUs: their arguments, launches as data, and what the host decides before it
//! launches. `cuda/` and `metal/` are the ways to the kernels of the package's `kernels/`, `suite`
//! is what both have to pass.

mod args;
mod gemm;
mod launch;
mod rules;

#[cfg(any(feature = "cuda", all(test, unix)))]
pub(in crate::engine) mod cuda;
#[cfg(any(metal, all(test, unix)))]
pub(in crate::engine) mod metal;

#[cfg(all(test, unix))]
mod emulation;
#[cfg(all(test, unix))]
pub(in crate::engine) mod suite;

pub(in crate::engine) use args::*;
pub(in crate::engine) use gemm::Gemm;
#[cfg(all(test, unix))]
pub(in crate::engine) use gemm::multiply;
pub(in crate::engine) use launch::Launch;
pub(in crate::engine) use rules::{KernelRules, LinearNeeds, Packed};
