//! Carries out step plans on tensors of candle.

use super::attention::MOST_NUMBERS;
use super::cache::{Cache, token_bytes};
use super::decoder::{Decoder, largest};
use super::device::CandleDevice;
use super::weights::{CandleError, Weights};
use crate::executor::{DeviceError, Executor};
use crate::kernels::Heads;
use crate::qwen3::{Config, Dtype};
use crate::schedule::StepPlan;
use crate::weights::TensorSource;
use candle_core::Tensor;

/// The share of a GPU's memory beside weights and steps that keys and values may take.
const SHARE: f64 = 0.9;

/// Fewer tokens of keys and values than this are no use.
const LEAST_TOKENS: usize = 512;

/// What steps may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CandleOptions {
    /// The number of tokens per block of keys and values.
    pub(crate) block_tokens: usize,
    /// The number of blocks of keys and values.
    pub(crate) blocks: usize,
    /// Whether fewer blocks will do where a GPU's memory is short.
    pub(crate) fewer_blocks_do: bool,
    /// The number of rows of the largest step.
    pub(crate) step_tokens: usize,
    /// The number of sequences in a step.
    pub(crate) max_running: usize,
}

/// A model on a device of candle.
pub(crate) struct CandleExecutor {
    decoder: Decoder,
    cache: Cache,
    blocks: usize,
    /// The logits of the last step; `None` if its plan wanted none.
    logits: Option<Tensor>,
    greedy: Vec<u32>,
    /// The logits that were asked for last.
    row: Vec<f32>,
}

impl CandleExecutor {
    /// Takes the tensors of `source` to the device, the matrices in `dtype`, and allocates the keys
    /// and values.
    ///
    /// # Errors
    /// A tensor is missing or misshapen, or the device has too little memory.
    pub(crate) fn load(
        device: &CandleDevice,
        config: &Config,
        source: &mut dyn TensorSource,
        dtype: Dtype,
        options: CandleOptions,
    ) -> Result<Self, CandleError> {
        let positions = config.max_position_embeddings.min(options.blocks * options.block_tokens);
        let weights = Weights::load(device.tensors(), config, source, dtype, positions)?;
        let blocks = options.fitted(device, config)?;
        let heads = heads(config);
        let cache = Cache::new(device.tensors(), config.num_hidden_layers, heads, blocks * options.block_tokens)?;
        let (eps, block_tokens) = (config.rms_norm_eps as f32, options.block_tokens);
        let (device, most_numbers) = (device.tensors().clone(), MOST_NUMBERS);
        let decoder = Decoder { device, weights, heads, eps, block_tokens, most_numbers };
        Ok(Self { decoder, cache, blocks, logits: None, greedy: Vec::new(), row: Vec::new() })
    }

    /// Returns the number of blocks of keys and values.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Computes attention in smaller pieces, as large models need it.
    #[cfg(test)]
    pub(super) fn attend_at_once(&mut self, most_numbers: usize) {
        self.decoder.most_numbers = most_numbers;
    }

    /// Returns the size of the matrices that a decode step reads.
    pub(crate) fn weight_bytes_per_step(&self) -> usize {
        self.decoder.weights.bytes_per_step()
    }

    /// Returns the size of the keys and values of one token, over all layers.
    pub(crate) fn kv_bytes_per_token(device: &CandleDevice, config: &Config) -> usize {
        config.num_hidden_layers * token_bytes(device.tensors(), heads(config))
    }
}

impl CandleOptions {
    /// Returns the number of blocks: no more than fit beside the weights, which are there already,
    /// if fewer will do.
    fn fitted(&self, device: &CandleDevice, config: &Config) -> Result<usize, DeviceError> {
        let Some(free) = device.free_bytes()?.filter(|_| self.fewer_blocks_do) else { return Ok(self.blocks) };
        let block_bytes = CandleExecutor::kv_bytes_per_token(device, config) * self.block_tokens;
        let room = ((free as f64 * SHARE) as usize).saturating_sub(self.step_bytes(config)) / block_bytes;
        if room < self.blocks.min(LEAST_TOKENS / self.block_tokens) {
            return Err(DeviceError(format!(
                "{:.2} GiB are free beside the weights, which leaves too little for steps, keys and values: choose a \
                 smaller `dtype`, or lower `engine.step_tokens`, or set `engine.kv_tokens`",
                free as f64 / f64::from(1 << 30)
            )));
        }
        Ok(self.blocks.min(room))
    }

    /// Returns what the largest step takes at its worst moment: logits with their copies, the
    /// activations of a layer, and what attention gathers.
    fn step_bytes(&self, config: &Config) -> usize {
        let (hidden, mlp, v) = (config.hidden_size, config.intermediate_size, config.vocab_size);
        let queries = config.num_attention_heads * config.head_dim;
        let rows = self.step_tokens.max(self.max_running);
        4 * (5 * self.max_running * v + rows * (4 * hidden + 4 * mlp + 6 * queries) + 2 * MOST_NUMBERS)
    }
}

impl Executor for CandleExecutor {
    fn start(&mut self, plan: &StepPlan) -> Result<(), DeviceError> {
        self.logits = self.decoder.forward(plan, &self.cache)?;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        self.greedy = match &self.logits {
            Some(logits) => largest(logits)?,
            None => Vec::new(),
        };
        Ok(())
    }

    fn greedy(&self, wanted: usize) -> u32 {
        self.greedy[wanted]
    }

    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError> {
        let logits = self.logits.as_ref().expect("logits of the last step");
        self.row = logits.get(wanted)?.to_vec1()?;
        Ok(&self.row)
    }
}

fn heads(config: &Config) -> Heads {
    let Config { num_attention_heads: n_q, num_key_value_heads: n_kv, head_dim: d, .. } = *config;
    Heads { n_q, n_kv, d }
}
