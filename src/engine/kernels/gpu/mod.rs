//! The kernels of GPUs: their arguments, launches as data, and what the host decides before it launches. `cuda/` is the way to the
//! kernels of the package's `kernels/cuda/`.

mod args;
mod launch;
mod rules;

pub(in crate::engine) mod cuda;

pub(in crate::engine) use args::*;
pub(in crate::engine) use launch::Launch;
pub(in crate::engine) use rules::{KernelRules, LinearNeeds};
