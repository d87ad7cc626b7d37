//! The suite on a real device: with `MASPO_KERNELS=device`, in a build with CUDA, memory is managed
//! by CUDA and every launch is waited for. Threads of tests take turns by `--test-threads=1`, which
//! `scripts/gpu-suite.sh` gives.

/// Whether the suite is to run on a device.
pub(in crate::kernels::gpu) fn wanted() -> bool {
    std::env::var_os("MASPO_KERNELS").is_some_and(|value| value == "device")
}

#[cfg(not(feature = "cuda"))]
pub(in crate::kernels::gpu) use absent::{free, kernels, managed, shared_limit, wait};
#[cfg(feature = "cuda")]
pub(in crate::kernels::gpu) use present::{free, kernels, managed, shared_limit, wait};

#[cfg(feature = "cuda")]
mod present {
    use super::super::Api;
    use cudarc::driver::{CudaContext, result, sys};
    use std::sync::{Arc, OnceLock};

    fn context() -> &'static Arc<CudaContext> {
        static CONTEXT: OnceLock<Arc<CudaContext>> = OnceLock::new();
        CONTEXT.get_or_init(|| CudaContext::new(0).expect("a CUDA device"))
    }

    /// The kernels that are part of the program.
    pub(in crate::kernels::gpu) fn kernels() -> &'static Api {
        static KERNELS: OnceLock<Api> = OnceLock::new();
        context().bind_to_thread().expect("a CUDA device");
        KERNELS.get_or_init(|| Api::linked().expect("kernels of this tree"))
    }

    /// Bytes of shared memory that a block of this device may have.
    pub(in crate::kernels::gpu) fn shared_limit() -> u32 {
        let most = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        context().attribute(most).expect("a CUDA device") as u32
    }

    /// Waits for all launches.
    pub(in crate::kernels::gpu) fn wait() {
        context().synchronize().expect("kernels that end well");
    }

    /// Words that host and device see.
    pub(in crate::kernels::gpu) fn managed(words: usize) -> *mut u128 {
        context().bind_to_thread().expect("a CUDA device");
        let flag = sys::CUmemAttach_flags::CU_MEM_ATTACH_GLOBAL;
        // SAFETY: freed once, by `free`.
        let pointer = unsafe { result::malloc_managed(16 * words, flag) }.expect("memory of the device");
        std::ptr::with_exposed_provenance_mut(pointer as usize)
    }

    /// Gives them back.
    pub(in crate::kernels::gpu) fn free(words: *mut u128) {
        // SAFETY: they come from `managed`, and no kernel runs any more.
        unsafe { result::free_sync(words.expose_provenance() as sys::CUdeviceptr) }.expect("memory of the device");
    }
}

#[cfg(not(feature = "cuda"))]
mod absent {
    use super::super::Api;

    const TEXT: &str = "MASPO_KERNELS=device wants a build with --features cuda";

    pub(in crate::kernels::gpu) fn kernels() -> &'static Api {
        panic!("{TEXT}")
    }

    pub(in crate::kernels::gpu) fn shared_limit() -> u32 {
        panic!("{TEXT}")
    }

    pub(in crate::kernels::gpu) fn wait() {
        panic!("{TEXT}")
    }

    pub(in crate::kernels::gpu) fn managed(_words: usize) -> *mut u128 {
        panic!("{TEXT}")
    }

    pub(in crate::kernels::gpu) fn free(_words: *mut u128) {
        panic!("{TEXT}")
    }
}
