//! The arguments of kernels, field by field as `kernels/cuda/maspo_cuda.h` has them. What the
//! fields mean is written there and only there; Metal's kernels take the same ones. Pointers are
//! addresses of a device.

use std::ffi::c_void;

/// `MASPO_NO_SLOT`.
pub(in crate::engine) const NO_SLOT: u32 = u32::MAX;

/// `MaspoType`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Type {
    F32 = 0,
    Bf16 = 1,
}

/// `MaspoFormat`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::engine) enum Weights {
    RowsBf16 = 0,
    Bf16 = 1,
    Q8_0 = 2,
    Q4K = 3,
    F8 = 4,
}

/// `MaspoEpilogue`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Epilogue {
    StoreF32 = 0,
    StoreBf16 = 1,
    AddF32 = 2,
    Gated = 3,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct Embed {
    pub(in crate::engine) table: *const c_void,
    pub(in crate::engine) row_scales: *const f32,
    pub(in crate::engine) tokens: *const u32,
    pub(in crate::engine) out: *mut c_void,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) hidden: u32,
    pub(in crate::engine) vocabulary: u32,
    pub(in crate::engine) format: Weights,
    pub(in crate::engine) out_type: Type,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct AddNorm {
    pub(in crate::engine) x: *mut f32,
    pub(in crate::engine) addend: *const c_void,
    pub(in crate::engine) weight: *const f32,
    pub(in crate::engine) out: *mut u16,
    pub(in crate::engine) pick: *const u32,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) n: u32,
    pub(in crate::engine) addend_type: Type,
    pub(in crate::engine) eps: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct Rotate {
    pub(in crate::engine) qkv: *const c_void,
    pub(in crate::engine) q_norm: *const f32,
    pub(in crate::engine) k_norm: *const f32,
    pub(in crate::engine) cos: *const f32,
    pub(in crate::engine) sin: *const f32,
    pub(in crate::engine) positions: *const u32,
    pub(in crate::engine) slots: *const u32,
    pub(in crate::engine) q: *mut u16,
    pub(in crate::engine) keys: *mut u16,
    pub(in crate::engine) values: *mut u16,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) n_q: u32,
    pub(in crate::engine) n_kv: u32,
    pub(in crate::engine) d: u32,
    pub(in crate::engine) block_tokens: u32,
    pub(in crate::engine) qkv_type: Type,
    pub(in crate::engine) eps: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct DecodeAttention {
    pub(in crate::engine) q: *const u16,
    pub(in crate::engine) keys: *const u16,
    pub(in crate::engine) values: *const u16,
    pub(in crate::engine) lengths: *const u32,
    pub(in crate::engine) table_starts: *const u32,
    pub(in crate::engine) tables: *const u32,
    pub(in crate::engine) out: *mut u16,
    pub(in crate::engine) workspace: *mut c_void,
    pub(in crate::engine) counters: *mut u32,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) n_q: u32,
    pub(in crate::engine) n_kv: u32,
    pub(in crate::engine) d: u32,
    pub(in crate::engine) block_tokens: u32,
    pub(in crate::engine) max_length: u32,
    pub(in crate::engine) spread: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct Tile {
    pub(in crate::engine) first_row: u32,
    pub(in crate::engine) tokens: u32,
    pub(in crate::engine) position: u32,
    pub(in crate::engine) table_start: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct PrefillAttention {
    pub(in crate::engine) q: *const u16,
    pub(in crate::engine) keys: *const u16,
    pub(in crate::engine) values: *const u16,
    pub(in crate::engine) tiles: *const Tile,
    pub(in crate::engine) tables: *const u32,
    pub(in crate::engine) out: *mut u16,
    pub(in crate::engine) tile_count: u32,
    pub(in crate::engine) n_q: u32,
    pub(in crate::engine) n_kv: u32,
    pub(in crate::engine) d: u32,
    pub(in crate::engine) block_tokens: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct Silu {
    pub(in crate::engine) gate_up: *const c_void,
    pub(in crate::engine) out: *mut u16,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) n: u32,
    pub(in crate::engine) r#type: Type,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct Argmax {
    pub(in crate::engine) logits: *const f32,
    pub(in crate::engine) tokens: *mut u32,
    pub(in crate::engine) largest: *mut f32,
    pub(in crate::engine) workspace: *mut c_void,
    pub(in crate::engine) counters: *mut u32,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) vocabulary: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(in crate::engine) struct Linear {
    pub(in crate::engine) x: *const u16,
    pub(in crate::engine) weights: *const c_void,
    pub(in crate::engine) row_scales: *const f32,
    pub(in crate::engine) bias: *const f32,
    pub(in crate::engine) y: *mut c_void,
    pub(in crate::engine) workspace: *mut c_void,
    pub(in crate::engine) counters: *mut u32,
    pub(in crate::engine) rows: u32,
    pub(in crate::engine) inputs: u32,
    pub(in crate::engine) outputs: u32,
    pub(in crate::engine) x_stride: u32,
    pub(in crate::engine) y_stride: u32,
    pub(in crate::engine) format: Weights,
    pub(in crate::engine) epilogue: Epilogue,
    pub(in crate::engine) splits: u32,
    pub(in crate::engine) shared_limit: u32,
}
