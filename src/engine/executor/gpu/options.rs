//! What steps may be, and what memory that takes beside the weights.

use super::buckets::{Bucket, MOST_ROWS};
use super::buffers::MOST_PICKS;
use super::device::{Gpu, MOST_FETCH_BYTES};
use super::weights::Weights;
use crate::executor::DeviceError;
use crate::kernels::gpu::KernelRules;
use crate::qwen3::Config;

/// The share of what is free beside the weights that keys, values and the numbers of steps may
/// take; the rest is for captured steps and for whoever else uses the device. The models of one run
/// divide this share: each takes an equal part of what those before it have left, and the last
/// takes all of it.
const SHARE: f64 = 0.9;

/// Fewer tokens of keys and values than this are no use.
const LEAST_TOKENS: usize = 512;

/// The largest logits that can be asked for of every row of a step at once. More of them, up to the
/// kernels' own limit, can be asked for of fewer rows.
const SURE_TOP: usize = 20;

/// What steps may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GpuOptions {
    /// Tokens per block of keys and values; divides 64.
    pub(crate) block_tokens: usize,
    /// Blocks of keys and values.
    pub(crate) blocks: usize,
    /// Whether fewer will do where memory is short.
    pub(crate) fewer_blocks_do: bool,
    /// Rows of the largest step.
    pub(crate) step_tokens: usize,
    /// Sequences in a step.
    pub(crate) max_running: usize,
    /// Models that are still to be opened on the device, this one included.
    pub(crate) models_to_open: usize,
    /// Whether a row's result may depend on its company: products of many rows are divided less,
    /// and those of bf16 weights go through the device's own library where there is one.
    pub(crate) fast: bool,
}

/// Memory that all operations of a step share.
pub(super) struct Shared {
    pub(super) workspace_bytes: usize,
    pub(super) counters: usize,
}

impl GpuOptions {
    /// Bytes of the keys and values of one token, all layers.
    pub(crate) fn kv_bytes_per_token(config: &Config) -> usize {
        2 * 2 * config.num_key_value_heads * config.head_dim * config.num_hidden_layers
    }

    /// The same with no more blocks than fit beside the weights, which are there already, and
    /// everything else, if fewer will do.
    ///
    /// # Errors
    /// Room for too few.
    pub(super) fn fitted(self, gpu: &dyn Gpu, config: &Config, weights: &Weights) -> Result<Self, DeviceError> {
        if !self.fewer_blocks_do {
            return Ok(self);
        }
        let free = gpu.free_bytes();
        let steps = self.step_bytes(gpu.rules(), config, weights);
        let block_bytes = Self::kv_bytes_per_token(config) * self.block_tokens;
        let share = SHARE / self.models_to_open.max(1) as f64;
        let room = ((free as f64 * share) as usize).saturating_sub(steps) / block_bytes;
        if room < self.blocks.min(LEAST_TOKENS / self.block_tokens) {
            let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
            return Err(DeviceError(format!(
                "{:.2} GiB are free beside the weights and steps take {:.2}, which leaves too little for keys and \
                 values: choose a smaller `dtype`, or lower `engine.step_tokens`, or set `engine.kv_tokens`",
                gib(free),
                gib(steps)
            )));
        }
        Ok(Self { blocks: self.blocks.min(room), ..self })
    }

    /// Positions that a sequence can reach.
    pub(super) fn positions(&self, config: &Config) -> usize {
        config.max_position_embeddings.min(self.blocks * self.block_tokens)
    }

    /// Block numbers of a step's tables.
    pub(super) fn table_entries(&self, config: &Config) -> usize {
        self.max_running * self.positions(config).div_ceil(self.block_tokens)
    }

    /// Rows of the largest step, those that only fill its bucket up included: sequences that decode
    /// all have theirs.
    pub(super) fn rows(&self) -> usize {
        let most = self.step_tokens.max(self.max_running);
        Bucket::of(most, 1, 1).map_or(most, |bucket| bucket.rows).max(most)
    }

    /// What the hungriest operation of the largest step asks for.
    pub(super) fn shared(&self, rules: &dyn KernelRules, config: &Config, weights: &Weights) -> Shared {
        let rows = self.rows();
        let (n_q, n_kv, d) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let positions = self.positions(config);
        let longest = Bucket::of(1, positions, positions).map_or(0, |bucket| bucket.keys);
        let attention = rules.decode_attention_bytes(rows.min(MOST_ROWS), n_q, d, longest);
        let logits = rules.argmax_bytes(rows).max(rules.scores_bytes(rows, SURE_TOP));
        let mut shared = Shared { workspace_bytes: attention.max(logits), counters: rows.max(MOST_ROWS) * n_kv };
        for matrix in weights.matrices() {
            let needs = rules.linear_needs(rows, matrix.outputs, matrix.splits);
            shared.workspace_bytes = shared.workspace_bytes.max(needs.workspace_bytes);
            shared.counters = shared.counters.max(needs.counters);
        }
        shared
    }

    /// Bytes that steps take besides keys and values: activations, inputs, what is shared, the
    /// cosines and sines.
    fn step_bytes(&self, rules: &dyn KernelRules, config: &Config, weights: &Weights) -> usize {
        let (n_q, n_kv, d) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let (hidden, mlp, v) = (config.hidden_size, config.intermediate_size, config.vocab_size);
        let gates = if weights.gates_apart() { 6 * mlp } else { 2 * mlp };
        let row = 4 * v + 6 * hidden + gates + 4 * (n_q + 2 * n_kv) * d + 4 * n_q * d + 64;
        let shared = self.shared(rules, config, weights);
        let lasting = 4 * self.positions(config) * d + 4 * self.table_entries(config);
        let answers = MOST_FETCH_BYTES + 4 * MOST_PICKS;
        self.rows() * row + answers + shared.workspace_bytes + 4 * shared.counters + lasting
    }
}
