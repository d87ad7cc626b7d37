//! The device that the suite runs on with `MASPO_KERNELS=device`: the first GPU, in a build with
//! CUDA. Its memory comes from `cuMemAlloc`, as it does when a model is loaded, so the host reaches
//! it by copies only.
//!
//! `MASPO_EMULATED_DEVICE=1` puts the emulation in the GPU's place, so that a machine without one
//! runs every test the way a machine with one does.

/// Whether the suite is to run on a device.
pub(crate) fn wanted() -> bool {
    is("MASPO_KERNELS", "device")
}

/// Whether the emulation stands in for the device.
pub(crate) fn emulated() -> bool {
    wanted() && is("MASPO_EMULATED_DEVICE", "1")
}

fn is(variable: &str, value: &str) -> bool {
    std::env::var_os(variable).is_some_and(|found| found == value)
}

/// What the suite needs of a device.
pub(in crate::kernels::gpu) trait TestDevice: Sync {
    /// Allocates so many bytes, aligned to 16 at least, and returns their address.
    fn allocate(&self, bytes: usize) -> usize;

    /// Copies to device memory.
    fn write(&self, to: usize, bytes: &[u8]);

    /// Copies from device memory, after every launch has ended.
    fn read(&self, from: usize, bytes: &mut [u8]);

    /// Gives back what `allocate` returned.
    fn free(&self, address: usize, bytes: usize);

    /// Waits for all launches.
    fn wait(&self);

    /// Returns the bytes of shared memory that a block may have.
    fn shared_limit(&self) -> u32;
}

/// Returns the device; `None` where the kernels run in the host's own memory.
pub(in crate::kernels::gpu) fn device() -> Option<&'static dyn TestDevice> {
    if !wanted() {
        None
    } else if emulated() {
        Some(&Host)
    } else {
        Some(present::device())
    }
}

pub(in crate::kernels::gpu) use present::kernels;

/// Memory of the host that is used as if it were a device's.
struct Host;

impl TestDevice for Host {
    fn allocate(&self, bytes: usize) -> usize {
        let words: *mut u128 = Box::into_raw(vec![0u128; bytes.div_ceil(16)].into_boxed_slice()).cast();
        words.expose_provenance()
    }

    fn write(&self, to: usize, bytes: &[u8]) {
        let to: *mut u8 = std::ptr::with_exposed_provenance_mut(to);
        // SAFETY: the caller's memory has room for the bytes.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn read(&self, from: usize, bytes: &mut [u8]) {
        let from: *const u8 = std::ptr::with_exposed_provenance(from);
        // SAFETY: the caller's memory has so many bytes.
        unsafe { from.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) };
    }

    fn free(&self, address: usize, bytes: usize) {
        let words: *mut u128 = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: `allocate` made it of a boxed slice of so many words.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(words, bytes.div_ceil(16))) });
    }

    fn wait(&self) {}

    fn shared_limit(&self) -> u32 {
        227 * 1024
    }
}

#[cfg(feature = "cuda")]
mod present {
    use super::super::Api;
    use super::TestDevice;
    use cudarc::driver::{CudaContext, result, sys};
    use std::sync::{Arc, OnceLock};

    /// The first GPU.
    struct Cuda(Arc<CudaContext>);

    pub(super) fn device() -> &'static dyn TestDevice {
        cuda()
    }

    fn cuda() -> &'static Cuda {
        static DEVICE: OnceLock<Cuda> = OnceLock::new();
        let device = DEVICE.get_or_init(|| Cuda(CudaContext::new(0).expect("a CUDA device")));
        device.0.bind_to_thread().expect("a CUDA device");
        device
    }

    /// The kernels that are part of the program.
    pub(in crate::kernels::gpu) fn kernels() -> &'static Api {
        static KERNELS: OnceLock<Api> = OnceLock::new();
        cuda();
        KERNELS.get_or_init(|| Api::linked().expect("kernels of this tree"))
    }

    impl TestDevice for Cuda {
        fn allocate(&self, bytes: usize) -> usize {
            // SAFETY: written before a kernel reads it, freed once, by `free`.
            unsafe { result::malloc_sync(bytes.max(1)) }.expect("memory of the device") as usize
        }

        fn write(&self, to: usize, bytes: &[u8]) {
            // SAFETY: the caller's memory has room for the bytes.
            unsafe { result::memcpy_htod_sync(to as sys::CUdeviceptr, bytes) }.expect("a copy to the device");
        }

        fn read(&self, from: usize, bytes: &mut [u8]) {
            self.wait();
            // SAFETY: the caller's memory has so many bytes.
            unsafe { result::memcpy_dtoh_sync(bytes, from as sys::CUdeviceptr) }.expect("a copy from the device");
        }

        fn free(&self, address: usize, _bytes: usize) {
            // SAFETY: it comes from `allocate`, and no kernel runs any more.
            unsafe { result::free_sync(address as sys::CUdeviceptr) }.expect("memory of the device");
        }

        fn wait(&self) {
            self.0.synchronize().expect("kernels that end well");
        }

        fn shared_limit(&self) -> u32 {
            let most = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
            self.0.attribute(most).expect("a CUDA device") as u32
        }
    }
}

#[cfg(not(feature = "cuda"))]
mod present {
    use super::super::Api;
    use super::TestDevice;

    const TEXT: &str = "MASPO_KERNELS=device wants a build with --features cuda, or MASPO_EMULATED_DEVICE=1";

    pub(super) fn device() -> &'static dyn TestDevice {
        panic!("{TEXT}")
    }

    pub(in crate::kernels::gpu) fn kernels() -> &'static Api {
        panic!("{TEXT}")
    }
}
