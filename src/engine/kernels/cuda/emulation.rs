//! `kernels/cuda` compiled by this machine's C++ compiler and loaded. Where there is none, tests say that they skip, unless
//! `MASPO_REQUIRE_EMULATION=1`: then they fail.

use super::api::{Api, FAULT};
use std::ffi::{CStr, OsString, c_int};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The orders in which threads and blocks are run: ascending, descending, mixed.
pub(in crate::engine) const ORDERS: [u32; 3] = [0, 1, 41];

/// The loaded kernels; `None`, said once, without a compiler.
pub(in crate::engine) fn kernels() -> Option<&'static Api> {
    static KERNELS: OnceLock<Option<Api>> = OnceLock::new();
    let load = || match build() {
        Ok(library) => Some(Api::load(&library).expect("a library of this tree")),
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

/// The fault of the calling thread's last launch.
pub(in crate::engine) fn fault(api: &Api) -> String {
    // SAFETY: the text lives until the thread's next launch.
    unsafe { CStr::from_ptr((api.emulation_fault)()) }.to_string_lossy().into_owned()
}

/// Wants success.
pub(super) fn succeed(api: &Api, code: c_int) {
    // SAFETY: the text is a constant.
    let text = || unsafe { CStr::from_ptr((api.cuda_error)(code)) }.to_string_lossy().into_owned();
    assert!(code == 0, "{}: {}", text(), if code == FAULT { fault(api) } else { String::new() });
}

/// What `launch` gives in every order of threads and blocks, which must be the same.
pub(super) fn in_every_order<T: PartialEq>(api: &Api, launch: impl Fn() -> T) -> T {
    let mut results = ORDERS.map(|order| {
        // SAFETY: plain numbers.
        unsafe { (api.emulation_order)(order) };
        Some(launch())
    });
    // SAFETY: as above.
    unsafe { (api.emulation_order)(ORDERS[0]) };
    assert!(results.iter().all(|result| *result == results[0]), "the order of threads or blocks changes the result");
    results[0].take().expect("the first result")
}

/// Bytes between every memory of a kernel and its guards.
const GUARD: usize = 256;
const GUARD_BYTE: u8 = 0xff;

/// Memory of a kernel: aligned, with guards on both sides, whose bytes are NaN to whoever reads them and are checked afterwards.
pub(super) struct Memory<T> {
    words: Vec<u128>,
    len: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T: Copy> Memory<T> {
    pub(super) fn of(numbers: &[T]) -> Self {
        let bytes = size_of_val(numbers);
        let mut memory = Self {
            words: vec![u128::MAX; (2 * GUARD + bytes).div_ceil(16)],
            len: numbers.len(),
            kind: std::marker::PhantomData,
        };
        // SAFETY: there is room for the numbers behind the first guard.
        unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), memory.at(), numbers.len()) };
        memory
    }

    pub(super) fn filled(len: usize, with: T) -> Self {
        Self::of(&vec![with; len])
    }

    pub(super) fn at(&mut self) -> *mut T {
        // SAFETY: the first guard is inside of the memory.
        unsafe { self.words.as_mut_ptr().byte_add(GUARD).cast() }
    }

    pub(super) fn get(&self) -> Vec<T> {
        // SAFETY: as `of` has laid it out; kernels write numbers of the type.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().byte_add(GUARD).cast::<T>(), self.len) }.to_vec()
    }
}

impl<T> Drop for Memory<T> {
    fn drop(&mut self) {
        // SAFETY: u128 has no invalid bytes.
        let bytes = unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast::<u8>(), self.words.len() * 16) };
        let end = GUARD + self.len * size_of::<T>();
        let whole = bytes[..GUARD].iter().chain(&bytes[end..]).all(|&byte| byte == GUARD_BYTE);
        assert!(whole || std::thread::panicking(), "a kernel wrote outside of its memory");
    }
}
