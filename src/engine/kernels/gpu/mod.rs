//! The kernels of GPUs: their arguments, launches as data, and what the host decides before it
//! launches. `cuda/` and `metal/` are the ways to the kernels of the package's `kernels/`, `suite`
//! is what both have to pass.

mod args;
mod gemm;
mod launch;
mod rules;

#[cfg(any(feature = "cuda", all(test, unix)))]
pub(crate) mod cuda;
#[cfg(any(metal, all(test, unix)))]
pub(crate) mod metal;

#[cfg(all(test, unix))]
mod emulation;
#[cfg(all(test, unix))]
pub(crate) mod suite;

pub(crate) use args::*;
pub(crate) use gemm::Gemm;
#[cfg(all(test, unix))]
pub(crate) use gemm::multiply;
pub(crate) use launch::Launch;
pub(crate) use rules::{KernelRules, LinearNeeds, Packed};
