//! A GPU as the device that a model is placed on: which one, how its memory is divided, and what
//! fits.

use super::OpenError;
use super::placement::{Loaded, Placement};
use crate::base::Hasher;
use crate::executor::gpu::{Gpu, GpuExecutor, GpuOptions, LoadError};
use crate::executor::{DeviceError, Executor};
use crate::kernels::Format;
use crate::qwen3::{Config, Dtype, KvDtype, ResolvedDtype, StoragePolicy};
use crate::token_engine::EngineOptions;
use crate::weights::TensorSource;

/// An open GPU.
pub(super) struct GpuPlacement {
    gpu: Box<dyn Gpu>,
    /// The device's name, such as `cuda:0`.
    name: String,
    /// What the kernels' results depend on, as text for people.
    kernels: String,
    /// The vendor's matrix library and its version, if there is one.
    library: Option<String>,
}

impl GpuPlacement {
    /// Opens the GPU that `auto` means: the first NVIDIA GPU, if there is one. Metal must be named
    /// until it has been run on a Mac.
    ///
    /// # Errors
    /// There is a GPU, but it does not work. Falling back to the CPU would take a hundred times as
    /// long.
    #[cfg(gpu)]
    pub(super) fn first() -> Result<Option<Self>, DeviceError> {
        #[cfg(feature = "cuda")]
        if crate::executor::gpu::cuda::count().is_ok_and(|count| count > 0) {
            let hint = |error| DeviceError(format!("{error} (`--device cpu` does without it)"));
            return Self::cuda(0).map(Some).map_err(hint);
        }
        Ok(None)
    }

    /// Opens an NVIDIA GPU.
    ///
    /// # Errors
    /// There is no driver, no such device, or no kernel for it.
    #[cfg(feature = "cuda")]
    pub(super) fn cuda(number: usize) -> Result<Self, DeviceError> {
        use crate::executor::gpu::cuda::CudaGpu;
        let gpu = CudaGpu::open(number)?;
        let device = gpu.describe()?;
        let kernels = format!("{}, capability {}", device.name, device.compute_capability);
        let library = crate::executor::gpu::cublas::version().map(|version| format!("cuBLAS {version}"));
        Ok(Self { gpu: Box::new(gpu), name: format!("cuda:{number}"), kernels, library })
    }

    /// Opens the machine's Apple GPU.
    ///
    /// # Errors
    /// There is no device, no kernel for it, or it does not compile the kernels.
    #[cfg(metal)]
    pub(super) fn metal() -> Result<Self, DeviceError> {
        use crate::executor::gpu::metal::MetalGpu;
        let gpu = MetalGpu::open()?;
        let kernels = gpu.describe().name;
        Ok(Self { gpu: Box::new(gpu), name: "metal".to_string(), kernels, library: None })
    }

    /// Wraps a device that was opened elsewhere.
    #[cfg(test)]
    pub(super) fn opened(gpu: Box<dyn Gpu>, name: &str, kernels: &str) -> Self {
        Self { gpu, name: name.to_string(), kernels: kernels.to_string(), library: Some("BLAS".to_string()) }
    }
}

impl Placement for GpuPlacement {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn kernels(&self) -> String {
        self.kernels.clone()
    }

    fn bandwidth(&mut self) -> Option<Result<f64, DeviceError>> {
        Some(self.gpu.read_bandwidth())
    }

    // Results depend on the kernels, on the number of SMs (a product's inputs are divided by it,
    // and partial sums round differently), and with `--fast` on the matrix library.
    fn identify(&self, options: &EngineOptions, hasher: &mut Hasher) {
        let kind = self.name.split(':').next().unwrap_or_default();
        hasher.field(kind.as_bytes()).field(self.kernels.as_bytes()).field(&[u8::from(options.deterministic)]);
        hasher.field(&self.gpu.facts().multiprocessors.to_le_bytes());
        let library = if options.deterministic { None } else { self.library.as_deref() };
        hasher.field(library.unwrap_or("none").as_bytes());
    }

    fn resolve(&self, dtype: Dtype, config: &Config, source: &dyn TensorSource) -> Result<ResolvedDtype, OpenError> {
        if dtype == Dtype::F32 {
            return Err(OpenError::Unsupported(format!(
                "dtype f32 is not kept on {}: choose bf16, q8_0 or q4_k, or `--device cpu`",
                self.name
            )));
        }
        if dtype == Dtype::F8 && !self.name.starts_with("cuda") {
            return Err(OpenError::Unsupported(format!(
                "dtype f8 is not kept on {}: choose bf16, q8_0 or q4_k",
                self.name
            )));
        }
        let bytes = |dtype| StoragePolicy { dtype, widest: Format::Bf16 }.packed_bytes(config, source);
        Ok(dtype.resolve(bytes, Some(self.gpu.free_bytes() as u64)))
    }

    fn load(
        self: Box<Self>,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: &EngineOptions,
    ) -> Result<Loaded, OpenError> {
        if options.kv_dtype != KvDtype::Auto {
            return Err(OpenError::Unsupported(format!(
                "kv_dtype {} is not kept on {}: leave it out, or choose `--device cpu`",
                options.kv_dtype, self.name
            )));
        }
        let wanted = wanted(config, options);
        let executor = GpuExecutor::load(self.gpu, config, source, dtype, wanted).map_err(|error| match error {
            LoadError::Weights(error) => error.into(),
            LoadError::Device(error) => error.into(),
            LoadError::Memory(error) => error.into(),
            shape @ LoadError::Shape { .. } => OpenError::Unsupported(shape.to_string()),
        })?;
        Ok(Loaded {
            blocks: executor.blocks(),
            model: None,
            packed_bytes: None,
            weight_bytes_per_step: executor.weight_bytes_per_step(),
            kv_bytes_per_token: GpuOptions::kv_bytes_per_token(config),
            executor: Box::new(executor) as Box<dyn Executor>,
        })
    }
}

/// Returns the sizes of steps, with as many blocks as the options say, or else as many as can ever
/// be used.
fn wanted(config: &Config, options: &EngineOptions) -> GpuOptions {
    let EngineOptions { block_tokens, kv_tokens, step_tokens, max_running, models_to_open, .. } = *options;
    let useful = max_running.saturating_mul(config.max_position_embeddings.next_multiple_of(block_tokens));
    GpuOptions {
        block_tokens,
        blocks: kv_tokens.unwrap_or(useful).div_ceil(block_tokens),
        fewer_blocks_do: kv_tokens.is_none(),
        step_tokens,
        max_running,
        models_to_open,
        fast: !options.deterministic,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qwen3::testing::plain_config;

    #[test]
    fn blocks_are_those_asked_for_or_all_that_can_be_of_use() {
        let config = Config { max_position_embeddings: 4090, ..plain_config() };
        let found = wanted(&config, &EngineOptions::default());
        assert_eq!((found.blocks, found.fewer_blocks_do, found.fast), (64 * 256, true, false));
        let asked = EngineOptions { kv_tokens: Some(100), deterministic: false, ..EngineOptions::default() };
        let found = wanted(&config, &asked);
        assert_eq!((found.blocks, found.fewer_blocks_do, found.fast), (7, false, true));
    }
}
