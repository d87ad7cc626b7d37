//! Lists the GPUs for `maspo doctor`. It returns no errors: what is missing becomes text.

use serde::Serialize;

/// A kind of device, or one of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeviceReport {
    /// The name that `--device` takes.
    pub device: String,
    /// The vendor's name for it.
    pub name: Option<String>,
    /// The CUDA compute capability, such as `9.0`.
    pub compute_capability: Option<String>,
    /// The newest version of CUDA that the driver supports.
    pub driver: Option<String>,
    /// The size of its memory.
    pub memory_bytes: Option<usize>,
    /// The size of its free memory.
    pub free_bytes: Option<usize>,
    /// The bandwidth in bytes per second, measured now by copies within the device. They read and
    /// write every byte, and both count.
    pub read_bandwidth_bytes_per_s: Option<f64>,
    /// The number of its SMs (streaming multiprocessors).
    pub multiprocessors: Option<u32>,
    /// For NVIDIA GPUs: whether cuBLAS is installed, which `--fast` uses for bf16 weights.
    pub cublas: Option<bool>,
    /// Why it cannot be used and what to do; `None` if it can.
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

/// Returns the GPU architectures that this build's CUDA kernels were compiled for; `None` without
/// CUDA.
pub fn cuda_architectures() -> Option<&'static str> {
    // Without the feature, a variable of this name in the shell means nothing.
    if cfg!(feature = "cuda") { option_env!("MASPO_CUDA_ARCHITECTURES") } else { None }
}

/// Returns every kind of device but the CPU.
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
