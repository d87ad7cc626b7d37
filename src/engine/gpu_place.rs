//! A GPU as the place of a model: which one, how its memory is divided, what fits.

use super::OpenError;
use super::executor::gpu::{Gpu, GpuExecutor, GpuOptions, LoadError};
use super::executor::{DeviceError, Executor};
use super::kernels::Format;
use super::place::Loaded;
use super::qwen3::{Config, Dtype};
use super::token_engine::EngineOptions;
use super::weights::TensorSource;

/// The share of what is free beside the weights that keys, values and the numbers of steps may take; the rest is for captured steps
/// and for whoever else uses the device.
const SHARE: f64 = 0.9;

/// Fewer tokens of keys and values than this are no use.
const LEAST_TOKENS: usize = 512;

/// A GPU that was opened.
pub(super) struct GpuPlace {
    gpu: Box<dyn Gpu>,
    /// Such as `cuda:0`.
    pub(super) name: String,
    /// What the kernels' results depend on, for people.
    pub(super) kernels: String,
}

impl GpuPlace {
    /// The GPU that is taken where none is named: NVIDIA's first, if it works. Metal has to be asked for until a Mac has run it.
    #[cfg(gpu)]
    pub(super) fn first() -> Option<Self> {
        #[cfg(feature = "cuda")]
        let place = Self::cuda(0).ok();
        #[cfg(not(feature = "cuda"))]
        let place = None;
        place
    }

    /// Bytes per second that its memory is read at, measured now; `None` where that fails.
    pub(super) fn bandwidth(&mut self) -> Option<f64> {
        self.gpu.read_bandwidth().ok()
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
        Ok(Self { gpu: Box::new(gpu), name: format!("cuda:{number}"), kernels })
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
        Ok(Self { gpu: Box::new(gpu), name: "metal".to_string(), kernels })
    }

    /// A device that was opened elsewhere.
    #[cfg(test)]
    pub(super) fn of(gpu: Box<dyn Gpu>, name: &str, kernels: &str) -> Self {
        Self { gpu, name: name.to_string(), kernels: kernels.to_string() }
    }

    /// As [`Dtype::settle`] does it, where nothing is wider than bf16.
    pub(super) fn settle(&self, dtype: Dtype, config: &Config, stored: Format) -> Result<Dtype, OpenError> {
        if dtype == Dtype::F32 {
            return Err(OpenError::Unsupported(format!(
                "dtype f32 is not kept on {}: choose bf16, q8_0 or q4_k, or `--device cpu`",
                self.name
            )));
        }
        let stored = if stored == Format::F32 { Format::Bf16 } else { stored };
        Ok(dtype.settle(config, stored, Some(self.gpu.free_bytes() as u64)))
    }

    /// Loads the model, and takes as much memory for keys and values as `options` ask for or as is useful and free.
    ///
    /// # Errors
    /// Weights that do not fit the configuration, a shape that there are no kernels for, too little memory.
    pub(super) fn load(
        self,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: &EngineOptions,
    ) -> Result<Loaded, OpenError> {
        let sized = |free| sized(config, options, free);
        let executor = GpuExecutor::load(self.gpu, config, source, dtype, sized).map_err(|error| match error {
            LoadError::Weights(error) => error.into(),
            LoadError::Device(error) => error.into(),
            shape @ LoadError::Shape { .. } => OpenError::Unsupported(shape.to_string()),
        })?;
        Ok(Loaded {
            blocks: executor.blocks(),
            model: None,
            weight_bytes_per_step: executor.weight_bytes_per_step(),
            kv_bytes_per_token: GpuOptions::kv_bytes_per_token(config),
            executor: Box::new(executor) as Box<dyn Executor>,
        })
    }
}

/// How memory is divided when `free` bytes are left beside the weights.
fn sized(config: &Config, options: &EngineOptions, free: usize) -> Result<GpuOptions, DeviceError> {
    let EngineOptions { block_tokens, step_tokens, max_running, .. } = *options;
    let steps = GpuOptions::step_bytes(config, step_tokens.max(max_running));
    let room = ((free as f64 * SHARE) as usize).saturating_sub(steps) / GpuOptions::kv_bytes_per_token(config);
    let useful = max_running.saturating_mul(config.max_position_embeddings);
    let tokens = match options.kv_tokens {
        Some(tokens) => tokens.next_multiple_of(block_tokens),
        None if room < LEAST_TOKENS.min(useful) => {
            return Err(DeviceError(format!(
                "{:.1} GiB are free beside the weights, too little for keys and values: choose a smaller `dtype`, or lower \
                 `engine.step_tokens` or `engine.max_running`",
                free as f64 / f64::from(1 << 30)
            )));
        }
        None => room.min(useful),
    };
    let blocks = (tokens / block_tokens).max(1);
    Ok(GpuOptions { block_tokens, blocks, step_tokens, max_running, fast: !options.deterministic })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::qwen3::testing::plain_config;

    #[test]
    fn memory_is_divided_with_a_margin() {
        let config = Config { max_position_embeddings: 4096, ..plain_config() };
        let options = EngineOptions::default();
        let (token, steps) = (GpuOptions::kv_bytes_per_token(&config), GpuOptions::step_bytes(&config, 512));
        let tokens = |free| sized(&config, &options, free).map(|sized| sized.blocks * sized.block_tokens);
        let free = steps + 10_000 * token;
        let found = tokens(free).unwrap();
        assert!(found * token + steps <= free && found > 8_000, "{found}");
        assert_eq!(tokens(usize::MAX >> 8).unwrap(), 64 * 4096, "no more than is useful");
        let error = tokens(steps + 100 * token).unwrap_err().to_string();
        assert!(error.contains("too little for keys and values: choose a smaller `dtype`"), "{error}");
        let asked = EngineOptions { kv_tokens: Some(100), deterministic: false, ..EngineOptions::default() };
        let sized = sized(&config, &asked, 0).unwrap();
        assert_eq!((sized.blocks, sized.fast), (7, true));
    }
}
