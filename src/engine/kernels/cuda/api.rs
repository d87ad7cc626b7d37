//! The C ABI of `kernels/cuda/maspo_cuda.h`, field by field, and a table of its functions taken from a shared library. What the
//! fields mean is written there and only there.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;

/// `MASPO_CUDA_ABI`.
pub(super) const ABI: u32 = 1;
/// `MASPO_NO_SLOT`.
pub(super) const NO_SLOT: u32 = u32::MAX;
/// `MASPO_BAD_SHAPE`.
pub(super) const BAD_SHAPE: c_int = 10001;
/// `MASPO_FAULT`.
pub(super) const FAULT: c_int = 10003;

/// `MaspoType`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type {
    F32 = 0,
    Bf16 = 1,
}

/// `MaspoFormat`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Weights {
    RowsBf16 = 0,
    Bf16 = 1,
    Q8_0 = 2,
    Q4K = 3,
    F8 = 4,
}

/// `MaspoEpilogue`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Epilogue {
    StoreF32 = 0,
    StoreBf16 = 1,
    AddF32 = 2,
    Gated = 3,
}

#[repr(C)]
pub(super) struct Embed {
    pub(super) table: *const c_void,
    pub(super) row_scales: *const f32,
    pub(super) tokens: *const u32,
    pub(super) out: *mut c_void,
    pub(super) rows: u32,
    pub(super) hidden: u32,
    pub(super) vocabulary: u32,
    pub(super) format: Weights,
    pub(super) out_type: Type,
}

#[repr(C)]
pub(super) struct AddNorm {
    pub(super) x: *mut f32,
    pub(super) addend: *const c_void,
    pub(super) weight: *const f32,
    pub(super) out: *mut u16,
    pub(super) pick: *const u32,
    pub(super) rows: u32,
    pub(super) n: u32,
    pub(super) addend_type: Type,
    pub(super) eps: f32,
}

#[repr(C)]
pub(super) struct Rotate {
    pub(super) qkv: *const c_void,
    pub(super) q_norm: *const f32,
    pub(super) k_norm: *const f32,
    pub(super) cos: *const f32,
    pub(super) sin: *const f32,
    pub(super) positions: *const u32,
    pub(super) slots: *const u32,
    pub(super) q: *mut u16,
    pub(super) keys: *mut u16,
    pub(super) values: *mut u16,
    pub(super) rows: u32,
    pub(super) n_q: u32,
    pub(super) n_kv: u32,
    pub(super) d: u32,
    pub(super) block_tokens: u32,
    pub(super) qkv_type: Type,
    pub(super) eps: f32,
}

