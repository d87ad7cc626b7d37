//! The placement of a model on a device: what every kind of device can say and do before it holds a
//! model, and the choice of one.

use super::OpenError;
use super::candle::CandlePlacement;
use super::cpu::CpuPlacement;
#[cfg(gpu)]
use super::gpu::GpuPlacement;
use crate::base::Hasher;
use crate::blocks::PoolSize;
use crate::executor::{Backend, DeviceChoice, DeviceError, Executor};
use crate::kernels::Compute;
use crate::qwen3::{Config, Dtype, Model, ResolvedDtype};
use crate::token_engine::EngineOptions;
use crate::weights::TensorSource;

/// A device that was opened and can take a model.
pub(crate) trait Placement {
    /// Returns what computes there, which is never [`Backend::Auto`].
    fn backend(&self) -> Backend {
        Backend::Native
    }

    /// Returns what a reader of the results should know of how they were computed; `None` if there
    /// is nothing to say.
    fn note(&self) -> Option<String> {
        None
    }

    /// Returns the device's name for people, such as `cpu` or `cuda:0`.
    fn name(&self) -> String;

    /// Returns the kernels' name for people.
    fn kernels(&self) -> String;

    /// Returns the number of host threads that compute.
    fn threads(&self) -> usize {
        1
    }

    /// Returns the host's threads and their kernels, where those compute.
    fn compute(&self) -> Option<&Compute> {
        None
    }

    /// Measures the memory's read bandwidth in bytes per second. Returns `None` for the CPU, whose
    /// bandwidth `maspo bench` measures itself.
    ///
    /// # Errors
    /// The device has too little memory, or it failed.
    fn bandwidth(&mut self) -> Option<Result<f64, DeviceError>>;

    /// Adds to `hasher` everything about the device that results depend on.
    fn identify(&self, options: &EngineOptions, hasher: &mut Hasher);

    /// Decides the number format of the weights, as [`Dtype::resolve`] does, with the device's free
    /// memory.
    ///
    /// # Errors
    /// The device has no kernels for the format.
    fn resolve(&self, dtype: Dtype, config: &Config, source: &dyn TensorSource) -> Result<ResolvedDtype, OpenError>;

    /// Loads the model and sizes the memory of its keys and values. The options were checked.
    ///
    /// # Errors
    /// The weights do not fit the configuration, the device has no kernels for the shape, or it has
    /// too little memory.
    fn load(
        self: Box<Self>,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: &EngineOptions,
    ) -> Result<Loaded, OpenError>;
}

/// A model on its device.
pub(crate) struct Loaded {
    pub(crate) executor: Box<dyn Executor>,
    /// The number of blocks of keys and values.
    pub(crate) blocks: PoolSize,
    /// The model itself, where it can be asked without the executor.
    pub(crate) model: Option<Model>,
    /// The size of all packed matrices, if they are in the host's own memory.
    pub(crate) packed_bytes: Option<usize>,
    /// The size of the matrices that a decode step reads.
    pub(crate) weight_bytes_per_step: usize,
    /// The size of the keys and values of one token.
    pub(crate) kv_bytes_per_token: usize,
}

/// Opens the device that the options name, on the backend that they name. On the CPU the model
/// computes with the threads of `shared`, if there are any.
///
/// # Errors
/// The device is missing or this build cannot use it; or the threads cannot be started, or the
/// machine lacks the instruction set that was named; or the backend cannot be deterministic and has
/// to be.
pub(crate) fn choose(options: &EngineOptions, shared: Option<&Compute>) -> Result<Box<dyn Placement>, OpenError> {
    let placement = match options.backend {
        Backend::Auto => auto(options, shared)?,
        Backend::Native | Backend::Candle => open(options, shared)?,
    };
    if placement.backend() == Backend::Candle && options.must_be_deterministic {
        let text = "`--deterministic` cannot be kept by the backend candle, where a request's tokens may depend on \
                    what is computed beside it: leave it out, or choose `--backend native`";
        return Err(OpenError::Unsupported(text.to_string()));
    }
    Ok(placement)
}

