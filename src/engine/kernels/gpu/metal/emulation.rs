//! `kernels/metal` under the emulation: the very text that a Mac compiles, with the geometry that a
//! Mac is given.

use super::{Dispatch, MetalRules, arguments, source};
use crate::engine::kernels::gpu::emulation::{Fibers, Library, Recipe, files};
use crate::engine::kernels::gpu::suite::Kernels;
use crate::engine::kernels::gpu::{KernelRules, Launch, Packed, Weights};
use crate::engine::kernels::suite::Packing;
use crate::engine::kernels::{Format, Rows};
use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::OnceLock;

type Run = unsafe extern "C" fn(*const c_char, *const c_void, *const u32, u32, u32) -> c_int;

/// The loaded kernels.
pub(in crate::engine) struct EmulatedMetal {
    fibers: Fibers,
    run: Run,
    struct_bytes: unsafe extern "C" fn(u32) -> usize,
}

/// The loaded kernels; `None`, said once, without a compiler.
pub(in crate::engine) fn kernels() -> Option<&'static EmulatedMetal> {
    static KERNELS: OnceLock<Option<EmulatedMetal>> = OnceLock::new();
    let load = || {
        let inputs = [files("metal/emulated", &["cpp", ""]), files("cuda/emulated", &["h"]), fibers()].concat();
        let flags = ["-Wno-attributes", "-I", concat!(env!("CARGO_MANIFEST_DIR"), "/kernels/metal/emulated")];
        let flags = flags.map(str::to_string).to_vec();
        let written = Some(("maspo.metal", source()));
        Recipe { kernels: "Metal", inputs, flags, written }.load().map(|library| EmulatedMetal::of(&library))
    };
    KERNELS.get_or_init(load).as_ref()
}

/// The fibers without CUDA's planted mistakes.
fn fibers() -> Vec<std::path::PathBuf> {
    let mut found = files("cuda/emulated", &["cpp"]);
    found.retain(|path| path.file_stem().is_some_and(|stem| stem == "fibers"));
    found
}

impl EmulatedMetal {
    fn of(library: &Library) -> Self {
        // SAFETY: kernels/metal/emulated/run.cpp declares them so.
        unsafe {
            Self {
                fibers: Fibers::of(library),
                run: std::mem::transmute::<*mut c_void, Run>(library.have("maspo_metal_run")),
                struct_bytes: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u32) -> usize>(
                    library.have("maspo_metal_struct_bytes"),
                ),
            }
        }
    }

    /// The size of an argument struct, in the order of `maspo_cuda_struct_bytes`.
    pub(super) fn struct_bytes(&self, index: u32) -> usize {
        // SAFETY: plain numbers.
        unsafe { (self.struct_bytes)(index) }
    }

    /// Runs a kernel function.
    ///
    /// # Errors
    /// A text for a function that there is not, or for the fault that the emulation finds.
    ///
    /// # Safety
    /// `arguments` are those of the function, and their addresses those of memory of the sizes that
    /// the header asks for.
    pub(super) unsafe fn run(&self, dispatch: &Dispatch, arguments: *const c_void) -> Result<(), String> {
        let name = CString::new(dispatch.function).expect("a name without zeros");
        let grid = dispatch.threadgroups.map(|count| count as u32);
        let (threads, bytes) = (dispatch.threads as u32, dispatch.threadgroup_bytes as u32);
        // SAFETY: the caller's.
        match unsafe { (self.run)(name.as_ptr(), arguments, grid.as_ptr(), threads, bytes) } {
            0 => Ok(()),
            1 => Err("there is no such function".to_string()),
            _ => Err(self.fibers.fault()),
        }
    }
}

impl Kernels for EmulatedMetal {
    fn rules(&self) -> &dyn KernelRules {
        &MetalRules
    }

    fn name(&self) -> &'static str {
        "Metal"
    }

    fn packings(&self) -> &'static [Packing] {
        &[Packing::Of(Format::Bf16), Packing::Of(Format::Q8_0), Packing::Of(Format::Q4K)]
    }

    fn start(&self, launch: &Launch) -> Result<(), String> {
        let Some(dispatch) = Dispatch::of(launch)? else { return Ok(()) };
        // SAFETY: whoever tests gives every pointer the memory that the header asks for.
        unsafe { self.run(&dispatch, arguments(launch).0) }.map_err(|error| format!("{}: {error}", dispatch.function))
    }

    fn order(&self, order: u32) {
        self.fibers.order(order);
    }

    fn pack(&self, packing: Weights, rows: &Rows, up: Option<&Rows>, to: &mut [u8], _scales: &mut [f32]) {
        let to = Packed { bytes: to, scales: &mut [] };
        let packed = MetalRules.pack(packing, rows.outputs(), rows.inputs(), rows.bytes(), up.map(Rows::bytes), to);
        packed.expect("a matrix that can be packed");
    }
}
