//! Memory of the steps: it is allocated once, for the largest step, and never moves.

use super::buckets::{Bucket, MOST_ROWS};
use super::device::{Address, Gpu, allocate};
use super::weights::Weights;
use crate::engine::executor::DeviceError;
use crate::engine::qwen3::Config;

/// What steps may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GpuOptions {
    /// Tokens per block of keys and values; divides 64.
    pub(crate) block_tokens: usize,
    /// Blocks of keys and values.
    pub(crate) blocks: usize,
    /// Rows of the largest step.
    pub(crate) step_tokens: usize,
    /// Sequences in a step.
    pub(crate) max_running: usize,
    /// Whether products may be divided by what is in the batch: then a row's result depends on its company.
    pub(crate) fast: bool,
}

impl GpuOptions {
    /// Bytes that steps take besides keys and values, nearly all of them: activations of the largest step, the cosines and sines.
    pub(crate) fn step_bytes(config: &Config, rows: usize) -> usize {
        let (n_q, n_kv, d) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let (hidden, mlp, v) = (config.hidden_size, config.intermediate_size, config.vocab_size);
        let row = 4 * v + 6 * hidden + 2 * mlp + 4 * (n_q + 2 * n_kv) * d + 4 * n_q * d;
        rows * row + 4 * config.max_position_embeddings * d
    }

    /// Bytes of the keys and values of one token, all layers.
    pub(crate) fn kv_bytes_per_token(config: &Config) -> usize {
        2 * 2 * config.num_key_value_heads * config.head_dim * config.num_hidden_layers
    }

    /// Positions that a sequence can reach.
    pub(super) fn positions(&self, config: &Config) -> usize {
        config.max_position_embeddings.min(self.blocks * self.block_tokens)
    }

    /// Block numbers of a step's tables.
    pub(super) fn table_entries(&self, config: &Config) -> usize {
        self.max_running * self.positions(config).div_ceil(self.block_tokens)
    }

    /// Rows of the largest step, those that only fill its bucket up included: sequences that decode all have theirs.
    pub(super) fn rows(&self) -> usize {
        let most = self.step_tokens.max(self.max_running);
        Bucket::of(most, 1).map_or(most, |bucket| bucket.rows).max(most)
    }
}

/// Numbers that a step plan gives for each row, `[rows]` each, one behind the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowInputs {
    pub(super) tokens: Address,
    pub(super) positions: Address,
    pub(super) slots: Address,
    pub(super) lengths: Address,
    pub(super) table_starts: Address,
    /// The rows whose logits are wanted.
    pub(super) picks: Address,
}

impl RowInputs {
    /// How many there are.
    pub(super) const COUNT: usize = 6;
}

/// Addresses of everything that steps read and write.
pub(super) struct Buffers {
    pub(super) inputs: RowInputs,
    pub(super) tables: Address,
    pub(super) tiles: Address,
    /// The residual stream, f32 `[rows, hidden]`.
    pub(super) x: Address,
    /// bf16 `[rows, hidden]`.
    pub(super) normed: Address,
    /// f32 `[rows, (n_q + 2 n_kv) * d]`.
    pub(super) qkv: Address,
    /// bf16 `[rows, n_q * d]`, as `attended`.
    pub(super) q: Address,
    pub(super) attended: Address,
    /// bf16 `[rows, mlp]`.
    pub(super) gated: Address,
    /// f32 `[rows, v]`.
    pub(super) logits: Address,
    /// u32 `[rows]`.
    pub(super) greedy: Address,
    /// By layer, bf16 `[blocks, n_kv, block_tokens, d]`.
    pub(super) keys: Vec<Address>,
    pub(super) values: Vec<Address>,
    pub(super) workspace: Address,
    pub(super) counters: Address,
}

impl Buffers {
    pub(super) fn new(
        gpu: &mut dyn Gpu,
        config: &Config,
        weights: &Weights,
        options: &GpuOptions,
    ) -> Result<Self, DeviceError> {
        let rows = options.rows();
        let d = config.head_dim;
        let (q, kv) = (config.num_attention_heads * d, config.num_key_value_heads * d);
        let (workspace, counters) = shared_sizes(gpu, config, weights, options);
        let pool = 2 * kv * options.block_tokens * options.blocks;
        let mut need = |what: &str, bytes: usize| allocate(gpu, what, bytes);
        let base = need("the inputs of a step", 4 * rows * RowInputs::COUNT)?;
        let input = |index: usize| base.plus(4 * rows * index);
        let keys_and_values = "keys and values (lower `engine.kv_tokens`)";
        let wide = "the numbers of a step (lower `engine.step_tokens`)";
        Ok(Self {
            inputs: RowInputs {
                tokens: input(0),
                positions: input(1),
                slots: input(2),
                lengths: input(3),
                table_starts: input(4),
                picks: input(5),
            },
            tables: need("block tables (lower `engine.max_running`)", 4 * options.table_entries(config))?,
            tiles: need(wide, 16 * rows)?,
            x: need(wide, 4 * rows * config.hidden_size)?,
            normed: need(wide, 2 * rows * config.hidden_size)?,
            qkv: need(wide, 4 * rows * (q + 2 * kv))?,
            q: need(wide, 2 * rows * q)?,
            attended: need(wide, 2 * rows * q)?,
            gated: need(wide, 2 * rows * config.intermediate_size)?,
            logits: need(wide, 4 * rows * config.vocab_size)?,
            greedy: need(wide, 4 * rows)?,
            keys: (0..config.num_hidden_layers).map(|_| need(keys_and_values, pool)).collect::<Result<_, _>>()?,
            values: (0..config.num_hidden_layers).map(|_| need(keys_and_values, pool)).collect::<Result<_, _>>()?,
            workspace: need(wide, workspace)?,
            counters: need(wide, 4 * counters)?,
        })
    }
}

/// Bytes of the workspace, and how many counters: as the hungriest operation of the largest step asks for.
fn shared_sizes(gpu: &dyn Gpu, config: &Config, weights: &Weights, options: &GpuOptions) -> (usize, usize) {
    let (rules, rows) = (gpu.rules(), options.rows());
    let (n_q, n_kv, d) = (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
    let longest = Bucket::of(1, options.positions(config)).map_or(0, |bucket| bucket.keys);
    let mut bytes = rules.decode_attention_bytes(MOST_ROWS, n_q, d, longest).max(rules.argmax_bytes(rows));
    let mut counters = rows.max(MOST_ROWS) * n_kv;
    for matrix in weights.matrices() {
        let needs = rules.linear_needs(rows, matrix.outputs, matrix.splits);
        bytes = bytes.max(needs.workspace_bytes);
        counters = counters.max(needs.counters);
    }
    (bytes, counters)
}
