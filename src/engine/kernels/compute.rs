//! Where and how work is computed: the device, the thread pool, the instruction set.

use super::cpu::simd::KernelSet;
use candle_core::Device;
use rayon::prelude::*;
use std::sync::Arc;

/// Work below this many multiply-adds (or elements moved) is not worth a second thread.
const WORTH_A_THREAD: usize = 64 * 1024;

/// The device, its threads and its kernel set. Clones share one thread pool; models in one process should share one.
#[derive(Clone)]
pub struct Compute {
    device: Device,
    pool: Option<Arc<rayon::ThreadPool>>,
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
    #[error("{0} compute threads were asked for; it must be between 1 and 1024")]
    Threads(usize),
    /// The operating system refused.
    #[error("the compute threads could not start: {0}")]
    Pool(#[from] rayon::ThreadPoolBuildError),
}

impl Compute {
    /// The CPU with `threads` threads (all cores when `None`) and the best kernel set that it has; the environment variable
    /// `MASPO_KERNELS` (`avx512vnni`, `amx`, `avx512`, `avx2vnni`, `avx2`, `neon`, `portable`) forces one.
    ///
    /// # Errors
    /// An unknown or unavailable kernel set in `MASPO_KERNELS`, a number of threads out of range, or threads that cannot start.
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
        if !(1..=1024).contains(&threads) {
            return Err(ComputeError::Threads(threads));
        }
        let builder =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|i| format!("maspo-compute-{i}"));
        let pool = if threads == 1 { None } else { Some(Arc::new(builder.build()?)) };
        Ok(Self { device: Device::Cpu, pool, kernels })
    }

    /// The device that holds weights and K/V.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Compute threads.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// The kernel set; part of a model's identity, since results are bitwise equal only within one.
    pub fn kernels(&self) -> KernelSet {
        self.kernels
    }

    /// Runs `work` on a thread of the pool, so that the parallel loops inside start without a hand-over.
    pub(crate) fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Calls `task` with `0..tasks`, in any order, on all threads when the whole `cost` is worth it.
    pub(super) fn parallel(&self, tasks: usize, cost: usize, task: impl Fn(usize) + Sync + Send) {
        match &self.pool {
            Some(pool) if tasks > 1 && cost >= WORTH_A_THREAD => {
                pool.install(|| (0..tasks).into_par_iter().with_max_len(1).for_each(task));
            }
            _ => (0..tasks).for_each(task),
        }
    }
}
