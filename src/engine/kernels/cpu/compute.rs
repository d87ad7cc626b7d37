//! Where and how work is computed on the CPU: the threads and the kernel set.

use super::set::KernelSet;
use super::threads::Threads;
use crate::base::Rule;
use candle_core::Device;
use std::ops::Range;
use std::sync::Arc;

/// Work of fewer multiply-adds is not worth a second thread. What else is done with a number counts
/// as several of them.
const WORTH_A_THREAD: usize = 64 * 1024;

/// The numbers of compute threads that are allowed.
pub const THREADS: Rule = Rule::Whole(1, 1024);

/// The device, its threads and its kernel set. Clones share the threads; models in one process
/// should.
#[derive(Clone)]
pub struct Compute {
    device: Device,
    /// `None`: the caller alone.
    threads: Option<Arc<Threads>>,
    kernels: KernelSet,
}

/// Why nothing can be computed as asked.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// `MASPO_KERNELS` names a set that this machine lacks.
    #[error("MASPO_KERNELS is `{asked}`, but this machine has {available}")]
    Kernels {
        /// The value of the variable.
        asked: String,
        /// The sets that there are.
        available: String,
    },
    /// The number of threads is out of range.
    #[error("{0} compute threads were asked for; it must {THREADS}")]
    Threads(usize),
    /// The operating system refused.
    #[error("the compute threads could not start: {0}")]
    Spawn(#[from] std::io::Error),
}

impl Compute {
    /// The CPU with `threads` threads (all cores when `None`) and the best kernel set that it has;
    /// the environment variable `MASPO_KERNELS` (`amx`, `avx512bf16`, `avx512vnni`, `avx512`,
    /// `avx2vnni`, `avx2`, `neon`, `portable`) forces one.
    ///
    /// # Errors
    /// An unknown or unavailable kernel set in `MASPO_KERNELS`, a number of threads out of range,
    /// or threads that cannot start.
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

    /// The CPU with a kernel set of [`KernelSet::available`].
    ///
    /// # Errors
    /// A number of threads out of range, or threads that cannot start.
    pub fn with_kernels(threads: Option<usize>, kernels: KernelSet) -> Result<Self, ComputeError> {
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        if !THREADS.allows(threads.into()) {
            return Err(ComputeError::Threads(threads));
        }
        let threads = if threads == 1 { None } else { Some(Arc::new(Threads::new(threads)?)) };
        Ok(Self { device: Device::Cpu, threads, kernels })
    }

    /// The device that holds weights and K/V.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Compute threads.
    pub fn threads(&self) -> usize {
        self.threads.as_ref().map_or(1, |threads| threads.count())
    }

    /// The kernel set; part of a model's identity, since results are bitwise equal only within one.
    pub fn kernels(&self) -> KernelSet {
        self.kernels
    }

    /// Calls `task` with `0..tasks`, in any order, on all threads when the whole `cost` is worth
    /// it.
    pub(in crate::kernels) fn parallel(&self, tasks: usize, cost: usize, task: impl Fn(usize) + Sync + Send) {
        match &self.threads {
            Some(threads) if tasks > 1 && cost >= WORTH_A_THREAD => threads.each(tasks, &task),
            _ => (0..tasks).for_each(task),
        }
    }
}

/// The `index`-th of `parts` nearly equal parts of `0..count`.
pub(in crate::kernels) fn part(count: usize, parts: usize, index: usize) -> Range<usize> {
    count * index / parts..count * (index + 1) / parts
}
