//! Puts a model on a device: decides which one, loads the weights there, sizes the memory of keys and values.

use super::OpenError;
use super::executor::{CpuExecutor, DeviceChoice, DeviceError, Executor};
use super::kernels::{Compute, Format};
use super::memory;
use super::qwen3::{Config, Dtype, Keeping, KvDtype, Model, Settled};
use super::token_engine::EngineOptions;
use super::weights::TensorSource;
use crate::base::Hasher;

#[cfg(any(gpu, all(test, unix)))]
use super::gpu_place::GpuPlace;

/// A device that was chosen and answers.
pub(super) enum Place {
    Cpu(Compute),
    #[cfg(any(gpu, all(test, unix)))]
    Gpu(GpuPlace),
}

/// A model on its device.
pub(super) struct Loaded {
    pub(super) executor: Box<dyn Executor>,
    /// Blocks of keys and values.
    pub(super) blocks: usize,
    /// The model itself, where it can be asked without the executor.
    pub(super) model: Option<Model>,
    /// Bytes of all packed matrices in the machine's own memory.
    pub(super) packed_bytes: Option<usize>,
    /// Bytes of the matrices that a decode step reads.
    pub(super) weight_bytes_per_step: usize,
    /// Bytes of the keys and values of one token.
    pub(super) kv_bytes_per_token: usize,
}

impl Place {
    /// The device that `options` ask for. On the CPU the threads are those of `shared`, if there are any.
    ///
    /// # Errors
    /// A device that is not there or that this build cannot use; threads or an instruction set that are not there.
    pub(super) fn choose(options: &EngineOptions, shared: Option<&Compute>) -> Result<Self, OpenError> {
        match options.device {
            #[cfg(gpu)]
            DeviceChoice::Auto => match GpuPlace::first()? {
                Some(place) => Ok(Self::Gpu(place)),
                None => Self::cpu(options, shared),
            },
            #[cfg(not(gpu))]
            DeviceChoice::Auto => Self::cpu(options, shared),
            DeviceChoice::Cpu => Self::cpu(options, shared),
            DeviceChoice::Cuda(number) => Self::cuda(number),
            DeviceChoice::Metal => Self::metal(),
        }
    }

    fn cpu(options: &EngineOptions, shared: Option<&Compute>) -> Result<Self, OpenError> {
        match shared {
            Some(compute) => Ok(Self::Cpu(compute.clone())),
            None => Ok(Self::Cpu(Compute::cpu(options.threads)?)),
        }
    }

