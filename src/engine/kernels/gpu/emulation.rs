//! Kernels compiled by this machine's C++ compiler over the fibers of `kernels/cuda/emulated/`, and
//! loaded. Where there is no compiler, tests say that they skip, unless
//! `MASPO_REQUIRE_EMULATION=1`: then they fail. Knows neither CUDA's kernels nor Metal's.

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The orders in which threads and blocks are run: ascending, descending, mixed.
pub(crate) const ORDERS: [u32; 3] = [0, 1, 41];

/// What a library is made of.
pub(super) struct Recipe {
    /// Whose kernels, for people, such as `CUDA`.
    pub(super) kernels: &'static str,
    /// Everything that is compiled or included.
    pub(super) inputs: Vec<PathBuf>,
    pub(super) flags: Vec<String>,
    /// A file that is written before and can be included: its name and text.
    pub(super) written: Option<(&'static str, String)>,
}

/// The kernels' folders, `kernels/` being the first part of all paths.
pub(super) fn files(folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels").join(folder);
    let entries =
        fs::read_dir(folder).expect("the kernels' folder").map(|entry| entry.expect("a readable folder").path());
    let extension =
        |path: &PathBuf| path.extension().map_or(String::new(), |found| found.to_string_lossy().into_owned());
    let mut found: Vec<PathBuf> = entries.filter(|path| extensions.contains(&extension(path).as_str())).collect();
    found.sort();
    found
}

impl Recipe {
    /// The loaded library; `None`, said once, without a compiler.
    pub(super) fn load(&self) -> Option<Library> {
        match self.build() {
            Ok(library) => Some(Library::open(&library).expect("a library that can be loaded")),
            Err(reason) if std::env::var_os("MASPO_REQUIRE_EMULATION").is_some_and(|value| value == "1") => {
                panic!("the {} kernels cannot be emulated: {reason}", self.kernels)
            }
            Err(reason) => {
                eprintln!("SKIPPED: the {} kernels are not checked on this machine: {reason}", self.kernels);
                None
            }
        }
    }

    /// The library beside the test binary, named by a digest of what it is made of, so that it is
    /// compiled once per change.
    fn build(&self) -> Result<PathBuf, String> {
        let compiler = std::env::var_os("CXX").unwrap_or_else(|| OsString::from("c++"));
        let version = Command::new(&compiler).arg("--version").output();
        let version = version.map_err(|error| format!("`{}`: {error}", compiler.display()))?;
        let mut digest = blake3::Hasher::new();
        digest.update(&version.stdout).update(self.flags.concat().as_bytes());
        for path in &self.inputs {
            digest.update(&fs::read(path).expect("a readable kernel"));
        }
        if let Some((_, text)) = &self.written {
            digest.update(text.as_bytes());
        }
        let name = format!("emulated-{}-{}", self.kernels.to_lowercase(), &digest.finalize().to_hex()[..16]);
        let library = std::env::current_exe().expect("the test binary").with_file_name(format!("{name}.so"));
        if library.exists() {
            return Ok(library);
        }
        let unfinished = library.with_extension(format!("{}.so", std::process::id()));
        let mut command = Command::new(&compiler);
        command
            .args(["-std=c++17", "-O2", "-fPIC", "-shared", "-ffp-contract=off", "-Wno-unknown-pragmas"])
            .args(&self.flags);
        if let Some((name, text)) = &self.written {
            let folder = unfinished.with_extension("include");
            fs::create_dir_all(&folder)
                .and_then(|()| fs::write(folder.join(name), text))
                .expect("a folder to write to");
            command.arg("-I").arg(folder);
        }
        let compiled =
            self.inputs.iter().filter(|path| path.extension().is_some_and(|found| found == "cu" || found == "cpp"));
        let output = command.args(["-x", "c++"]).args(compiled).arg("-o").arg(&unfinished).output();
        let output = output.map_err(|error| format!("`{}`: {error}", compiler.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the {} kernels do not compile:\n{said}", self.kernels);
        let _ = fs::remove_dir_all(unfinished.with_extension("include"));
        fs::rename(&unfinished, &library).expect("the finished library");
        Ok(library)
    }
}

/// What every such library has of the fibers.
pub(super) struct Fibers {
    order: unsafe extern "C" fn(u32),
    fault: unsafe extern "C" fn() -> *const c_char,
    blocks: unsafe extern "C" fn(*mut u32),
}

impl Fibers {
    pub(super) fn of(library: &Library) -> Self {
        // SAFETY: kernels/cuda/emulated/fibers.cpp declares them so.
        unsafe {
            Self {
                order: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u32)>(
                    library.have("maspo_emulation_order"),
                ),
                fault: std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_char>(
                    library.have("maspo_emulation_fault"),
                ),
                blocks: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut u32)>(
                    library.have("maspo_emulation_blocks"),
                ),
            }
        }
    }

    /// Sets the order of threads and blocks for launches of the calling thread.
    pub(super) fn order(&self, order: u32) {
        // SAFETY: a plain number.
        unsafe { (self.order)(order) };
    }

    /// Returns how many blocks the calling thread's last launch had, along x, y and z.
    pub(super) fn blocks(&self) -> [u32; 3] {
        let mut blocks = [0; 3];
        // SAFETY: it writes three numbers.
        unsafe { (self.blocks)(blocks.as_mut_ptr()) };
        blocks
    }

    /// The fault of the calling thread's last launch.
    pub(super) fn fault(&self) -> String {
        // SAFETY: the text lives until the thread's next launch.
        unsafe { CStr::from_ptr((self.fault)()) }.to_string_lossy().into_owned()
    }
}

/// A shared library, which stays loaded for good.
pub(super) struct Library(*mut c_void);

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

    /// A function of it.
    ///
    /// # Errors
    /// A text for one that it lacks.
    pub(super) fn symbol(&self, name: &str) -> Result<*mut c_void, String> {
        let symbol = CString::new(name).map_err(|error| error.to_string())?;
        // SAFETY: the library is loaded and is never unloaded, `symbol` ends with a zero byte.
        let found = unsafe { dlsym(self.0, symbol.as_ptr()) };
        if found.is_null() { Err(format!("the library has no {name}")) } else { Ok(found) }
    }

    /// The same of a library that was made of this tree.
    pub(super) fn have(&self, name: &str) -> *mut c_void {
        self.symbol(name).expect("a library of this tree")
    }
}
