//! Memory of the steps: it is allocated once, for the largest step, and never moves.

use super::device::{Address, Gpu, MOST_FETCH_BYTES, allocate};
use super::options::{GpuOptions, Shared};
use super::weights::Weights;
use crate::executor::OutOfMemory;
use crate::qwen3::Config;

/// Tokens whose logits a step may be asked for.
pub(super) const MOST_PICKS: usize = 8192;

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
    /// bf16 `[rows, gate mlp | up mlp]`, where the product does not gate itself; or none.
    pub(super) gate_up: Address,
    /// bf16 `[rows, mlp]`.
    pub(super) gated: Address,
    /// f32 `[rows, v]`.
    pub(super) logits: Address,
    /// The chosen tokens, u32 `[rows]`; behind those of a step lie its answers about logits.
    pub(super) greedy: Address,
    /// Questions about logits, u32: rows, ends of their picks, picks.
    pub(super) questions: Address,
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
    ) -> Result<Self, OutOfMemory> {
        let rows = options.rows();
        let d = config.head_dim;
        let (q, kv) = (config.num_attention_heads * d, config.num_key_value_heads * d);
        let Shared { workspace_bytes, counters } = options.shared(gpu.rules(), config, weights);
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
            gate_up: if weights.gates_apart() {
                need(wide, 4 * rows * config.intermediate_size)?
            } else {
                Address::NONE
            },
            gated: need(wide, 2 * rows * config.intermediate_size)?,
            logits: need(wide, 4 * rows * config.vocab_size)?,
            keys: (0..config.num_hidden_layers).map(|_| need(keys_and_values, pool)).collect::<Result<_, _>>()?,
            values: (0..config.num_hidden_layers).map(|_| need(keys_and_values, pool)).collect::<Result<_, _>>()?,
            workspace: need("the workspace of attention and products (lower `engine.kv_tokens`)", workspace_bytes)?,
            counters: need(wide, 4 * counters)?,
            greedy: need(wide, MOST_FETCH_BYTES.max(4 * rows))?,
            questions: need(wide, 4 * (2 * rows + MOST_PICKS))?,
        })
    }
}
