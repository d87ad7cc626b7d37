//! One launch of one kernel, as data.

use crate::engine::kernels::cuda::{AddNorm, Api, Argmax, DecodeAttention, Embed, Linear, PrefillAttention, Rotate};
use std::ffi::{CStr, c_int, c_void};

/// A kernel and its arguments: addresses in device memory, sizes of the bucket, constants of the model.
#[derive(Clone, Copy)]
pub(crate) enum Launch {
    Embed(Embed),
    AddNorm(AddNorm),
    Rotate(Rotate),
    DecodeAttention(DecodeAttention),
    PrefillAttention(PrefillAttention),
    Linear(Linear),
    Argmax(Argmax),
}

// SAFETY: the pointers are addresses of the device; nobody follows them here.
unsafe impl Send for Launch {}

impl Launch {
    /// Starts the kernel on a stream; returns a code of `maspo_cuda.h` or of CUDA.
    ///
    /// # Safety
    /// The addresses are those of memory of the sizes that `maspo_cuda.h` asks for, on the stream's device.
    pub(super) unsafe fn start(&self, api: &Api, stream: *mut c_void) -> c_int {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Embed(of) => (api.cuda_embed)(of, stream),
                Self::AddNorm(of) => (api.cuda_add_norm)(of, stream),
                Self::Rotate(of) => (api.cuda_rotate)(of, stream),
                Self::DecodeAttention(of) => (api.cuda_decode_attention)(of, stream),
                Self::PrefillAttention(of) => (api.cuda_prefill_attention)(of, stream),
                Self::Linear(of) => (api.cuda_linear)(of, stream),
                Self::Argmax(of) => (api.cuda_argmax)(of, stream),
            }
        }
    }

    /// The kernel's name.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Embed(_) => "embed",
            Self::AddNorm(_) => "add_norm",
            Self::Rotate(_) => "rotate",
            Self::DecodeAttention(_) => "decode_attention",
            Self::PrefillAttention(_) => "prefill_attention",
            Self::Linear(_) => "linear",
            Self::Argmax(_) => "argmax",
        }
    }
}

/// What a code means.
pub(super) fn meaning(api: &Api, code: c_int) -> String {
    // SAFETY: the text is a constant of the library.
    unsafe { CStr::from_ptr((api.cuda_error)(code)) }.to_string_lossy().into_owned()
}
