//! A GPU as the place of a model: which one, how its memory is divided, what fits.

use super::OpenError;
use super::executor::DeviceError;
use super::executor::Executor;
use super::executor::gpu::{Gpu, GpuExecutor, GpuOptions, LoadError};
use super::kernels::Format;
use super::place::Loaded;
use super::qwen3::{Config, Dtype, Keeping, KvDtype, Settled};
use super::token_engine::EngineOptions;
use super::weights::TensorSource;
use crate::base::Hasher;

/// A GPU that was opened.
pub(super) struct GpuPlace {
    gpu: Box<dyn Gpu>,
    /// Such as `cuda:0`.
    pub(super) name: String,
    /// What the kernels' results depend on, for people.
    pub(super) kernels: String,
    /// The device's own library of products, and its version.
    library: Option<String>,
}

impl GpuPlace {
    /// The GPU that is taken where none is named: NVIDIA's first, if there is one. Metal has to be
    /// asked for until a Mac has run it.
    ///
    /// # Errors
    /// A GPU that is there and does not work: to compute on the CPU in its stead would take a
    /// hundred times as long.
    #[cfg(gpu)]
    pub(super) fn first() -> Result<Option<Self>, DeviceError> {
        #[cfg(feature = "cuda")]
        if super::executor::gpu::cuda::count().is_ok_and(|count| count > 0) {
            let hint = |error| DeviceError(format!("{error} (`--device cpu` does without it)"));
            return Self::cuda(0).map(Some).map_err(hint);
        }
        Ok(None)
    }

    /// Bytes per second that its memory is read at, measured now.
    ///
    /// # Errors
    /// Too little memory, or a device that failed.
    pub(super) fn bandwidth(&mut self) -> Result<f64, DeviceError> {
        self.gpu.read_bandwidth()
    }

    /// An NVIDIA GPU.
    ///
    /// # Errors
    /// No driver, no such device, or one that the kernels are not made for.
    #[cfg(feature = "cuda")]
    pub(super) fn cuda(number: usize) -> Result<Self, DeviceError> {
        use super::executor::gpu::cuda::CudaGpu;
        let gpu = CudaGpu::open(number)?;
        let device = gpu.describe()?;
        let kernels = format!("{}, capability {}", device.name, device.compute_capability);
        let library = super::executor::gpu::cublas::version().map(|version| format!("cuBLAS {version}"));
        Ok(Self { gpu: Box::new(gpu), name: format!("cuda:{number}"), kernels, library })
    }

    /// The machine's Apple GPU.
    ///
    /// # Errors
    /// No device, one that the kernels are not made for, or kernels that it does not compile.
    #[cfg(metal)]
    pub(super) fn metal() -> Result<Self, DeviceError> {
        use super::executor::gpu::metal::MetalGpu;
        let gpu = MetalGpu::open()?;
        let kernels = gpu.describe().name;
        Ok(Self { gpu: Box::new(gpu), name: "metal".to_string(), kernels, library: None })
    }

    /// A device that was opened elsewhere.
    #[cfg(test)]
    pub(super) fn of(gpu: Box<dyn Gpu>, name: &str, kernels: &str) -> Self {
        Self { gpu, name: name.to_string(), kernels: kernels.to_string(), library: Some("BLAS".to_string()) }
    }

    /// What results depend on: the kernels, how many multiprocessors there are (the inputs of a
    /// product are divided by that, and sums of parts round differently), and with `--fast` the
    /// library that multiplies.
    pub(super) fn identify(&self, deterministic: bool, hasher: &mut Hasher) {
        let kind = self.name.split(':').next().unwrap_or_default();
        hasher.field(kind.as_bytes()).field(self.kernels.as_bytes()).field(&[u8::from(deterministic)]);
        hasher.field(&self.gpu.facts().multiprocessors.to_le_bytes());
        let library = if deterministic { None } else { self.library.as_deref() };
        hasher.field(library.unwrap_or("none").as_bytes());
    }

    /// As [`Dtype::settle`] does it, where nothing is wider than bf16.
    pub(super) fn settle(
        &self,
        dtype: Dtype,
        config: &Config,
        source: &dyn TensorSource,
    ) -> Result<Settled, OpenError> {
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
        let bytes = |dtype| Keeping { dtype, widest: Format::Bf16 }.packed_bytes(config, source);
        Ok(dtype.settle(bytes, Some(self.gpu.free_bytes() as u64)))
    }

    /// Loads the model, and takes as much memory for keys and values as `options` ask for or as is
    /// useful and free.
    ///
    /// # Errors
    /// Weights that do not fit the configuration, a shape that there are no kernels for, too little
    /// memory.
    pub(super) fn load(
        self,
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

/// What steps may be, with as many blocks as are asked for or else as can ever be of use.
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
    use crate::engine::qwen3::testing::plain_config;

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
