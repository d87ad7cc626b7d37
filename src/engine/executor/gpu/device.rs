//! What a device can do for the executor. Everything happens in the order in which it was asked
//! for, on one stream.

use crate::executor::{DeviceError, OutOfMemory};
use crate::kernels::gpu::{KernelRules, Launch};

/// An address in device memory; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Address(pub(crate) usize);

impl Address {
    /// No memory.
    pub(super) const NONE: Self = Self(0);

    /// `bytes` further on.
    pub(super) fn plus(self, bytes: usize) -> Self {
        Self(self.0 + bytes)
    }

    /// As a kernel takes it.
    pub(super) fn get<T>(self) -> *const T {
        std::ptr::with_exposed_provenance(self.0)
    }

    /// As a kernel takes it that writes there.
    pub(super) fn get_mut<T>(self) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.0)
    }
}

/// What decides how kernels are launched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Facts {
    pub(crate) multiprocessors: u32,
    /// Bytes of shared memory that a block may have.
    pub(crate) shared_limit: u32,
}

/// A captured list of launches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Graph(pub(crate) usize);

/// A copy to the host that was started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Fetch(pub(crate) usize);

/// Copies to the host that were started and not collected.
pub(crate) const MOST_FETCHES: usize = 2;

/// Bytes of such a copy, at most: the tokens of a step, and the answers to questions about its
/// logits.
pub(crate) const MOST_FETCH_BYTES: usize = 256 << 10;

/// A device. Memory that was allocated stays until the device is dropped.
pub(crate) trait Gpu: Send {
    /// The rules of its kernels.
    fn rules(&self) -> &dyn KernelRules;

    /// What the device is.
    fn facts(&self) -> Facts;

    /// Bytes per second that the device reads from its memory, measured now.
    ///
    /// # Errors
    /// Too little memory, or a device that failed.
    fn read_bandwidth(&mut self) -> Result<f64, DeviceError>;

    /// Bytes of memory that can still be allocated.
    fn free_bytes(&self) -> usize;

    /// Memory of zeros, aligned to 256 bytes.
    ///
    /// # Errors
    /// Not enough memory.
    fn allocate(&mut self, bytes: usize) -> Result<Address, DeviceError>;

    /// Copies to device memory. `bytes` may change as soon as this returns.
    ///
    /// # Errors
    /// The device failed.
    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Copies within device memory.
    ///
    /// # Errors
    /// The device failed.
    fn copy(&mut self, from: Address, to: Address, bytes: usize) -> Result<(), DeviceError>;

    /// Starts to copy from device memory, in its turn and without waiting; at most [`MOST_FETCHES`]
    /// wait to be collected.
    ///
    /// # Errors
    /// The device failed.
    fn fetch(&mut self, from: Address, bytes: usize) -> Result<Fetch, DeviceError>;

    /// Waits for such a copy, and not for what was asked for after it.
    ///
    /// # Errors
    /// The device failed, before or during the copy.
    fn collect(&mut self, fetch: Fetch, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Copies from device memory; waits for everything that was asked for before.
    ///
    /// # Errors
    /// The device failed, now or in one of those.
    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Gets the device's own library of products ready, for [`Launch::Gemm`]; false where there is
    /// none.
    ///
    /// # Errors
    /// A library that is there and does not start.
    fn open_library(&mut self) -> Result<bool, DeviceError>;

    /// Starts kernels.
    ///
    /// # Errors
    /// A kernel that refuses its sizes, or a device that failed.
    fn launch(&mut self, launches: &[Launch]) -> Result<(), DeviceError>;

    /// Waits for everything that was asked for.
    ///
    /// # Errors
    /// The device failed in one of those.
    fn wait(&mut self) -> Result<(), DeviceError>;

    /// Captures launches without starting them.
    ///
    /// # Errors
    /// As [`launch`](Self::launch).
    fn capture(&mut self, launches: &[Launch]) -> Result<Graph, DeviceError>;

    /// Starts what was captured.
    ///
    /// # Errors
    /// The device failed.
    fn replay(&mut self, graph: Graph) -> Result<(), DeviceError>;

    /// Replays what was captured and returns the seconds that it took by the device's own clock.
    ///
    /// # Errors
    /// The device failed.
    #[cfg(test)]
    fn time(&mut self, graph: Graph) -> Result<f64, DeviceError>;
}

/// Memory for `what`, which also says what to lower where there is too little.
///
/// # Errors
/// Not enough memory.
pub(super) fn allocate(gpu: &mut dyn Gpu, what: &str, bytes: usize) -> Result<Address, OutOfMemory> {
    let free_bytes = gpu.free_bytes();
    gpu.allocate(bytes).map_err(|reason| OutOfMemory {
        reason,
        what: what.to_string(),
        wanted_bytes: bytes,
        free_bytes,
    })
}
