//! What differs between operating systems: how a process is confined, started, watched and ended.
//!
//! On Linux a start is one `clone` whose child applies rules that were prepared before it
//! (`linux/`). Elsewhere nothing confines a process, and only unsafe execution starts any
//! (`portable.rs`).

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
mod process;

#[cfg(target_os = "linux")]
pub(crate) use linux::Confinement;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::Confinement;
pub(crate) use process::Process;

use crate::interpreter::Role;
use crate::options::Limits;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// One start of the interpreter.
pub(crate) struct Start<'a> {
    pub(crate) role: Role,
    /// The working folder; the program's is its scratch folder.
    pub(crate) folder: &'a Path,
    /// What the process has open, by number from 0.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
    pub(crate) limits: &'a Limits,
}

/// The most descriptors that a start passes on.
pub(crate) const MAX_DESCRIPTORS: usize = 5;
/// The number of descriptors that a process may have.
const OPEN_FILES: u64 = 64;
/// The stack of a process, in bytes.
#[cfg(target_os = "linux")]
const STACK_BYTES: u64 = 8 << 20;

/// Returns the limit on CPU time that the kernel itself enforces, in whole seconds: a backstop, one
/// second above what the supervisor enforces.
fn cpu_seconds(limits: &Limits) -> u64 {
    limits.cpu_ms.div_ceil(1000) + 1
}
