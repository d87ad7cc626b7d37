//! Carries out steps on a device.

use super::buckets::Bucket;
use super::buffers::{Buffers, CudaOptions};
use super::gpu::{Gpu, Graph};
use super::inputs::{Inputs, StepShape};
use super::program::Program;
use super::weights::{LoadError, Weights};
use crate::engine::executor::{DeviceError, Executor};
use crate::engine::qwen3::{Config, Dtype};
use crate::engine::schedule::StepPlan;
use crate::engine::weights::TensorSource;
use std::collections::HashMap;

/// A model on a CUDA device.
pub(crate) struct CudaExecutor {
    gpu: Box<dyn Gpu>,
    config: Config,
    options: CudaOptions,
    weights: Weights,
    buffers: Buffers,
    tile_tokens: usize,
    inputs: Inputs,
    /// What was captured; `None`: launched once, to be captured when it comes again.
    graphs: HashMap<Bucket, Option<Graph>>,
    greedy: Vec<u32>,
    /// The logits that were asked for last.
    logits: Vec<f32>,
}

impl CudaExecutor {
    /// Takes the tensors of `source` to the device, matrices in `dtype` (what would be f32 is bf16), and allocates all that
    /// steps need.
    ///
    /// # Errors
    /// Tensors that are missing or misshapen, a shape that the kernels are not made for, too little memory.
    pub(crate) fn load(
        mut gpu: Box<dyn Gpu>,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: CudaOptions,
    ) -> Result<Self, LoadError> {
        let weights = Weights::load(&mut *gpu, config, source, dtype, options.positions(config))?;
        let buffers = Buffers::new(&mut *gpu, config, &weights, &options)?;
        let (n_q, n_kv) = (config.num_attention_heads as u32, config.num_key_value_heads as u32);
        // SAFETY: plain numbers.
        let tile_tokens = unsafe { (gpu.api().cuda_tile_tokens)(n_q, n_kv) } as usize;
        Ok(Self {
            gpu,
            config: config.clone(),
            options,
            weights,
            buffers,
            tile_tokens,
            inputs: Inputs::default(),
            graphs: HashMap::new(),
            greedy: Vec::new(),
            logits: Vec::new(),
        })
    }

    fn upload(&mut self, plan: &StepPlan, shape: StepShape) -> Result<(), DeviceError> {
        let stride = self.options.rows();
        assert!(plan.tokens.len() <= stride, "a step fits its buffers");
        assert!(plan.tables.len() <= self.options.table_entries(&self.config), "block tables fit theirs");
        self.inputs.fill(plan, shape, stride, self.tile_tokens);
        let Self { gpu, inputs, buffers, .. } = self;
        gpu.write(buffers.inputs.tokens, &bytes(&inputs.rows))?;
        gpu.write(buffers.tables, &bytes(&inputs.tables))?;
        if !inputs.tiles.is_empty() {
            gpu.write(buffers.tiles, &bytes(&inputs.tiles))?;
        }
        Ok(())
    }

    fn compute(&mut self, shape: StepShape) -> Result<(), DeviceError> {
        let StepShape::Decode(bucket) = shape else {
            let launches = self.program().launches(shape);
            return self.gpu.launch(&launches);
        };
        let known = self.graphs.get(&bucket).copied();
        if let Some(Some(graph)) = known {
            return self.gpu.replay(graph);
        }
        let launches = self.program().launches(shape);
        if known.is_none() {
            // The first launch of a kernel loads it, which cannot be captured.
            self.graphs.insert(bucket, None);
            return self.gpu.launch(&launches);
        }
        let graph = self.gpu.capture(&launches)?;
        self.graphs.insert(bucket, Some(graph));
        self.gpu.replay(graph)
    }

    fn program(&self) -> Program<'_> {
        let Self { gpu, config, options, weights, buffers, .. } = self;
        Program { api: gpu.api(), facts: gpu.facts(), config, options: *options, weights, buffers }
    }
}

impl Executor for CudaExecutor {
    fn run(&mut self, plan: &StepPlan) -> Result<(), DeviceError> {
        let shape = StepShape::of(plan, self.tile_tokens);
        self.upload(plan, shape)?;
        self.compute(shape)?;
        let mut tokens = vec![0u8; 4 * plan.logits.len()];
        if !tokens.is_empty() {
            self.gpu.read(self.buffers.greedy, &mut tokens)?;
        }
        self.greedy.clear();
        self.greedy.extend(tokens.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)));
        Ok(())
    }

    fn greedy(&self, wanted: usize) -> u32 {
        self.greedy[wanted]
    }

    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError> {
        assert!(wanted < self.greedy.len(), "logits of the last step");
        let mut row = vec![0u8; 4 * self.config.vocab_size];
        self.gpu.read(self.buffers.logits.plus(wanted * row.len()), &mut row)?;
        self.logits.clear();
        self.logits.extend(row.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        Ok(&self.logits)
    }
}

fn bytes(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
