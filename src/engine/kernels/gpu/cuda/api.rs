//! The C ABI of `kernels/cuda/maspo_cuda.h`: a table of its functions, out of the library that the
//! build has linked or out of a shared one. What they mean is written there and only there.

use crate::kernels::gpu::Launch;
use crate::kernels::gpu::args::{
    AddNorm, Argmax, DecodeAttention, Embed, Linear, PrefillAttention, Rotate, Scores, Silu, Tile,
};
use std::ffi::{c_char, c_int, c_void};

/// `MASPO_CUDA_ABI`.
pub(crate) const ABI: u32 = 2;
/// `MASPO_BAD_SHAPE`.
#[cfg(test)]
pub(crate) const BAD_SHAPE: c_int = 10001;
/// `MASPO_FAULT`.
#[cfg(test)]
pub(crate) const FAULT: c_int = 10003;

/// The sizes of the structs, in the order of `maspo_cuda_struct_bytes`.
pub(crate) const STRUCT_BYTES: [usize; 10] = [
    size_of::<Embed>(),
    size_of::<AddNorm>(),
    size_of::<Rotate>(),
    size_of::<DecodeAttention>(),
    size_of::<Tile>(),
    size_of::<PrefillAttention>(),
    size_of::<Silu>(),
    size_of::<Argmax>(),
    size_of::<Scores>(),
    size_of::<Linear>(),
];

type Launcher<A> = unsafe extern "C" fn(*const A, *mut c_void) -> c_int;

/// Declares [`Api`]: a field, the symbol that it is, its type.
macro_rules! api {
    ($($(#[$attribute:meta])* $name:ident = $symbol:ident: $type:ty,)*) => {
        /// The functions of the kernel library. They take device pointers (of the emulation: any),
        /// and launch without waiting.
        pub(crate) struct Api { $($(#[$attribute])* pub(crate) $name: $type,)* }

        impl Api {
            /// Takes every function from where `symbol` finds it.
            ///
            /// # Errors
            /// What `symbol` says, or a text for a library of another version.
            ///
            /// # Safety
            /// `symbol` gives the functions of a library that was made of these sources and stays
            /// loaded for good.
            pub(crate) unsafe fn take(
                symbol: impl Fn(&str) -> Result<*mut c_void, String>,
            ) -> Result<Self, String> {
                // SAFETY: the header declares every function with the type that is given here;
                // `check` compares the versions of both before any of them is called with a struct.
                let api = unsafe {
                    Self { $($name: std::mem::transmute::<*mut c_void, $type>(symbol(stringify!($symbol))?),)* }
                };
                api.check()?;
                Ok(api)
            }

            /// The library that is part of the program.
            ///
            /// # Errors
            /// A text for a library of another version.
            #[cfg(feature = "cuda")]
            pub(crate) fn linked() -> Result<Self, String> {
                unsafe extern "C" {
                    $(static $symbol: c_void;)*
                }
                let symbol = |name: &str| match name {
                    $(stringify!($symbol) => Ok((&raw const $symbol).cast_mut()),)*
                    other => Err(format!("the kernels have no {other}")),
                };
                // SAFETY: the build has linked this tree's sources.
                unsafe { Self::take(symbol) }
            }
        }
    };
}

api! {
    cuda_abi = maspo_cuda_abi: unsafe extern "C" fn() -> u32,
    cuda_struct_bytes = maspo_cuda_struct_bytes: unsafe extern "C" fn(u32) -> usize,
    cuda_error = maspo_cuda_error: unsafe extern "C" fn(c_int) -> *const c_char,
    cuda_embed = maspo_cuda_embed: Launcher<Embed>,
    cuda_add_norm = maspo_cuda_add_norm: Launcher<AddNorm>,
    cuda_rotate = maspo_cuda_rotate: Launcher<Rotate>,
    cuda_decode_attention = maspo_cuda_decode_attention: Launcher<DecodeAttention>,
    cuda_decode_attention_workspace_bytes = maspo_cuda_decode_attention_workspace_bytes:
        unsafe extern "C" fn(u32, u32, u32, u32) -> usize,
    cuda_decode_attention_spread = maspo_cuda_decode_attention_spread: unsafe extern "C" fn(u32, u32, u32, u32) -> u32,
    cuda_prefill_attention = maspo_cuda_prefill_attention: Launcher<PrefillAttention>,
    cuda_tile_tokens = maspo_cuda_tile_tokens: unsafe extern "C" fn(u32, u32) -> u32,
    cuda_silu = maspo_cuda_silu: Launcher<Silu>,
    cuda_argmax = maspo_cuda_argmax: Launcher<Argmax>,
    cuda_argmax_workspace_bytes = maspo_cuda_argmax_workspace_bytes: unsafe extern "C" fn(u32) -> usize,
    cuda_scores = maspo_cuda_scores: Launcher<Scores>,
    cuda_scores_workspace_bytes = maspo_cuda_scores_workspace_bytes: unsafe extern "C" fn(u32, u32) -> usize,
    cuda_linear = maspo_cuda_linear: Launcher<Linear>,
    cuda_linear_splits = maspo_cuda_linear_splits: unsafe extern "C" fn(u32, u32, u32, u32) -> u32,
    cuda_linear_workspace_bytes = maspo_cuda_linear_workspace_bytes: unsafe extern "C" fn(u32, u32, u32) -> usize,
    cuda_linear_counters = maspo_cuda_linear_counters: unsafe extern "C" fn(u32, u32, u32) -> usize,
    cuda_pack = maspo_cuda_pack:
        unsafe extern "C" fn(u32, *const c_void, *const c_void, u32, u32, *mut c_void, *mut f32) -> c_int,
    cuda_packed_bytes = maspo_cuda_packed_bytes: unsafe extern "C" fn(u32, u32, u32) -> usize,
}

impl Api {
    /// Starts a kernel on a stream; returns a code of `maspo_cuda.h` or of CUDA.
    ///
    /// # Panics
    /// A launch that is none of these kernels.
    ///
    /// # Safety
    /// The addresses are those of memory of the sizes that `maspo_cuda.h` asks for, on the stream's
    /// device.
    pub(crate) unsafe fn start(&self, launch: &Launch, stream: *mut c_void) -> c_int {
        // SAFETY: the caller's.
        unsafe {
            match launch {
                Launch::Embed(of) => (self.cuda_embed)(of, stream),
                Launch::AddNorm(of) => (self.cuda_add_norm)(of, stream),
                Launch::Rotate(of) => (self.cuda_rotate)(of, stream),
                Launch::DecodeAttention(of) => (self.cuda_decode_attention)(of, stream),
                Launch::PrefillAttention(of) => (self.cuda_prefill_attention)(of, stream),
                Launch::Linear(of) => (self.cuda_linear)(of, stream),
                Launch::Gemm(_) => unreachable!("the device's own library does it"),
                Launch::Silu(of) => (self.cuda_silu)(of, stream),
                Launch::Argmax(of) => (self.cuda_argmax)(of, stream),
                Launch::Scores(of) => (self.cuda_scores)(of, stream),
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        // SAFETY: both take and give plain numbers.
        let (abi, sizes) = unsafe {
            ((self.cuda_abi)(), std::array::from_fn::<_, 10, _>(|index| (self.cuda_struct_bytes)(index as u32)))
        };
        if abi != ABI || sizes != STRUCT_BYTES {
            return Err(format!(
                "the kernels have ABI {abi} with structs of {sizes:?} bytes, not {ABI} with {STRUCT_BYTES:?}"
            ));
        }
        Ok(())
    }
}
