//! The CPU as the device that a model is placed on.

use super::OpenError;
use super::memory;
use super::placement::{Loaded, Placement};
use crate::base::Hasher;
use crate::executor::{CpuExecutor, DeviceChoice, DeviceError};
use crate::kernels::{Compute, Format};
use crate::qwen3::{Config, Dtype, KvDtype, Model, ResolvedDtype, StoragePolicy};
use crate::token_engine::EngineOptions;
use crate::weights::TensorSource;

/// The host's cores with the kernel set that they compute with.
pub(super) struct CpuPlacement(Compute);

impl CpuPlacement {
    /// Takes the threads of `shared`, or starts as many as the options say.
    ///
    /// # Errors
    /// The threads cannot be started, or the processor lacks the instruction set that was named.
    pub(super) fn new(options: &EngineOptions, shared: Option<&Compute>) -> Result<Self, OpenError> {
        match shared {
            Some(compute) => Ok(Self(compute.clone())),
            None => Ok(Self(Compute::cpu(options.threads)?)),
        }
    }
}

impl Placement for CpuPlacement {
    fn name(&self) -> String {
        DeviceChoice::Cpu.to_string()
    }

    fn kernels(&self) -> String {
        self.0.kernels().name().to_string()
    }

    fn threads(&self) -> usize {
        self.0.threads()
    }

    fn compute(&self) -> Option<&Compute> {
        Some(&self.0)
    }

    fn bandwidth(&mut self) -> Option<Result<f64, DeviceError>> {
        None
    }

    fn identify(&self, options: &EngineOptions, hasher: &mut Hasher) {
        hasher.field(b"cpu").field(self.0.kernels().arithmetic().as_bytes());
        if options.kv_dtype != KvDtype::Auto {
            hasher.field(b"keys and values").field(options.kv_dtype.name().as_bytes());
        }
    }

    fn resolve(&self, dtype: Dtype, config: &Config, source: &dyn TensorSource) -> Result<ResolvedDtype, OpenError> {
        if dtype == Dtype::F8 {
            let text = "dtype f8 is for NVIDIA's GPUs: choose f32, bf16, q8_0 or q4_k, or `--device cuda`";
            return Err(OpenError::Unsupported(text.to_string()));
        }
        let bytes = |dtype| StoragePolicy { dtype, widest: Format::F32 }.packed_bytes(config, source);
        Ok(dtype.resolve(bytes, memory::free()))
    }

    fn load(
        self: Box<Self>,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: &EngineOptions,
    ) -> Result<Loaded, OpenError> {
        let model = Model::load(config, source, dtype, &self.0)?.with_kv(options.kv_dtype);
        let blocks = options.pool(config, model.kv_bytes_per_token(), memory::free());
        Ok(Loaded {
            executor: Box::new(CpuExecutor::new(model.clone(), options.block_tokens, blocks.total)),
            blocks,
            packed_bytes: Some(model.packed_bytes()),
            weight_bytes_per_step: model.weight_bytes_per_step(),
            kv_bytes_per_token: model.kv_bytes_per_token(),
            model: Some(model),
        })
    }
}
