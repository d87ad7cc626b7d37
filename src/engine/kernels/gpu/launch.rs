//! One launch of one kernel, as data.

use super::args::{AddNorm, Argmax, DecodeAttention, Embed, Linear, PrefillAttention, Rotate, Scores, Silu};
use super::gemm::Gemm;

/// A kernel and its arguments: addresses in device memory, sizes of the bucket, constants of the
/// model.
#[derive(Clone, Copy)]
pub(crate) enum Launch {
    Embed(Embed),
    AddNorm(AddNorm),
    Rotate(Rotate),
    DecodeAttention(DecodeAttention),
    PrefillAttention(PrefillAttention),
    Linear(Linear),
    /// No kernel of ours: the device's own library does it.
    Gemm(Gemm),
    Silu(Silu),
    Argmax(Argmax),
    Scores(Scores),
}

// SAFETY: the pointers are addresses of the device; nobody follows them here.
unsafe impl Send for Launch {}

impl Launch {
    /// The kernel's name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Embed(_) => "embed",
            Self::AddNorm(_) => "add_norm",
            Self::Rotate(_) => "rotate",
            Self::DecodeAttention(_) => "decode_attention",
            Self::PrefillAttention(_) => "prefill_attention",
            Self::Linear(_) => "linear",
            Self::Gemm(_) => "gemm",
            Self::Silu(_) => "silu",
            Self::Argmax(_) => "argmax",
            Self::Scores(_) => "scores",
        }
    }
}
