//! Compiles `kernels/cuda/` with nvcc where the feature `cuda` asks for it, and says which GPUs the
//! build knows: `cfg(metal)` for the feature `metal` on macOS, `cfg(gpu)` for either.
//!
//! nvcc is `$NVCC`, or the one of `$CUDA_HOME` or `$CUDA_PATH`, or that of the path.
//! `$MASPO_CUDA_ARCHITECTURES` names what to compile for, by default `80 86 89 90`, and `100 120`
//! if nvcc knows them. PTX is kept of the newest, and of all from 100 on, which newer devices
//! compile for themselves.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ARCHITECTURES: &str = "80 86 89 90";

/// Those that nvcc has learned since 12.8.
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
    // Where the runtime to link is: beside the compiler, if nothing else says.
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
    // An archive that is there would be added to.
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
    // The runtime looks for the driver when the program runs; nothing of CUDA is needed to start
    // it.
    println!("cargo::rustc-link-lib=static:-bundle=cudart_static");
    for library in ["stdc++", "dl", "rt", "pthread"] {
        println!("cargo::rustc-link-lib=dylib={library}");
    }
}

/// The nvcc of the path.
fn in_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join("nvcc")).find(|nvcc| nvcc.is_file())
}

/// Flags for machine code of every architecture, and PTX of the newest.
fn generate(architectures: &str) -> Vec<String> {
    let list: Vec<&str> = architectures.split_whitespace().collect();
    let known =
        |architecture: &&str| architecture.trim_end_matches(['a', 'f']).parse::<u32>().is_ok_and(|number| number >= 80);
    if list.is_empty() || !list.iter().all(known) {
        panic!(
            "MASPO_CUDA_ARCHITECTURES is {architectures:?}: name compute capabilities from 80 on, such as \"{ARCHITECTURES}\""
        );
    }
    let mut flags: Vec<String> =
        list.iter().map(|number| format!("-gencode=arch=compute_{number},code=sm_{number}")).collect();
    // PTX with a letter is for one architecture only. A device runs code of its own major version,
    // or compiles PTX that is not newer than itself: between 10.x and 12.x there are some that only
    // 100's will do for.
    let numbers: Vec<u32> = list.iter().filter_map(|number| number.parse().ok()).collect();
    let newest = numbers.iter().max();
    for number in numbers.iter().filter(|number| **number >= 100 || Some(*number) == newest) {
        flags.push(format!("-gencode=arch=compute_{number},code=compute_{number}"));
    }
    flags
}

/// What a release is compiled for, by an nvcc of whatever age.
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
            "the feature `cuda` wants nvcc, but {}: {error}; set NVCC or CUDA_HOME, or run `eval \"$(scripts/cuda-toolkit.sh \
             target/cuda)\"`",
            nvcc.display()
        ),
    }
}