/// Opens the device that the options name on our own backend, or on candle where ours fails the
/// device check.
#[cfg(gpu)]
fn auto(options: &EngineOptions, shared: Option<&Compute>) -> Result<Box<dyn Placement>, OpenError> {
    use super::auto::{Candidates, passed_folder};
    let placement = native(options, shared)?;
    if placement.compute().is_some() {
        return Ok(placement);
    }
    // The check opens the device itself.
    let on_metal = placement.name() == "metal";
    drop(placement);
    let candle = |reason: String| -> Result<Box<dyn Placement>, OpenError> {
        Ok(Box::new(CandlePlacement::instead(options.device, reason)?))
    };
    let candidates = Candidates {
        native: &|| native(options, shared),
        check: &super::check::check_one,
        candle: if on_metal || cfg!(feature = "candle-cuda") { Some(&candle) } else { None },
    };
    #[cfg(feature = "cuda")]
    let driver = crate::executor::gpu::cuda::driver_version().unwrap_or_default();
    #[cfg(not(feature = "cuda"))]
    let driver = String::new();
    candidates.choose(passed_folder().as_deref(), &driver)
}

/// A build without GPUs has nothing to choose.
#[cfg(not(gpu))]
fn auto(options: &EngineOptions, shared: Option<&Compute>) -> Result<Box<dyn Placement>, OpenError> {
    native(options, shared)
}

/// Opens the device that the options name, on the backend that they name; `auto` is our own.
pub(super) fn open(options: &EngineOptions, shared: Option<&Compute>) -> Result<Box<dyn Placement>, OpenError> {
    match options.backend {
        Backend::Candle => Ok(Box::new(CandlePlacement::open(options.device)?)),
        Backend::Native | Backend::Auto => native(options, shared),
    }
}

