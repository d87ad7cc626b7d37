//! cuBLAS, for products of bf16 rows where a row's bits may depend on its company. It is looked for
//! when it is asked for: the program starts and works without it.

use super::device::Address;
use crate::engine::executor::DeviceError;
use crate::engine::kernels::gpu::{Gemm, Type};
use cudarc::cublas::sys::{
    cublasComputeType_t as ComputeType, cublasGemmAlgo_t as Algorithm, cublasHandle_t as Handle,
    cublasOperation_t as Operation, cudaDataType_t as DataType, cudaStream_t as Stream,
};
use cudarc::driver::CudaStream;
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

/// By the loader's rules; these functions are the same in all of these versions.
const NAMES: [&str; 3] = ["libcublas.so.13", "libcublas.so.12", "libcublas.so"];

/// What NVIDIA recommends for a device of 9.0; it is given once, so that products can be captured
/// and allocate nothing.
pub(super) const WORKSPACE_BYTES: usize = 32 << 20;

/// `cublasStatus_t`: a number, because later versions may have more of them than are known here.
type Status = c_int;

type GemmEx = unsafe extern "C" fn(
    Handle,
    Operation,
    Operation,
    c_int,
    c_int,
    c_int,
    *const c_void,
    *const c_void,
    DataType,
    c_int,
    *const c_void,
    DataType,
    c_int,
    *const c_void,
    *mut c_void,
    DataType,
    c_int,
    ComputeType,
    Algorithm,
) -> Status;

/// The functions of the library, which stays loaded for good.
struct Functions {
    create: unsafe extern "C" fn(*mut Handle) -> Status,
    destroy: unsafe extern "C" fn(Handle) -> Status,
    set_stream: unsafe extern "C" fn(Handle, Stream) -> Status,
    set_workspace: unsafe extern "C" fn(Handle, *mut c_void, usize) -> Status,
    gemm_ex: GemmEx,
    meaning: unsafe extern "C" fn(Status) -> *const c_char,
    property: unsafe extern "C" fn(c_int, *mut c_int) -> Status,
}

impl Functions {
    /// `None` without the library, or with one that lacks them.
    fn find() -> Option<&'static Self> {
        static FOUND: OnceLock<Option<Functions>> = OnceLock::new();
        let load = || {
            // SAFETY: NVIDIA's library does nothing harmful when it is loaded.
            let library = NAMES.iter().find_map(|name| unsafe { Library::new(*name) }.ok())?;
            let library: &'static Library = Box::leak(Box::new(library));
            // SAFETY: cublas_v2.h declares them so.
            unsafe {
                Some(Self {
                    create: *library.get(b"cublasCreate_v2").ok()?,
                    destroy: *library.get(b"cublasDestroy_v2").ok()?,
                    set_stream: *library.get(b"cublasSetStream_v2").ok()?,
                    set_workspace: *library.get(b"cublasSetWorkspace_v2").ok()?,
                    gemm_ex: *library.get(b"cublasGemmEx").ok()?,
                    meaning: *library.get(b"cublasGetStatusString").ok()?,
                    property: *library.get(b"cublasGetProperty").ok()?,
                })
            }
        };
        FOUND.get_or_init(load).as_ref()
    }

    fn succeed(&self, what: &str, status: Status) -> Result<(), DeviceError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the text is a constant of the library.
        let why = unsafe { CStr::from_ptr((self.meaning)(status)) }.to_string_lossy();
        Err(DeviceError(format!("cuBLAS {what}: {why} (without `--fast` it is not used)")))
    }
}

/// Whether the library is on this machine.
pub(in crate::engine) fn is_there() -> bool {
    Functions::find().is_some()
}

