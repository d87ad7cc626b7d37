//! The C ABI of `kernels/cuda/maspo_cuda.h`, field by field, and a table of its functions taken from a shared library. What the
//! fields mean is written there and only there.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;

/// `MASPO_CUDA_ABI`.
pub(in crate::engine) const ABI: u32 = 1;
/// `MASPO_NO_SLOT`.
pub(in crate::engine) const NO_SLOT: u32 = u32::MAX;
/// `MASPO_BAD_SHAPE`.
pub(in crate::engine) const BAD_SHAPE: c_int = 10001;
/// `MASPO_FAULT`.
pub(in crate::engine) const FAULT: c_int = 10003;

/// `MaspoType`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::engine) enum Type {
    F32 = 0,
    Bf16 = 1,
}

/// `MaspoFormat`.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// The sizes of the structs, in the order of `maspo_cuda_struct_bytes`.
pub(in crate::engine) const STRUCT_BYTES: [usize; 9] = [
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
        pub(in crate::engine) struct Api { $(pub(in crate::engine) $name: $type,)* }

        impl Api {
            /// Takes the functions from the shared library at `path`, which stays loaded for good.
            ///
            /// # Errors
            /// A text for a library that cannot be loaded, lacks a function or is of another version.
            pub(in crate::engine) fn load(path: &Path) -> Result<Self, String> {
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
