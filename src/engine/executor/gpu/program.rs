//! The launches of a step: embedding, eight or nine a layer (one more where decode rows and prompts
//! share it), norm, LM head, argmax; and the one for questions about its logits.

use super::buckets::Bucket;
use super::buffers::Buffers;
use super::device::{Address, Facts};
use super::inputs::{Asked, StepShape};
use super::options::GpuOptions;
use super::weights::{Layer, Matrix, Weights};
use crate::kernels::gpu::{
    AddNorm, Argmax, DecodeAttention, Embed, Epilogue, Gemm, KernelRules, Launch, Linear, PrefillAttention, Rotate,
    Scores, Silu, Type,
};
use crate::qwen3::Config;
use std::ptr;

/// Rows of a product that share one reading of its weights.
const ROWS_PER_PASS: u32 = 80;

/// What launches are made of.
pub(super) struct Program<'a> {
    pub(super) rules: &'a dyn KernelRules,
    pub(super) facts: Facts,
    pub(super) config: &'a Config,
    pub(super) options: GpuOptions,
    pub(super) weights: &'a Weights,
    pub(super) buffers: &'a Buffers,
}

impl Program<'_> {
    /// The launches of a step of a shape, in order. They depend on nothing else.
    pub(super) fn launches(&self, shape: StepShape) -> Vec<Launch> {
        let rows = shape.rows() as u32;
        let mut launches = vec![self.embed(rows)];
        for (index, layer) in self.weights.layers.iter().enumerate() {
            self.layer(&mut launches, layer, index, shape);
        }
        let Buffers { inputs, normed, logits, .. } = self.buffers;
        let (wanted, pick) = match shape {
            StepShape::Decode(_) => (rows, Address::NONE),
            StepShape::Prefill { wanted, .. } => (wanted as u32, inputs.picks),
        };
        if wanted > 0 {
            launches.push(self.norm(wanted, self.weights.norm, pick));
            launches.push(self.product(wanted, &self.weights.head, *normed, *logits, Epilogue::StoreF32));
            launches.push(self.argmax(wanted));
        }
        launches
    }

    fn layer(&self, launches: &mut Vec<Launch>, layer: &Layer, index: usize, shape: StepShape) {
        let rows = shape.rows() as u32;
        let Buffers { x, normed, qkv, attended, gated, .. } = *self.buffers;
        launches.push(self.norm(rows, layer.input_layernorm, Address::NONE));
        launches.push(self.product(rows, &layer.qkv, normed, qkv, Epilogue::StoreF32));
        launches.push(self.rotate(rows, layer, index));
        match shape {
            StepShape::Decode(bucket) => launches.push(self.decode_attention(index, bucket)),
            StepShape::Prefill { alone, tiles, .. } => {
                // Decode rows attend with the kernel that spreads their keys over the device, in
                // any company: a tile of one token would leave most of a block idle.
                launches.extend(alone.map(|bucket| self.decode_attention(index, bucket)));
                if tiles > 0 {
                    launches.push(self.prefill_attention(index, tiles));
                }
            }
        }
        launches.push(self.product(rows, &layer.o, attended, x, Epilogue::AddF32));
        launches.push(self.norm(rows, layer.post_attention_layernorm, Address::NONE));
        if layer.gate_up.is_plain() {
            launches.push(self.product(rows, &layer.gate_up, normed, self.buffers.gate_up, Epilogue::StoreBf16));
            launches.push(self.silu(rows));
        } else {
            launches.push(self.product(rows, &layer.gate_up, normed, gated, Epilogue::Gated));
        }
        launches.push(self.product(rows, &layer.down, gated, x, Epilogue::AddF32));
    }

    fn embed(&self, rows: u32) -> Launch {
        let table = &self.weights.table;
        Launch::Embed(Embed {
            table: table.weights.get(),
            row_scales: ptr::null(),
            tokens: self.buffers.inputs.tokens.get(),
            out: self.buffers.x.get_mut(),
            rows,
            hidden: table.inputs as u32,
            vocabulary: table.outputs as u32,
            format: table.packing,
            out_type: Type::F32,
        })
    }

    fn norm(&self, rows: u32, weight: Address, pick: Address) -> Launch {
        Launch::AddNorm(AddNorm {
            x: self.buffers.x.get_mut(),
            addend: ptr::null(),
            weight: weight.get(),
            out: self.buffers.normed.get_mut(),
            pick: pick.get(),
            rows,
            n: self.config.hidden_size as u32,
            addend_type: Type::F32,
            eps: self.config.rms_norm_eps as f32,
        })
    }

    fn rotate(&self, rows: u32, layer: &Layer, index: usize) -> Launch {
        let (buffers, heads) = (self.buffers, self.heads());
        Launch::Rotate(Rotate {
            qkv: buffers.qkv.get(),
            q_norm: layer.q_norm.get(),
            k_norm: layer.k_norm.get(),
            cos: self.weights.cos.get(),
            sin: self.weights.sin.get(),
            positions: buffers.inputs.positions.get(),
            slots: buffers.inputs.slots.get(),
            q: buffers.q.get_mut(),
            keys: buffers.keys[index].get_mut(),
            values: buffers.values[index].get_mut(),
            rows,
            n_q: heads.n_q,
            n_kv: heads.n_kv,
            d: heads.d,
            block_tokens: self.options.block_tokens as u32,
            qkv_type: Type::F32,
            eps: self.config.rms_norm_eps as f32,
        })
    }

    /// Attention of the first rows of the step, as many as the bucket has.
    fn decode_attention(&self, index: usize, bucket: Bucket) -> Launch {
        let (buffers, heads) = (self.buffers, self.heads());
        let (n_kv, processors) = (heads.n_kv as usize, self.facts.multiprocessors);
        Launch::DecodeAttention(DecodeAttention {
            q: buffers.q.get(),
            keys: buffers.keys[index].get(),
            values: buffers.values[index].get(),
            lengths: buffers.inputs.lengths.get(),
            table_starts: buffers.inputs.table_starts.get(),
            tables: buffers.tables.get(),
            out: buffers.attended.get_mut(),
            workspace: buffers.workspace.get_mut(),
            counters: buffers.counters.get_mut(),
            rows: bucket.rows as u32,
            n_q: heads.n_q,
            n_kv: heads.n_kv,
            d: heads.d,
            block_tokens: self.options.block_tokens as u32,
            max_length: bucket.keys as u32,
            spread: self.rules.decode_attention_spread(bucket.rows, n_kv, bucket.keys, processors),
        })
    }

    fn prefill_attention(&self, index: usize, tiles: usize) -> Launch {
        let (buffers, heads) = (self.buffers, self.heads());
        Launch::PrefillAttention(PrefillAttention {
            q: buffers.q.get(),
            keys: buffers.keys[index].get(),
            values: buffers.values[index].get(),
            tiles: buffers.tiles.get(),
            tables: buffers.tables.get(),
            out: buffers.attended.get_mut(),
            tile_count: tiles as u32,
            n_q: heads.n_q,
            n_kv: heads.n_kv,
            d: heads.d,
            block_tokens: self.options.block_tokens as u32,
        })
    }

    /// The launch that answers questions about the logits of a step with `wanted` rows of them.
    /// Its answers lie behind the step's tokens, in the order of [`Answers`].
    pub(super) fn scores(&self, asked: Asked, wanted: usize) -> Launch {
        let Buffers { questions, logits, greedy, .. } = *self.buffers;
        let answers = Answers::of(asked, 4 * wanted);
        Launch::Scores(Scores {
            logits: logits.get(),
            rows: questions.get(),
            pick_ends: questions.plus(4 * asked.rows).get(),
            picks: questions.plus(8 * asked.rows).get(),
            sums: greedy.plus(answers.sums).get_mut(),
            picked: greedy.plus(answers.picked).get_mut(),
            top_columns: greedy.plus(answers.top_columns).get_mut(),
            top_logits: greedy.plus(answers.top_logits).get_mut(),
            workspace: self.buffers.workspace.get_mut(),
            counters: self.buffers.counters.get_mut(),
            asked: asked.rows as u32,
            top: asked.top as u32,
            vocabulary: self.config.vocab_size as u32,
        })
    }

    fn product(&self, rows: u32, matrix: &Matrix, x: Address, y: Address, epilogue: Epilogue) -> Launch {
        if !matrix.is_plain() {
            return self.linear(rows, matrix, x, y, epilogue);
        }
        Launch::Gemm(Gemm {
            x: x.get(),
            weights: matrix.weights.get(),
            y: y.get_mut(),
            rows,
            inputs: matrix.inputs as u32,
            outputs: matrix.outputs as u32,
            epilogue,
        })
    }

    fn silu(&self, rows: u32) -> Launch {
        Launch::Silu(Silu {
            gate_up: self.buffers.gate_up.get(),
            out: self.buffers.gated.get_mut(),
            rows,
            n: self.config.intermediate_size as u32,
            r#type: Type::Bf16,
        })
    }

    fn linear(&self, rows: u32, matrix: &Matrix, x: Address, y: Address, epilogue: Epilogue) -> Launch {
        let outputs = matrix.outputs as u32;
        Launch::Linear(Linear {
            x: x.get(),
            weights: matrix.weights.get(),
            row_scales: matrix.row_scales.get(),
            bias: matrix.bias.get(),
            y: y.get_mut(),
            workspace: self.buffers.workspace.get_mut(),
            counters: self.buffers.counters.get_mut(),
            rows,
            inputs: matrix.inputs as u32,
            outputs,
            x_stride: matrix.inputs as u32,
            y_stride: if epilogue == Epilogue::Gated { outputs / 2 } else { outputs },
            format: matrix.packing,
            epilogue,
            splits: parts(matrix.splits, rows, self.options.fast),
            shared_limit: self.facts.shared_limit,
        })
    }

    fn argmax(&self, rows: u32) -> Launch {
        Launch::Argmax(Argmax {
            logits: self.buffers.logits.get(),
            tokens: self.buffers.greedy.get_mut(),
            largest: ptr::null_mut(),
            workspace: self.buffers.workspace.get_mut(),
            counters: self.buffers.counters.get_mut(),
            rows,
            vocabulary: self.config.vocab_size as u32,
        })
    }

    fn heads(&self) -> Heads {
        let config = self.config;
        Heads {
            n_q: config.num_attention_heads as u32,
            n_kv: config.num_key_value_heads as u32,
            d: config.head_dim as u32,
        }
    }
}

