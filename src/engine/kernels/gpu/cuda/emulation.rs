//! `kernels/cuda` compiled by this machine's C++ compiler and loaded. Where there is none, tests say that they skip, unless
//! `MASPO_REQUIRE_EMULATION=1`: then they fail. With `MASPO_KERNELS=device`, in a build with CUDA, the kernels that the suite runs
//! are the real ones, on the first GPU.

use super::api::{Api, FAULT};
use super::device;
use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The orders in which threads and blocks are run: ascending, descending, mixed.
pub(in crate::engine) const ORDERS: [u32; 3] = [0, 1, 41];

/// The loaded kernels; `None`, said once, without a compiler.
pub(in crate::engine) fn kernels() -> Option<&'static Api> {
    static KERNELS: OnceLock<Option<Api>> = OnceLock::new();
    if device::wanted() {
        return Some(device::kernels());
    }
    let load = || match build() {
        Ok(library) => {
            let library = Library::open(&library).expect("a library that can be loaded");
            let _ = EMULATION.set(Emulation::of(&library));
            // SAFETY: it was made of this tree, and is never unloaded.
            Some(unsafe { Api::take(|name| library.symbol(name)) }.expect("a library of this tree"))
        }
        Err(reason) if std::env::var_os("MASPO_REQUIRE_EMULATION").is_some_and(|value| value == "1") => {
            panic!("the CUDA kernels cannot be emulated: {reason}")
        }
        Err(reason) => {
            eprintln!("SKIPPED: the CUDA kernels are not checked on this machine: {reason}");
            None
        }
    };
    KERNELS.get_or_init(load).as_ref()
}

/// The library beside the test binary, named by a digest of what it is made of, so that it is compiled once per change.
fn build() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels/cuda");
    let mut inputs: Vec<PathBuf> = ["", "emulated"]
        .iter()
        .flat_map(|part| fs::read_dir(folder.join(part)).expect("the kernels' folder"))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|e| e == "cu" || e == "h" || e == "cpp"))
        .collect();
    inputs.sort();
    let compiler = std::env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
    let version = Command::new(&compiler).arg("--version").output();
    let version = version.map_err(|error| format!("`{}`: {error}", compiler.display()))?;
    let flags = ["-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=off", "-Wno-unknown-pragmas", "-x", "c++"];
    let mut digest = blake3::Hasher::new();
    digest.update(&version.stdout).update(flags.concat().as_bytes());
    for path in &inputs {
        digest.update(&fs::read(path).expect("a readable kernel"));
    }
    let binary = std::env::current_exe().expect("the test binary");
    let library = binary.with_file_name(format!("emulated-kernels-{}.so", &digest.finalize().to_hex()[..16]));
    if library.exists() {
        return Ok(library);
    }
    let unfinished = library.with_extension(format!("{}.so", std::process::id()));
    let sources = inputs.iter().filter(|path| path.extension().is_some_and(|e| e != "h"));
    let output = Command::new(&compiler).args(flags).args(sources).arg("-o").arg(&unfinished).output();
    let output = output.map_err(|error| format!("`{}`: {error}", compiler.display()))?;
    assert!(output.status.success(), "the kernels do not compile:\n{}", String::from_utf8_lossy(&output.stderr));
    fs::rename(&unfinished, &library).expect("the finished library");
    Ok(library)
}

/// What the emulation has beside the kernels.
pub(in crate::engine) struct Emulation {
    /// Sets the order of threads and blocks.
    pub(in crate::engine) order: unsafe extern "C" fn(u32),
    fault: unsafe extern "C" fn() -> *const c_char,
    /// Runs a kernel with a mistake.
    pub(in crate::engine) planted: unsafe extern "C" fn(u32, *const f32, *mut f32) -> c_int,
}

static EMULATION: OnceLock<Emulation> = OnceLock::new();

/// The emulation; `None` where the kernels run on a device or cannot be compiled.
pub(in crate::engine) fn emulation() -> Option<&'static Emulation> {
    kernels().and_then(|_| EMULATION.get())
}

impl Emulation {
    fn of(library: &Library) -> Self {
        let symbol = |name| library.symbol(name).expect("a library of this tree");
        // SAFETY: emulated/emulation.cpp and emulated/planted.cpp declare them so.
        unsafe {
            Self {
                order: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u32)>(symbol("maspo_emulation_order")),
                fault: std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_char>(symbol(
                    "maspo_emulation_fault",
                )),
                planted: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u32, *const f32, *mut f32) -> c_int>(
                    symbol("maspo_emulation_planted"),
                ),
            }
        }
    }
}

/// The fault of the calling thread's last launch.
pub(in crate::engine) fn fault() -> String {
    let Some(emulation) = EMULATION.get() else { return String::new() };
    // SAFETY: the text lives until the thread's next launch.
    unsafe { CStr::from_ptr((emulation.fault)()) }.to_string_lossy().into_owned()
}

/// Wants success; of a device, also that the kernel has ended.
pub(super) fn succeed(api: &Api, code: c_int) {
    assert!(code == 0, "{}: {}", api.meaning(code), if code == FAULT { fault() } else { String::new() });
    if device::wanted() {
        device::wait();
    }
}

/// What `launch` gives in every order of threads and blocks, which must be the same. A device has its own order: there it is what
/// three launches give.
pub(super) fn in_every_order<T: PartialEq>(launch: impl Fn() -> T) -> T {
    let order = |order| {
        if let Some(emulation) = EMULATION.get() {
            // SAFETY: plain numbers.
            unsafe { (emulation.order)(order) };
        }
    };
    let mut results = ORDERS.map(|number| {
        order(number);
        Some(launch())
    });
    order(ORDERS[0]);
    assert!(results.iter().all(|result| *result == results[0]), "the order of threads or blocks changes the result");
    results[0].take().expect("the first result")
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