#[repr(C)]
pub(super) struct DecodeAttention {
    pub(super) q: *const u16,
    pub(super) keys: *const u16,
    pub(super) values: *const u16,
    pub(super) lengths: *const u32,
    pub(super) table_starts: *const u32,
    pub(super) tables: *const u32,
    pub(super) out: *mut u16,
    pub(super) workspace: *mut c_void,
    pub(super) counters: *mut u32,
    pub(super) rows: u32,
    pub(super) n_q: u32,
    pub(super) n_kv: u32,
    pub(super) d: u32,
    pub(super) block_tokens: u32,
    pub(super) max_length: u32,
    pub(super) spread: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Tile {
    pub(super) first_row: u32,
    pub(super) tokens: u32,
    pub(super) position: u32,
    pub(super) table_start: u32,
}

#[repr(C)]
pub(super) struct PrefillAttention {
    pub(super) q: *const u16,
    pub(super) keys: *const u16,
    pub(super) values: *const u16,
    pub(super) tiles: *const Tile,
    pub(super) tables: *const u32,
    pub(super) out: *mut u16,
    pub(super) tile_count: u32,
    pub(super) n_q: u32,
    pub(super) n_kv: u32,
    pub(super) d: u32,
    pub(super) block_tokens: u32,
}

#[repr(C)]
pub(super) struct Silu {
    pub(super) gate_up: *const c_void,
    pub(super) out: *mut u16,
    pub(super) rows: u32,
    pub(super) n: u32,
    pub(super) r#type: Type,
}

#[repr(C)]
pub(super) struct Argmax {
    pub(super) logits: *const f32,
    pub(super) tokens: *mut u32,
    pub(super) largest: *mut f32,
    pub(super) workspace: *mut c_void,
    pub(super) counters: *mut u32,
    pub(super) rows: u32,
    pub(super) vocabulary: u32,
}

#[repr(C)]
pub(super) struct Linear {
    pub(super) x: *const u16,
    pub(super) weights: *const c_void,
    pub(super) row_scales: *const f32,
    pub(super) bias: *const f32,
    pub(super) y: *mut c_void,
    pub(super) workspace: *mut c_void,
    pub(super) counters: *mut u32,
    pub(super) rows: u32,
    pub(super) inputs: u32,
    pub(super) outputs: u32,
    pub(super) x_stride: u32,
    pub(super) y_stride: u32,
    pub(super) format: Weights,
    pub(super) epilogue: Epilogue,
    pub(super) splits: u32,
    pub(super) shared_limit: u32,
}

/// The sizes of the structs, in the order of `maspo_cuda_struct_bytes`.
pub(super) const STRUCT_BYTES: [usize; 9] = [
    size_of::<Embed>(),
    size_of::<AddNorm>(),
    size_of::<Rotate>(),
    size_of::<DecodeAttention>(),
    size_of::<Tile>(),
    size_of::<PrefillAttention>(),
    size_of::<Silu>(),
    size_of::<Argmax>(),
    size_of::<Linear>(),
];

type Launch<A> = unsafe extern "C" fn(*const A, *mut c_void) -> c_int;

/// Declares [`Api`] and how it is loaded: every field is a function of its name behind `maspo_`.
macro_rules! api {
    ($($name:ident: $type:ty,)*) => {
        /// The functions of the kernel library. They take device pointers (of the emulation: any), and launch without waiting.
        pub(super) struct Api { $(pub(super) $name: $type,)* }

        impl Api {
            /// Takes the functions from the shared library at `path`, which stays loaded for good.
            ///
            /// # Errors
            /// A text for a library that cannot be loaded, lacks a function or is of another version.
            pub(super) fn load(path: &Path) -> Result<Self, String> {
                let library = Library::open(path)?;
                // SAFETY: the header declares every function with the type that is given here; `check` compares the versions of
                // both before any of them is called with a struct.
                let api = unsafe {
                    Self { $($name: std::mem::transmute::<*mut c_void, $type>(library.symbol(concat!("maspo_", stringify!($name)))?),)* }
                };
                api.check()?;
                Ok(api)
            }
        }
    };
}

api! {
    cuda_abi: unsafe extern "C" fn() -> u32,
    cuda_struct_bytes: unsafe extern "C" fn(u32) -> usize,
    cuda_error: unsafe extern "C" fn(c_int) -> *const c_char,
    cuda_embed: Launch<Embed>,
    cuda_add_norm: Launch<AddNorm>,
    cuda_rotate: Launch<Rotate>,
    cuda_decode_attention: Launch<DecodeAttention>,
    cuda_decode_attention_workspace_bytes: unsafe extern "C" fn(u32, u32, u32, u32) -> usize,
    cuda_decode_attention_spread: unsafe extern "C" fn(u32, u32, u32, u32) -> u32,
    cuda_prefill_attention: Launch<PrefillAttention>,
    cuda_tile_tokens: unsafe extern "C" fn(u32, u32) -> u32,
    cuda_silu: Launch<Silu>,
    cuda_argmax: Launch<Argmax>,
    cuda_argmax_workspace_bytes: unsafe extern "C" fn(u32) -> usize,
    cuda_linear: Launch<Linear>,
    cuda_linear_splits: unsafe extern "C" fn(u32, u32, u32, u32) -> u32,
    cuda_linear_workspace_bytes: unsafe extern "C" fn(u32, u32, u32) -> usize,
    cuda_linear_counters: unsafe extern "C" fn(u32, u32, u32) -> usize,
    cuda_pack: unsafe extern "C" fn(u32, *const c_void, *const c_void, u32, u32, *mut c_void, *mut f32) -> c_int,
    cuda_packed_bytes: unsafe extern "C" fn(u32, u32, u32) -> usize,
    emulation_order: unsafe extern "C" fn(u32),
    emulation_fault: unsafe extern "C" fn() -> *const c_char,
    emulation_planted: unsafe extern "C" fn(u32, *const f32, *mut f32) -> c_int,
}

impl Api {
    fn check(&self) -> Result<(), String> {
        // SAFETY: both take and give plain numbers.
        let (abi, sizes) = unsafe {
            ((self.cuda_abi)(), std::array::from_fn::<_, 9, _>(|index| (self.cuda_struct_bytes)(index as u32)))
        };
        if abi != ABI || sizes != STRUCT_BYTES {
            return Err(format!(
                "the kernels have ABI {abi} with structs of {sizes:?} bytes, not {ABI} with {STRUCT_BYTES:?}"
            ));
        }
        Ok(())
    }
}

struct Library(*mut c_void);

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

impl Library {
    fn open(path: &Path) -> Result<Self, String> {
        const NOW: c_int = 2;
        let name = CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: `name` ends with a zero byte.
        let library = unsafe { dlopen(name.as_ptr(), NOW) };
        if library.is_null() { Err(format!("cannot load {}", path.display())) } else { Ok(Self(library)) }
    }

    fn symbol(&self, name: &str) -> Result<*mut c_void, String> {
        let symbol = CString::new(name).map_err(|error| error.to_string())?;
        // SAFETY: the library is loaded and is never unloaded, `symbol` ends with a zero byte.
        let found = unsafe { dlsym(self.0, symbol.as_ptr()) };
        if found.is_null() { Err(format!("the library has no {name}")) } else { Ok(found) }
    }
}
