//! The arguments of kernels, field by field as `kernels/cuda/maspo_cuda.h` has them. What the
//! fields mean is written there and only there; Metal's kernels take the same ones. Pointers are
//! addresses of a device.

use std::ffi::c_void;

/// `MASPO_NO_SLOT`.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// `MASPO_MOST_TOP`.
pub(crate) const MOST_TOP: usize = 64;

/// `MASPO_NO_COLUMN`.
pub(crate) const NO_COLUMN: u32 = u32::MAX;

/// `MaspoType`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Type {
    F32 = 0,
    Bf16 = 1,
}

/// `MaspoFormat`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Weights {
    RowsBf16 = 0,
    Bf16 = 1,
    Q8_0 = 2,
    Q4K = 3,
    F8 = 4,
}

/// `MaspoEpilogue`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Epilogue {
    StoreF32 = 0,
    StoreBf16 = 1,
    AddF32 = 2,
    Gated = 3,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Embed {
    pub(crate) table: *const c_void,
    pub(crate) row_scales: *const f32,
    pub(crate) tokens: *const u32,
    pub(crate) out: *mut c_void,
    pub(crate) rows: u32,
    pub(crate) hidden: u32,
    pub(crate) vocabulary: u32,
    pub(crate) format: Weights,
    pub(crate) out_type: Type,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AddNorm {
    pub(crate) x: *mut f32,
    pub(crate) addend: *const c_void,
    pub(crate) weight: *const f32,
    pub(crate) out: *mut u16,
    pub(crate) pick: *const u32,
    pub(crate) rows: u32,
    pub(crate) n: u32,
    pub(crate) addend_type: Type,
    pub(crate) eps: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Rotate {
    pub(crate) qkv: *const c_void,
    /// Null in families without norms of heads, like `k_norm`.
    pub(crate) q_norm: *const f32,
    pub(crate) k_norm: *const f32,
    pub(crate) cos: *const f32,
    pub(crate) sin: *const f32,
    pub(crate) positions: *const u32,
    pub(crate) slots: *const u32,
    pub(crate) q: *mut u16,
    pub(crate) keys: *mut u16,
    pub(crate) values: *mut u16,
    pub(crate) rows: u32,
    pub(crate) n_q: u32,
    pub(crate) n_kv: u32,
    pub(crate) d: u32,
    pub(crate) block_tokens: u32,
    pub(crate) qkv_type: Type,
    pub(crate) eps: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct DecodeAttention {
    pub(crate) q: *const u16,
    pub(crate) keys: *const u16,
    pub(crate) values: *const u16,
    pub(crate) lengths: *const u32,
    pub(crate) table_starts: *const u32,
    pub(crate) tables: *const u32,
    pub(crate) out: *mut u16,
    pub(crate) workspace: *mut c_void,
    pub(crate) counters: *mut u32,
    pub(crate) rows: u32,
    pub(crate) n_q: u32,
    pub(crate) n_kv: u32,
    pub(crate) d: u32,
    pub(crate) block_tokens: u32,
    pub(crate) max_length: u32,
    pub(crate) spread: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) first_row: u32,
    pub(crate) tokens: u32,
    pub(crate) position: u32,
    pub(crate) table_start: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PrefillAttention {
    pub(crate) q: *const u16,
    pub(crate) keys: *const u16,
    pub(crate) values: *const u16,
    pub(crate) tiles: *const Tile,
    pub(crate) tables: *const u32,
    pub(crate) out: *mut u16,
    pub(crate) tile_count: u32,
    pub(crate) n_q: u32,
    pub(crate) n_kv: u32,
    pub(crate) d: u32,
    pub(crate) block_tokens: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Silu {
    pub(crate) gate_up: *const c_void,
    pub(crate) out: *mut u16,
    pub(crate) rows: u32,
    pub(crate) n: u32,
    pub(crate) r#type: Type,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Argmax {
    pub(crate) logits: *const f32,
    pub(crate) tokens: *mut u32,
    pub(crate) largest: *mut f32,
    pub(crate) workspace: *mut c_void,
    pub(crate) counters: *mut u32,
    pub(crate) rows: u32,
    pub(crate) vocabulary: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Scores {
    pub(crate) logits: *const f32,
    pub(crate) rows: *const u32,
    pub(crate) pick_ends: *const u32,
    pub(crate) picks: *const u32,
    pub(crate) sums: *mut f32,
    pub(crate) picked: *mut f32,
    pub(crate) top_columns: *mut u32,
    pub(crate) top_logits: *mut f32,
    pub(crate) workspace: *mut c_void,
    pub(crate) counters: *mut u32,
    pub(crate) asked: u32,
    pub(crate) top: u32,
    pub(crate) vocabulary: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) x: *const u16,
    pub(crate) weights: *const c_void,
    pub(crate) row_scales: *const f32,
    pub(crate) bias: *const f32,
    pub(crate) y: *mut c_void,
    pub(crate) workspace: *mut c_void,
    pub(crate) counters: *mut u32,
    pub(crate) rows: u32,
    pub(crate) inputs: u32,
    pub(crate) outputs: u32,
    pub(crate) x_stride: u32,
    pub(crate) y_stride: u32,
    pub(crate) format: Weights,
    pub(crate) epilogue: Epilogue,
    pub(crate) splits: u32,
    pub(crate) shared_limit: u32,
}
