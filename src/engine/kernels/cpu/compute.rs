//! Where and how the CPU computes: its threads and its kernel set.

use super::set::KernelSet;
use super::threads::Threads;
use crate::base::Rule;
use candle_core::Device;
use std::ops::Range;
use std::sync::Arc;

/// The multiply-adds below which work is not worth a second thread. Costlier operations on a number
/// count as several multiply-adds.
const WORTH_A_THREAD: usize = 64 * 1024;

/// The allowed numbers of compute threads.
pub const THREADS: Rule = Rule::Whole(1, 1024);

/// The CPU's threads and kernel set. Clones share the threads, and so should all models of one
/// process.
#[derive(Clone)]
pub struct Compute {
    device: Device,
    /// `None` means the calling thread alone.
    threads: Option<Arc<Threads>>,
    kernels: KernelSet,
}

/// Why the CPU cannot compute with these options.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// `MASPO_KERNELS` names a kernel set that this machine lacks.
    #[error("MASPO_KERNELS is `{asked}`, but this machine has {available}")]
    Kernels {
        /// The value of the variable.
        asked: String,
        /// The kernel sets that this machine has.
        available: String,
    },
    /// The number of threads is out of range.
    #[error("{0} compute threads were asked for; it must {THREADS}")]
    Threads(usize),
    /// The operating system started no more threads.
    #[error("the compute threads could not start: {0}")]
    Spawn(#[from] std::io::Error),
}

impl Compute {
    /// Starts `threads` threads (all cores when `None`) with the best kernel set that the CPU has.
    /// The environment variable `MASPO_KERNELS` (`amx`, `avx512bf16`, `avx512vnni`, `avx512`,
    /// `avx2vnni`, `avx2`, `neon`, `portable`) forces one.
    ///
    /// # Errors
    /// `MASPO_KERNELS` names an unknown or unavailable kernel set, the number of threads is out of
    /// range, or threads cannot be started.
    pub fn cpu(threads: Option<usize>) -> Result<Self, ComputeError> {
        let available = KernelSet::available();
        let kernels = match std::env::var("MASPO_KERNELS") {
            Ok(asked) if !asked.is_empty() => {
                let found = available.iter().copied().find(|set| set.name() == asked);
                let names: Vec<&str> = available.iter().map(|set| set.name()).collect();
                found.ok_or_else(|| ComputeError::Kernels { asked, available: names.join(", ") })?
            }
            _ => available[0],
        };
        Self::with_kernels(threads, kernels)
    }

    /// Starts `threads` threads (all cores when `None`) with one of [`KernelSet::available`].
    ///
    /// # Errors
    /// The number of threads is out of range, or threads cannot be started.
    pub fn with_kernels(threads: Option<usize>, kernels: KernelSet) -> Result<Self, ComputeError> {
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        if !THREADS.allows(threads.into()) {
            return Err(ComputeError::Threads(threads));
        }
        let threads = if threads == 1 { None } else { Some(Arc::new(Threads::new(threads)?)) };
        Ok(Self { device: Device::Cpu, threads, kernels })
    }

    /// Returns candle's device for weights and K/V.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the number of compute threads.
    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, |threads| threads.count())
    }

    /// Returns the kernel set. It is part of a model's identity, because results are bitwise equal
    /// only within one set.
    pub fn kernels(&self) -> KernelSet {
        self.kernels
    }

    /// Calls `task` with every number of `0..tasks`, in any order. All threads take part if the
    /// whole `cost`, in multiply-adds, is worth it.
    pub(in crate::kernels) fn parallel(&self, tasks: usize, cost: usize, task: impl Fn(usize) + Sync + Send) {
        match &self.threads {
            Some(threads) if tasks > 1 && cost >= WORTH_A_THREAD => threads.each(tasks, &task),
            _ => (0..tasks).for_each(task),
        }
    }
}

/// Returns the `index`-th of `parts` nearly equal parts of `0..count`.
pub(in crate::kernels) fn part(count: usize, parts: usize, index: usize) -> Range<usize> {
    count * index / parts..count * (index + 1) / parts
}
