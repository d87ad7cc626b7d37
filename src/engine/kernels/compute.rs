//! Where and how work is computed: the device, the thread pool, the instruction set.

use candle_core::Device;
use std::sync::Arc;

/// The device, its threads and its kernel set. Clones share one thread pool; models in one process should share one.
#[derive(Clone)]
pub struct Compute {
    device: Device,
    pool: Option<Arc<rayon::ThreadPool>>,
}

impl Compute {
    /// The CPU with `threads` threads (all cores when `None`) and the best kernel set that it has; the environment variable
    /// `MASPO_KERNELS` (`avx512`, `avx2`, `neon`, `portable`) forces one.
    ///
    /// # Errors
    /// An unknown or unavailable kernel set in `MASPO_KERNELS`, no threads, or a pool that cannot start.
    pub fn cpu(threads: Option<usize>) -> Result<Self, String> {
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|e| e.to_string())?;
        Ok(Self { device: Device::Cpu, pool: Some(Arc::new(pool)) })
    }

    /// The device that holds weights and K/V.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Compute threads.
    pub fn threads(&self) -> usize {
        self.pool.as_ref().map_or(1, |pool| pool.current_num_threads())
    }

    /// The name of the kernel set; part of a model's identity, since results are bitwise equal only within one.
    pub fn kernels(&self) -> &'static str {
        "portable"
    }
}
