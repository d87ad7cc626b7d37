//! `kernels/cuda` under the emulation, or, with `MASPO_KERNELS=device` in a build with CUDA, the
//! real ones on the first GPU: what the suite runs.

use super::api::{Api, FAULT};
use super::device;
use crate::kernels::gpu::emulation::{Fibers, Recipe, files};
use crate::kernels::gpu::suite::Kernels;
use crate::kernels::gpu::{KernelRules, Launch, Weights};
use crate::kernels::suite::Packing;
use crate::kernels::{Format, Rows};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::OnceLock;

/// The emulation beside the kernels.
pub(crate) struct Emulation {
    pub(super) fibers: Fibers,
    /// Runs a kernel with a mistake.
    pub(super) planted: unsafe extern "C" fn(u32, *const f32, *mut f32) -> c_int,
}

static EMULATION: OnceLock<Emulation> = OnceLock::new();

/// The loaded kernels; `None`, said once, without a compiler.
pub(crate) fn kernels() -> Option<&'static Api> {
    static KERNELS: OnceLock<Option<Api>> = OnceLock::new();
    if device::wanted() && !device::emulated() {
        return Some(device::kernels());
    }
    KERNELS.get_or_init(emulated).as_ref()
}

fn emulated() -> Option<Api> {
    let inputs = [files("cuda", &["cu", "h"]), files("cuda/emulated", &["cpp", "h"])].concat();
    let library = Recipe { kernels: "CUDA", inputs, flags: Vec::new(), written: None }.load()?;
    // SAFETY: emulated/planted.cpp declares it so.
    let planted = unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u32, *const f32, *mut f32) -> c_int>(
            library.have("maspo_emulation_planted"),
        )
    };
    let _ = EMULATION.set(Emulation { fibers: Fibers::of(&library), planted });
    // SAFETY: it was made of this tree, and is never unloaded.
    Some(unsafe { Api::take(|name| library.symbol(name)) }.expect("a library of this tree"))
}

/// The emulation; `None` where the kernels run on a device or cannot be compiled.
pub(crate) fn emulation() -> Option<&'static Emulation> {
    kernels().and_then(|_| EMULATION.get())
}

/// Wants success; of a device, also that the kernel has ended.
///
/// # Errors
/// What the code means, with the fault that the emulation found.
pub(super) fn succeed(api: &Api, code: c_int) -> Result<(), String> {
    if code != 0 {
        let fault =
            EMULATION.get().filter(|_| code == FAULT).map_or(String::new(), |emulation| emulation.fibers.fault());
        return Err(format!("{}: {fault}", api.meaning(code)));
    }
    if let Some(device) = device::device() {
        device.wait();
    }
    Ok(())
}

impl Kernels for Api {
    fn rules(&self) -> &dyn KernelRules {
        self
    }

    fn name(&self) -> &'static str {
        "CUDA"
    }

    fn packings(&self) -> &'static [Packing] {
        &[Packing::Of(Format::Bf16), Packing::Of(Format::Q8_0), Packing::Of(Format::Q4K), Packing::F8]
    }

    fn start(&self, launch: &Launch) -> Result<(), String> {
        // SAFETY: whoever tests gives every pointer the memory that the header asks for.
        succeed(self, unsafe { self.start(launch, ptr::null_mut()) })
    }

    fn shared_limit(&self) -> u32 {
        device::device().map_or(227 * 1024, |device| device.shared_limit())
    }

    fn order(&self, order: u32) {
        if let Some(emulation) = EMULATION.get() {
            emulation.fibers.order(order);
        }
    }

    fn pack(&self, packing: Weights, rows: &Rows, up: Option<&Rows>, to: &mut [u8], scales: &mut [f32]) {
        let up = up.map_or(ptr::null(), |up| up.bytes().as_ptr());
        // SAFETY: source and targets have the sizes that the header asks for.
        let code = unsafe {
            (self.cuda_pack)(
                packing as u32,
                rows.bytes().as_ptr().cast(),
                up.cast(),
                rows.outputs() as u32,
                rows.inputs() as u32,
                to.as_mut_ptr().cast(),
                scales.as_mut_ptr(),
            )
        };
        succeed(self, code).expect("a matrix that can be packed");
    }
}
