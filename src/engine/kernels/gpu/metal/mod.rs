//! The Metal kernels of `kernels/metal/` as the Rust side sees them: their text, their rules, and
//! what each launch becomes on a device. The suite runs them on a CPU under the emulation. Knows
//! nothing of Apple's interfaces.

mod dispatch;
mod rules;
mod source;

#[cfg(all(test, unix))]
pub(in crate::engine) mod emulation;
#[cfg(all(test, unix))]
mod tests;

#[cfg(metal)]
pub(in crate::engine) use dispatch::SIMD;
pub(in crate::engine) use dispatch::{Dispatch, FUNCTIONS, arguments};
pub(in crate::engine) use rules::MetalRules;
pub(in crate::engine) use source::source;