/// Opens the device that the options name, for the kernels of this repository.
fn native(options: &EngineOptions, shared: Option<&Compute>) -> Result<Box<dyn Placement>, OpenError> {
    let cpu = || Ok(Box::new(CpuPlacement::new(options, shared)?) as Box<dyn Placement>);
    match options.device {
        #[cfg(gpu)]
        DeviceChoice::Auto => match GpuPlacement::first()? {
            Some(gpu) => Ok(Box::new(gpu)),
            None => cpu(),
        },
        #[cfg(not(gpu))]
        DeviceChoice::Auto => cpu(),
        DeviceChoice::Cpu => cpu(),
        DeviceChoice::Cuda(number) => cuda(number),
        DeviceChoice::Metal => metal(),
    }
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Box<dyn Placement>, OpenError> {
    Ok(Box::new(GpuPlacement::cuda(number)?))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_number: usize) -> Result<Box<dyn Placement>, OpenError> {
    Err(lacks("CUDA: build it with `cargo build --release --features cuda`"))
}

#[cfg(metal)]
fn metal() -> Result<Box<dyn Placement>, OpenError> {
    Ok(Box::new(GpuPlacement::metal()?))
}

#[cfg(not(metal))]
fn metal() -> Result<Box<dyn Placement>, OpenError> {
    Err(lacks("Metal: build it on macOS with `cargo build --release --features metal`"))
}

#[cfg(not(all(feature = "cuda", metal)))]
fn lacks(what: &str) -> OpenError {
    DeviceError(format!("this build has no {what}, or choose `--device cpu`")).into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::gpu::GpuPlacement;
    use super::*;
    use crate::base::Hasher;
    use crate::executor::gpu::emulated::{gpu, gpu_of};
    use crate::qwen3::KvDtype;
    use crate::qwen3::testing::{RandomTensors, plain_config};
    use crate::token_engine::{TokenEngine, TokenRequest};
    use futures::executor::block_on;

    #[test]
    fn a_device_that_this_build_cannot_use_is_named_with_what_to_do() {
        let error = |device| {
            let options = EngineOptions { device, ..EngineOptions::default() };
            choose(&options, None).err().map(|error| error.to_string())
        };
        assert_eq!(error(DeviceChoice::Cpu), None);
        #[cfg(not(feature = "cuda"))]
        assert_eq!(
            error(DeviceChoice::Cuda(1)).unwrap(),
            "this build has no CUDA: build it with `cargo build --release --features cuda`, or choose `--device cpu`"
        );
        #[cfg(not(metal))]
        assert!(error(DeviceChoice::Metal).unwrap().starts_with("this build has no Metal: build it on macOS"));
    }

    #[test]
    fn another_format_of_keys_and_values_is_another_model() {
        let identity = |kv_dtype| {
            let options = EngineOptions { device: DeviceChoice::Cpu, kv_dtype, ..EngineOptions::default() };
            let mut hasher = Hasher::new("test");
            choose(&options, None).unwrap().identify(&options, &mut hasher);
            hasher.finish()
        };
        assert_ne!(identity(KvDtype::Auto), identity(KvDtype::Int8));
    }

    #[test]
    fn a_gpu_loads_a_model_sizes_its_memory_and_answers() {
        let config = Config { max_position_embeddings: 1024, ..plain_config() };
        let place =
            |free| gpu(free).map(|gpu| Box::new(GpuPlacement::opened(gpu, "cuda:0", "emulated")) as Box<dyn Placement>);
        let Some(mut first) = place(64 << 20) else { return };
        assert_eq!((first.name(), first.kernels(), first.threads()), ("cuda:0".into(), "emulated".into(), 1));
        assert_eq!(first.bandwidth().unwrap().unwrap_err().to_string(), "an emulated device has no speed");
        assert!(
            choose(&EngineOptions { device: DeviceChoice::Cpu, ..EngineOptions::default() }, None)
                .unwrap()
                .bandwidth()
                .is_none()
        );
        let identity = |placement: &dyn Placement, deterministic| {
            let mut hasher = Hasher::new("test");
            placement.identify(&EngineOptions { deterministic, ..EngineOptions::default() }, &mut hasher);
            hasher.finish()
        };
        assert_ne!(identity(&*first, true), identity(&*first, false));
        assert_eq!(identity(&*first, true), identity(&*place(32 << 20).unwrap(), true));
        // A product's inputs are divided by the number of SMs, so another number of them means
        // other rounding under the same name.
        let wider = GpuPlacement::opened(gpu_of(64 << 20, 7).unwrap(), "cuda:0", "emulated");
        assert_ne!(identity(&*first, true), identity(&wider, true));
        assert!(
            first
                .resolve(Dtype::F32, &config, &RandomTensors::new())
                .unwrap_err()
                .to_string()
                .starts_with("dtype f32 is not kept on")
        );
        let resolved = first.resolve(Dtype::Auto, &config, &RandomTensors::new()).unwrap();
        assert_eq!((resolved.dtype, resolved.fits()), (Dtype::Auto, true));
        let options = EngineOptions { step_tokens: 48, max_running: 8, ..EngineOptions::default() };
        let loaded = first.load(&config, &mut RandomTensors::new(), Dtype::Bf16, &options).unwrap();
        assert_eq!(loaded.blocks.total, 8 * 1024 / 16, "as many as are of use");
        assert!(loaded.model.is_none() && loaded.weight_bytes_per_step > 0 && loaded.kv_bytes_per_token > 0);
        let engine = TokenEngine::start_on(loaded.executor, &config, Vec::new(), &options, loaded.blocks).unwrap();
        let sampling = crate::sample::Sampling::GREEDY;
        let request =
            TokenRequest { prompt: vec![1, 2, 3], max_new_tokens: 2, sampling, ignore_eos: true, stop: Vec::new() };
        assert_eq!(block_on(engine.generate(request)).unwrap().token_ids.len(), 2);
        let bytes = EngineOptions { kv_dtype: KvDtype::Int8, ..options.clone() };
        let refused = place(64 << 20).unwrap().load(&config, &mut RandomTensors::new(), Dtype::Bf16, &bytes);
        assert_eq!(
            refused.err().unwrap().to_string(),
            "kv_dtype int8 is not kept on cuda:0: leave it out, or choose `--device cpu`"
        );
        // Whatever memory is free, what was found to fit does fit.
        for mib in 1..16 {
            let place = place(mib << 20).unwrap();
            match place.load(&config, &mut RandomTensors::new(), Dtype::Bf16, &options) {
                Ok(loaded) => assert!((32..=512).contains(&loaded.blocks.total), "{mib} MiB: {:?}", loaded.blocks),
                Err(error) => {
                    let error = error.to_string();
                    assert!(
                        mib < 8 && (error.contains("too little for keys and values") || error.contains("weights")),
                        "{error}"
                    );
                }
            }
        }
    }
}
