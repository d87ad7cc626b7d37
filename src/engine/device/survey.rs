//! What GPUs there are, for `maspo doctor`: never an error, but what is missing as text.

use serde::Serialize;

/// A kind of device, or one of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeviceReport {
    /// As `--device` takes it.
    pub device: String,
    /// Its maker's name for it.
    pub name: Option<String>,
    /// Such as `9.0`.
    pub compute_capability: Option<String>,
    /// The version of CUDA that the driver knows.
    pub driver: Option<String>,
    /// All of its memory.
    pub memory_bytes: Option<usize>,
    /// What of it is free.
    pub free_bytes: Option<usize>,
    /// Bytes per second, measured just now: of copies within the device, which read and write every
    /// byte; both count.
    pub read_bandwidth_bytes_per_s: Option<f64>,
    /// Its multiprocessors.
    pub multiprocessors: Option<u32>,
    /// Of NVIDIA's: whether cuBLAS is there, which bf16 weights use with `--fast`.
    pub cublas: Option<bool>,
    /// Why it cannot be used, and what to do; `None`: it can.
    pub problem: Option<String>,
}

impl DeviceReport {
    fn missing(device: &str, problem: impl ToString) -> Self {
        Self {
            device: device.to_string(),
            name: None,
            compute_capability: None,
            driver: None,
            memory_bytes: None,
            free_bytes: None,
            read_bandwidth_bytes_per_s: None,
            multiprocessors: None,
            cublas: None,
            problem: Some(problem.to_string()),
        }
    }
}

/// The architectures that the CUDA kernels of this build were compiled for; `None` without CUDA.
pub fn cuda_architectures() -> Option<&'static str> {
    // A variable of the shell that builds without the feature is nothing that was compiled.
    if cfg!(feature = "cuda") { option_env!("MASPO_CUDA_ARCHITECTURES") } else { None }
}

/// Every kind of device but the CPU.
pub fn survey() -> Vec<DeviceReport> {
    let mut reports = cuda();
    reports.push(metal());
    reports
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Vec<DeviceReport> {
    let problem = "this build has no CUDA: build it with `cargo build --release --features cuda`";
    vec![DeviceReport::missing("cuda", problem)]
}

#[cfg(feature = "cuda")]
fn cuda() -> Vec<DeviceReport> {
    use crate::executor::gpu::cuda;
    match cuda::count() {
        Err(problem) => vec![DeviceReport::missing("cuda", problem)],
        Ok(0) => vec![DeviceReport::missing("cuda", "NVIDIA's driver finds no device")],
        Ok(count) => (0..count).map(cuda_device).collect(),
    }
}

#[cfg(feature = "cuda")]
fn cuda_device(number: usize) -> DeviceReport {
    use crate::executor::gpu::{Gpu, cublas, cuda};
    let name = format!("cuda:{number}");
    let opened = cuda::CudaGpu::open(number).and_then(|gpu| Ok((gpu.describe()?, gpu)));
    match opened {
        Err(problem) => DeviceReport { driver: cuda::driver_version(), ..DeviceReport::missing(&name, problem) },
        Ok((found, mut gpu)) => DeviceReport {
            device: name,
            name: Some(found.name),
            compute_capability: Some(found.compute_capability),
            driver: cuda::driver_version(),
            memory_bytes: Some(found.memory_bytes),
            free_bytes: Some(found.free_bytes),
            read_bandwidth_bytes_per_s: gpu.read_bandwidth().ok(),
            multiprocessors: Some(found.multiprocessors),
            cublas: Some(cublas::is_there()),
            problem: None,
        },
    }
}

#[cfg(not(metal))]
fn metal() -> DeviceReport {
    let problem = "this build has no Metal: build it on macOS with `cargo build --release --features metal`";
    DeviceReport::missing("metal", problem)
}

#[cfg(metal)]
fn metal() -> DeviceReport {
    use crate::executor::gpu::{Gpu, metal::MetalGpu};
    match MetalGpu::open() {
        Err(problem) => DeviceReport::missing("metal", problem),
        Ok(mut gpu) => {
            let found = gpu.describe();
            DeviceReport {
                device: "metal".to_string(),
                name: Some(found.name),
                compute_capability: None,
                driver: None,
                memory_bytes: Some(found.memory_bytes),
                free_bytes: Some(found.free_bytes),
                read_bandwidth_bytes_per_s: gpu.read_bandwidth().ok(),
                multiprocessors: None,
                cublas: None,
                problem: None,
            }
        }
    }
}
