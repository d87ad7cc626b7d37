//! A device of candle as the device that a model is placed on.

use super::OpenError;
use super::memory;
use super::placement::{Loaded, Placement};
use crate::base::Hasher;
use crate::executor::candle::{CANDLE_VERSION, CandleDevice, CandleError, CandleExecutor, CandleOptions};
use crate::executor::{Backend, DeviceChoice, DeviceError};
use crate::kernels::Format;
use crate::qwen3::{Config, Dtype, KvDtype, ResolvedDtype, StoragePolicy};
use crate::token_engine::EngineOptions;
use crate::weights::{TensorSource, WeightsError};
use candle_core::Tensor;

/// An open device of candle.
pub(super) struct CandlePlacement {
    device: CandleDevice,
    /// Why it takes the place of our own kernels, if nobody asked for it.
    reason: Option<String>,
}

impl CandlePlacement {
    /// Opens the device that the options name. `auto` is the first NVIDIA GPU if this build can use
    /// it, or else the CPU.
    ///
    /// # Errors
    /// The device is missing, or this build cannot use it.
    pub(super) fn open(choice: DeviceChoice) -> Result<Self, DeviceError> {
        match choice {
            #[cfg(feature = "candle-cuda")]
            DeviceChoice::Auto if crate::executor::gpu::cuda::count().is_ok_and(|count| count > 0) => cuda(0),
            DeviceChoice::Auto | DeviceChoice::Cpu => Ok(Self::new(CandleDevice::cpu())),
            DeviceChoice::Cuda(number) => cuda(number),
            DeviceChoice::Metal => metal(),
        }
    }

    /// Opens the device in place of our own kernels, and keeps the reason.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    #[cfg(gpu)]
    pub(super) fn instead(choice: DeviceChoice, reason: String) -> Result<Self, DeviceError> {
        Ok(Self { reason: Some(reason), ..Self::open(choice)? })
    }

    fn new(device: CandleDevice) -> Self {
        Self { device, reason: None }
    }
}

#[cfg(feature = "candle-cuda")]
fn cuda(number: usize) -> Result<CandlePlacement, DeviceError> {
    CandleDevice::cuda(number).map(CandlePlacement::new)
}

#[cfg(not(feature = "candle-cuda"))]
fn cuda(_number: usize) -> Result<CandlePlacement, DeviceError> {
    Err(lacks("CUDA of candle: build it with `cargo build --release --features candle-cuda`"))
}

#[cfg(metal)]
fn metal() -> Result<CandlePlacement, DeviceError> {
    CandleDevice::metal().map(CandlePlacement::new)
}

#[cfg(not(metal))]
fn metal() -> Result<CandlePlacement, DeviceError> {
    Err(lacks("Metal: build it on macOS with `cargo build --release --features metal`"))
}

#[cfg(not(all(feature = "candle-cuda", metal)))]
fn lacks(what: &str) -> DeviceError {
    DeviceError(format!("this build has no {what}, or choose `--device cpu`"))
}

impl Placement for CandlePlacement {
    fn backend(&self) -> Backend {
        Backend::Candle
    }

    fn note(&self) -> Option<String> {
        let reason = self.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        Some(format!(
            "candle computed the model on {}{reason}: an answer may depend on what was computed beside it",
            self.device.name()
        ))
    }

    fn name(&self) -> String {
        self.device.name().to_string()
    }

    fn kernels(&self) -> String {
        self.device.kernels().to_string()
    }

    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    fn bandwidth(&mut self) -> Option<Result<f64, DeviceError>> {
        if self.device.name() == "cpu" {
            return None;
        }
        Some(Err(DeviceError("candle does not measure it: `--backend native` does".to_string())))
    }

    fn identify(&self, _options: &EngineOptions, hasher: &mut Hasher) {
        hasher.field(b"candle").field(CANDLE_VERSION.as_bytes());
        // Devices of one kind count as one: bits that depend on the batch are not promised anyway.
        hasher.field(self.device.name().split(':').next().unwrap_or_default().as_bytes());
    }

    fn resolve(&self, dtype: Dtype, config: &Config, source: &dyn TensorSource) -> Result<ResolvedDtype, OpenError> {
        if dtype == Dtype::F8 {
            let text =
                "dtype f8 is kept by our own kernels only: choose f32, bf16, q8_0 or q4_k, or `--backend native`";
            return Err(OpenError::Unsupported(text.to_string()));
        }
        let on_gpu = self.device.free_bytes()?;
        let bytes = |dtype| {
            let policy = |dtype| StoragePolicy { dtype, widest: Format::F32 };
            match (on_gpu, dtype) {
                (Some(_), dtype) => policy(dtype).packed_bytes(config, source),
                // On the CPU, 16-bit floats are widened when they are loaded.
                (None, Dtype::Bf16) => policy(Dtype::F32).packed_bytes(config, source),
                (None, dtype) => policy(dtype).packed_bytes(config, &Widened(source)),
            }
        };
        let free = on_gpu.map_or_else(memory::free, |bytes| Some(bytes as u64));
        Ok(dtype.resolve(bytes, free))
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
                "kv_dtype {} is not kept by candle: leave it out, or choose `--backend native --device cpu`",
                options.kv_dtype
            )));
        }
        let device = self.device;
        let kv_bytes_per_token = CandleExecutor::kv_bytes_per_token(&device, config);
        let executor = CandleExecutor::load(&device, config, source, dtype, wanted(&device, config, options)).map_err(
            |error| match error {
                CandleError::Weights(error) => OpenError::from(error),
                CandleError::Device(error) => OpenError::from(error),
            },
        )?;
        Ok(Loaded {
            blocks: executor.blocks().into(),
            model: None,
            packed_bytes: None,
            weight_bytes_per_step: executor.weight_bytes_per_step(),
            kv_bytes_per_token,
            executor: Box::new(executor),
        })
    }
}

/// Returns the sizes of steps, with as many blocks as the options say; else as many as on our own
/// CPU, or on a GPU as many as can ever be used.
fn wanted(device: &CandleDevice, config: &Config, options: &EngineOptions) -> CandleOptions {
    let EngineOptions { block_tokens, kv_tokens, step_tokens, max_running, .. } = *options;
    let on_cpu = device.name() == "cpu";
    let useful = max_running.saturating_mul(config.max_position_embeddings.next_multiple_of(block_tokens));
    let blocks = match on_cpu {
        true => options.pool(config, CandleExecutor::kv_bytes_per_token(device, config), None).total,
        false => kv_tokens.unwrap_or(useful).div_ceil(block_tokens),
    };
    CandleOptions { block_tokens, blocks, fewer_blocks_do: kv_tokens.is_none(), step_tokens, max_running }
}

/// A source whose 16-bit floats count as 32-bit ones.
struct Widened<'a>(&'a dyn TensorSource);

impl TensorSource for Widened<'_> {
    fn tensor(&mut self, name: &str, _: &[usize]) -> Result<Tensor, WeightsError> {
        Err(WeightsError::Missing(name.to_string()))
    }

    fn stored_format(&self, name: &str) -> Format {
        match self.0.stored_format(name) {
            Format::F16 | Format::Bf16 => Format::F32,
            other => other,
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
