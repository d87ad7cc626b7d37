//! The CUDA kernels in the suite, what only they have, and that the emulation finds mistakes.

mod found;
mod own;

use super::emulation::kernels;
use crate::kernels::gpu::suite::suite;

suite!(kernels());
