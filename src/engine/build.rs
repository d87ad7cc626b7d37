//! Compiles `kernels/cuda/` with nvcc if the feature `cuda` is on. Sets `cfg(metal)` for the
//! feature `metal` on macOS, and `cfg(gpu)` for either.
//!
//! nvcc is `$NVCC`, or the one in `$CUDA_HOME` or `$CUDA_PATH`, or the one in `$PATH`.
//! `$MASPO_CUDA_ARCHITECTURES` names the architectures to compile for; the default is `80 86 89
//! 90`, and also `100 120` if nvcc knows them. PTX, which newer devices compile for themselves, is
//! included for the newest architecture and for all from 100 on.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHITECTURES: &str = "80 86 89 90";

/// The architectures that nvcc knows from version 12.8 on.
const NEWER: [&str; 2] = ["100", "120"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(gpu)");
    println!("cargo::rustc-check-cfg=cfg(metal)");
    println!("cargo::rerun-if-changed=build.rs");
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let metal = has("METAL") && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos");
    if metal {
        println!("cargo::rustc-cfg=metal");
    }
    if has("CUDA") || metal {
        println!("cargo::rustc-cfg=gpu");
    }
    if has("CUDA") {
        compile_cuda();
    }
}

fn compile_cuda() {
    println!("cargo::rerun-if-changed=../../kernels/cuda");
    for variable in ["NVCC", "CUDA_HOME", "CUDA_PATH", "MASPO_CUDA_ARCHITECTURES"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let home = env::var_os("CUDA_HOME").or_else(|| env::var_os("CUDA_PATH")).map(PathBuf::from);
    let in_home = home.as_ref().map(|home| home.join("bin/nvcc"));
    let nvcc =
        env::var_os("NVCC").map(PathBuf::from).or(in_home).or_else(in_path).unwrap_or_else(|| PathBuf::from("nvcc"));
    // The CUDA runtime to link is beside the compiler, unless a variable says otherwise.
    let home = home.or_else(|| Some(nvcc.canonicalize().ok()?.parent()?.parent()?.to_path_buf()));
    let architectures = env::var("MASPO_CUDA_ARCHITECTURES").unwrap_or_else(|_| by_default(&nvcc));
    let code = generate(&architectures);
    println!(
        "cargo::rustc-env=MASPO_CUDA_ARCHITECTURES={}",
        architectures.split_whitespace().collect::<Vec<_>>().join(" ")
    );

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut objects = Vec::new();
    for source in sources(Path::new("../../kernels/cuda")) {
        let object = out.join(source.file_name().expect("a file")).with_extension("o");
        let mut command = Command::new(&nvcc);
        command.args(["-std=c++17", "-O3", "-Xcompiler", "-fPIC"]).args(&code);
        run(command.arg("-c").arg(&source).arg("-o").arg(&object), &nvcc);
        objects.push(object);
    }
    let library = out.join("libmaspo_cuda_kernels.a");
    // An existing archive would be extended, not replaced.
    let _ = fs::remove_file(&library);
    run(Command::new(&nvcc).arg("-lib").args(&objects).arg("-o").arg(&library), &nvcc);

    println!("cargo::rustc-link-search=native={}", out.display());
    println!("cargo::rustc-link-lib=static=maspo_cuda_kernels");
    for folder in home.iter().flat_map(|home| {
        ["lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"].map(|lib| home.join(lib))
    }) {
        if folder.join("libcudart_static.a").exists() {
            println!("cargo::rustc-link-search=native={}", folder.display());
        }
    }
    // The CUDA runtime looks for the driver when the program runs, so the program starts without
    // CUDA.
    println!("cargo::rustc-link-lib=static:-bundle=cudart_static");
    for library in ["stdc++", "dl", "rt", "pthread"] {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}

/// Returns the nvcc in `$PATH`.
fn in_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file())
}

/// Returns nvcc's flags for machine code of every architecture, and for PTX.
fn generate(architectures: &str) -> Vec<String> {
    let list: Vec<&str> = architectures.split_whitespace().collect();
    let known =
        |architecture: &&str| architecture.trim_end_matches(['a', 'f']).parse::<u32>().is_ok_and(|number| number >= 80);
    if list.is_empty() || !list.iter().all(known) {
        panic!(
            "MASPO_CUDA_ARCHITECTURES is {architectures:?}: name compute capabilities from 80 on, such as \
            \"{ARCHITECTURES}\""
        );
    }
    let mut flags: Vec<String> =
        list.iter().map(|number| format!("-gencode=arch=compute_{number},code=sm_{number}")).collect();
    // PTX whose architecture ends with a letter is for that architecture only. A device runs
    // machine code of its own major version, or compiles PTX that is not newer than itself. Some
    // devices between 10.x and 12.x can only use the PTX of 100.
    let numbers: Vec<u32> = list.iter().filter_map(|number| number.parse().ok()).collect();
    let newest = numbers.iter().max();
    for number in numbers.iter().filter(|number| **number >= 100 || Some(*number) == newest) {
        flags.push(format!("-gencode=arch=compute_{number},code=compute_{number}"));
    }
    flags
}

/// Returns the architectures that are compiled by default, as far as this nvcc knows them.
fn by_default(nvcc: &Path) -> String {
    let listed = Command::new(nvcc).arg("--list-gpu-arch").output();
    let listed = listed.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    let knows = |number: &&str| listed.lines().any(|line| line.trim() == format!("compute_{number}"));
    [ARCHITECTURES].into_iter().chain(NEWER.into_iter().filter(knows)).collect::<Vec<_>>().join(" ")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the kernels' folder");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "cu"));
    found.sort();
    found
}

fn run(command: &mut Command, nvcc: &Path) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("{}: {status}: {command:?}", nvcc.display()),
        Err(error) => panic!(
            "the feature `cuda` wants nvcc, but {}: {error}; set NVCC or CUDA_HOME, or run \
             `eval \"$(scripts/cuda-toolkit.sh target/cuda)\"`",
            nvcc.display()
        ),
    }
}