    /// The threads of the host and their kernels, where those compute.
    pub(super) fn compute(&self) -> Option<&Compute> {
        match self {
            Self::Cpu(compute) => Some(compute),
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(_) => None,
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda(number: usize) -> Result<Self, OpenError> {
        Ok(Self::Gpu(GpuPlace::cuda(number)?))
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda(_number: usize) -> Result<Self, OpenError> {
        Err(lacks("CUDA: build it with `cargo build --release --features cuda`"))
    }

    #[cfg(metal)]
    fn metal() -> Result<Self, OpenError> {
        Ok(Self::Gpu(GpuPlace::metal()?))
    }

    #[cfg(not(metal))]
    fn metal() -> Result<Self, OpenError> {
        Err(lacks("Metal: build it on macOS with `cargo build --release --features metal`"))
    }

    /// The device's name for people, such as `cpu` or `cuda:0`.
    pub(super) fn device(&self) -> String {
        match self {
            Self::Cpu(_) => DeviceChoice::Cpu.to_string(),
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(place) => place.name.clone(),
        }
    }

    /// The kernels' name for people.
    pub(super) fn kernels(&self) -> String {
        match self {
            Self::Cpu(compute) => compute.kernels().name().to_string(),
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(place) => place.kernels.clone(),
        }
    }

    /// Threads of the host that compute.
    pub(super) fn threads(&self) -> usize {
        match self {
            Self::Cpu(compute) => compute.threads(),
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(_) => 1,
        }
    }

    /// The memory's read bandwidth in bytes per second, measured now, or why a device cannot say it; `None` of the CPU, which others
    /// measure.
    pub(super) fn bandwidth(&mut self) -> Option<Result<f64, DeviceError>> {
        match self {
            Self::Cpu(_) => None,
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(place) => Some(place.bandwidth()),
        }
    }

    /// What results depend on.
    pub(super) fn identify(&self, options: &EngineOptions, hasher: &mut Hasher) {
        match self {
            Self::Cpu(compute) => {
                hasher.field(b"cpu").field(compute.kernels().arithmetic().as_bytes());
                if options.kv_dtype != KvDtype::Auto {
                    hasher.field(b"keys and values").field(options.kv_dtype.name().as_bytes());
                }
            }
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(place) => place.identify(options.deterministic, hasher),
        }
    }

    /// Decides what the weights are kept in, as [`Dtype::settle`] does with the device's memory.
    ///
    /// # Errors
    /// A format that the device has no kernels for.
    pub(super) fn settle(
        &self,
        dtype: Dtype,
        config: &Config,
        source: &dyn TensorSource,
    ) -> Result<Settled, OpenError> {
        match self {
            Self::Cpu(_) if dtype == Dtype::F8 => {
                let text = "dtype f8 is for NVIDIA's GPUs: choose f32, bf16, q8_0 or q4_k, or `--device cuda`";
                Err(OpenError::Unsupported(text.to_string()))
            }
            Self::Cpu(_) => {
                let bytes = |dtype| Keeping { dtype, widest: Format::F32 }.packed_bytes(config, source);
                Ok(dtype.settle(bytes, memory::free()))
            }
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(place) => place.settle(dtype, config, source),
        }
    }

    /// Loads the model.
    ///
    /// # Errors
    /// Weights that do not fit the configuration, a shape that the device has no kernels for, too little memory.
    pub(super) fn load(
        self,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: &EngineOptions,
    ) -> Result<Loaded, OpenError> {
        // Options out of range are named before minutes of loading, and before they divide anything.
        options.check()?;
        match self {
            Self::Cpu(compute) => {
                let model = Model::load(config, source, dtype, &compute)?.with_kv(options.kv_dtype);
                let blocks = options.blocks(config, model.kv_bytes_per_token());
                Ok(Loaded {
                    executor: Box::new(CpuExecutor::new(model.clone(), options.block_tokens, blocks)),
                    blocks,
                    packed_bytes: Some(model.packed_bytes()),
                    weight_bytes_per_step: model.weight_bytes_per_step(),
                    kv_bytes_per_token: model.kv_bytes_per_token(),
                    model: Some(model),
                })
            }
            #[cfg(any(gpu, all(test, unix)))]
            Self::Gpu(place) => place.load(config, source, dtype, options),
        }
    }
}

#[cfg(not(all(feature = "cuda", metal)))]
fn lacks(what: &str) -> OpenError {
    DeviceError(format!("this build has no {what}, or choose `--device cpu`")).into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::executor::gpu::emulated::{gpu, gpu_of};
    use crate::qwen3::testing::{RandomTensors, plain_config};
    use crate::token_engine::{TokenEngine, TokenRequest};
    use futures::executor::block_on;

    #[test]
    fn a_device_that_this_build_cannot_use_is_named_with_what_to_do() {
        let said = |device| {
            let options = EngineOptions { device, ..EngineOptions::default() };
            Place::choose(&options, None).err().map(|error| error.to_string())
        };
        assert_eq!(said(DeviceChoice::Cpu), None);
        #[cfg(not(feature = "cuda"))]
        assert_eq!(
            said(DeviceChoice::Cuda(1)).unwrap(),
            "this build has no CUDA: build it with `cargo build --release --features cuda`, or choose `--device cpu`"
        );
        #[cfg(not(metal))]
        assert!(said(DeviceChoice::Metal).unwrap().starts_with("this build has no Metal: build it on macOS"));
    }

    #[test]
    fn another_format_of_keys_and_values_is_another_model() {
        let identity = |kv_dtype| {
            let options = EngineOptions { device: DeviceChoice::Cpu, kv_dtype, ..EngineOptions::default() };
            let mut hasher = Hasher::new("test");
            Place::choose(&options, None).unwrap().identify(&options, &mut hasher);
            hasher.finish()
        };
        assert_ne!(identity(KvDtype::Auto), identity(KvDtype::Int8));
    }

    #[test]
    fn a_gpu_loads_a_model_sizes_its_memory_and_answers() {
        let config = Config { max_position_embeddings: 1024, ..plain_config() };
        let place = |free| gpu(free).map(|gpu| Place::Gpu(GpuPlace::of(gpu, "cuda:0", "emulated")));
        let Some(mut first) = place(64 << 20) else { return };
        assert_eq!((first.device(), first.kernels(), first.threads()), ("cuda:0".into(), "emulated".into(), 1));
        assert_eq!(first.bandwidth().unwrap().unwrap_err().to_string(), "an emulated device has no speed");
        assert!(
            Place::choose(&EngineOptions { device: DeviceChoice::Cpu, ..EngineOptions::default() }, None)
                .unwrap()
                .bandwidth()
                .is_none()
        );
        let identity = |place: &Place, deterministic| {
            let mut hasher = Hasher::new("test");
            place.identify(&EngineOptions { deterministic, ..EngineOptions::default() }, &mut hasher);
            hasher.finish()
        };
        assert_ne!(identity(&first, true), identity(&first, false));
        assert_eq!(identity(&first, true), identity(&place(32 << 20).unwrap(), true));
        // Products are divided by the multiprocessors, so another number of them is another arithmetic under the same name.
        let wider = Place::Gpu(GpuPlace::of(gpu_of(64 << 20, 7).unwrap(), "cuda:0", "emulated"));
        assert_ne!(identity(&first, true), identity(&wider, true));
        assert!(
            first
                .settle(Dtype::F32, &config, &RandomTensors::new())
                .unwrap_err()
                .to_string()
                .starts_with("dtype f32 is not kept on")
        );
        let settled = first.settle(Dtype::Auto, &config, &RandomTensors::new()).unwrap();
        assert_eq!((settled.dtype, settled.fits()), (Dtype::Auto, true));
        let options = EngineOptions { step_tokens: 48, max_running: 8, ..EngineOptions::default() };
        let loaded = first.load(&config, &mut RandomTensors::new(), Dtype::Bf16, &options).unwrap();
        assert_eq!(loaded.blocks, 8 * 1024 / 16, "as many as are of use");
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
        // Whatever is free, what was found to fit does fit.
        for mib in 1..16 {
            let place = place(mib << 20).unwrap();
            match place.load(&config, &mut RandomTensors::new(), Dtype::Bf16, &options) {
                Ok(loaded) => assert!((32..=512).contains(&loaded.blocks), "{mib} MiB: {} blocks", loaded.blocks),
                Err(error) => {
                    let said = error.to_string();
                    assert!(
                        mib < 8 && (said.contains("too little for keys and values") || said.contains("weights")),
                        "{said}"
                    );
                }
            }
        }
    }
}
