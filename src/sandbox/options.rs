//! What a caller can choose: the interpreter, the scratch folders' place, and the limits of a run.

use std::path::PathBuf;

/// How to set up a sandbox. The default finds `python3` and refuses what it cannot confine.
#[derive(Clone, Debug, Default)]
pub struct SandboxOptions {
    /// The Python interpreter; `python3` from the search path if none is named.
    pub python: Option<PathBuf>,
    /// Where scratch folders are made; the system's folder for temporary files if none is named.
    pub scratch: Option<PathBuf>,
    /// The number of programs judged at a time; the number of cores if none is given.
    pub workers: Option<usize>,
    /// Goes on where the system lacks parts of the sandbox. Model-written code can then do what
    /// this user can do.
    pub unsafe_exec: bool,
}

/// What one program may use. Time is CPU time first, so that a verdict does not depend on what else
/// the machine does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The CPU time of the program, and of its tests, in milliseconds each.
    pub cpu_ms: u64,
    /// The time that a program may sleep or wait, in milliseconds: wall-clock time less the time
    /// for which its processes waited for a core. Sixty times this is the end in any case.
    pub wall_ms: u64,
    /// The address space of each process, in MiB.
    pub memory_mib: u64,
    /// What the program may have written to its scratch folder, in MiB.
    pub scratch_mib: u64,
    /// The number of threads that the program may have.
    pub threads: u64,
    /// The longest output of a model that is looked at, in bytes.
    pub output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_ms: 10_000,
            wall_ms: 20_000,
            memory_mib: 1_024,
            scratch_mib: 16,
            threads: 64,
            output_bytes: 256 << 10,
        }
    }
}
