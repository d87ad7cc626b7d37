//! An Apple GPU behind Metal. No Mac has run this; `scripts/check-metal.sh` type-checks it on
//! Linux.
//!
//! `device` is the GPU as the executor sees it, `memory` what was allocated there, `kernels` the
//! compiled functions and how launches are encoded.

mod device;
mod kernels;
mod memory;

pub(in crate::engine) use device::MetalGpu;