/// Such as `13.1.0`; `None` without the library. Another version may choose another arithmetic.
pub(in crate::engine) fn version() -> Option<String> {
    let functions = Functions::find()?;
    // `libraryPropertyType`: major version, minor version, patch level.
    let parts = [0, 1, 2].map(|property| {
        let mut value = 0;
        // SAFETY: there is room for a number.
        let status = unsafe { (functions.property)(property, &mut value) };
        (status == 0).then(|| value.to_string())
    });
    Some(parts.map(|part| part.unwrap_or_else(|| "?".to_string())).join("."))
}

/// A handle of the library, of one device and stream.
pub(super) struct Cublas {
    functions: &'static Functions,
    handle: Handle,
}

// SAFETY: the handle belongs to one `CudaGpu`, whose methods that use it take `&mut self`.
unsafe impl Send for Cublas {}

impl Cublas {
    /// For products on `stream`, whose context is this thread's, with [`WORKSPACE_BYTES`] at
    /// `workspace` of its device.
    ///
    /// # Errors
    /// No library, or one that does not start: too old for the device, or no memory.
    pub(super) fn open(stream: &CudaStream, workspace: Address) -> Result<Self, DeviceError> {
        let functions = Functions::find().ok_or_else(|| DeviceError(format!("cuBLAS ({}) is not there", NAMES[0])))?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: there is room for a handle.
        functions.succeed("does not start", unsafe { (functions.create)(&mut handle) })?;
        let opened = Self { functions, handle };
        // SAFETY: stream and workspace live as long as the device, which drops the handle first.
        unsafe {
            functions.succeed("takes no stream", (functions.set_stream)(handle, stream.cu_stream().cast()))?;
            let set = (functions.set_workspace)(handle, workspace.get_mut(), WORKSPACE_BYTES);
            functions.succeed("takes no workspace", set)?;
        }
        Ok(opened)
    }

    /// Starts a product.
    ///
    /// # Errors
    /// Sizes that the library refuses, or a device that failed.
    ///
    /// # Safety
    /// The addresses are those of memory of these sizes, on the stream's device.
    pub(super) unsafe fn start(&self, of: &Gemm) -> Result<(), DeviceError> {
        let sizes = of.sizes();
        let one = 1.0f32;
        let c_type = if sizes.c_type == Type::F32 { DataType::CUDA_R_32F } else { DataType::CUDA_R_16BF };
        // SAFETY: the caller's; factors are read from the host before this returns.
        let status = unsafe {
            (self.functions.gemm_ex)(
                self.handle,
                Operation::CUBLAS_OP_T,
                Operation::CUBLAS_OP_N,
                sizes.m,
                sizes.n,
                sizes.k,
                (&raw const one).cast(),
                of.weights.cast(),
                DataType::CUDA_R_16BF,
                sizes.lda,
                of.x.cast(),
                DataType::CUDA_R_16BF,
                sizes.ldb,
                (&raw const sizes.beta).cast(),
                of.y,
                c_type,
                sizes.ldc,
                ComputeType::CUBLAS_COMPUTE_32F,
                Algorithm::CUBLAS_GEMM_DEFAULT,
            )
        };
        self.functions.succeed("refuses a product", status)
    }
}

impl Drop for Cublas {
    fn drop(&mut self) {
        // SAFETY: it is destroyed once. An error has nobody to be told.
        let _ = unsafe { (self.functions.destroy)(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the library is and no GPU, it says so by a status: the functions that were found are
    /// the right ones.
    #[test]
    fn a_library_without_a_device_does_not_start() {
        let Some(functions) = Functions::find() else {
            eprintln!("SKIPPED: there is no {}", NAMES[0]);
            return;
        };
        if crate::engine::executor::gpu::cuda::count().is_ok_and(|count| count > 0) {
            eprintln!("SKIPPED: there is a device");
            return;
        }
        let mut handle = std::ptr::null_mut();
        // SAFETY: there is room for a handle.
        let error = functions.succeed("does not start", unsafe { (functions.create)(&mut handle) }).unwrap_err();
        assert!(error.0.starts_with("cuBLAS does not start: the library was not initialized"), "{error}");
    }
}