/// Where the answers about logits lie, in bytes.
pub(super) struct Answers {
    /// f32 `[asked, 2]`.
    pub(super) sums: usize,
    /// f32 `[picks]`.
    pub(super) picked: usize,
    /// u32 `[asked, top]`.
    pub(super) top_columns: usize,
    /// f32 `[asked, top]`.
    pub(super) top_logits: usize,
}

impl Answers {
    /// One behind the other, from `first` on.
    pub(super) fn of(asked: Asked, first: usize) -> Self {
        let picked = first + 8 * asked.rows;
        let top_columns = picked + 4 * asked.picks;
        Self { sums: first, picked, top_columns, top_logits: top_columns + 4 * asked.rows * asked.top }
    }
}

/// The model's heads, as the kernels take them.
struct Heads {
    n_q: u32,
    n_kv: u32,
    d: u32,
}

/// Parts that the inputs of a product are divided into, of the `splits` with which a few rows fill
/// the device. Many rows fill it by themselves; to use that (`fast`) makes a row's result depend on
/// their number.
fn parts(splits: u32, rows: u32, fast: bool) -> u32 {
    if fast { (splits / rows.div_ceil(ROWS_PER_PASS)).max(1) } else { splits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fast_steps_divide_by_their_rows() {
        for rows in [1, 80, 81, 160, 1000] {
            assert_eq!(parts(4, rows, false), 4, "{rows} rows");
        }
        assert_eq!([1, 80, 81, 160, 1000].map(|rows| parts(4, rows, true)), [4, 4, 2, 2, 1]);
    }
}
