//! Which kernel function a launch is, on how many threadgroups and threads. Pure data: the
//! emulation and a device run the same.

use crate::kernels::gpu::{Embed, Epilogue, Launch, Linear, MOST_TOP, Weights};
use std::ffi::c_void;

/// Threads of a simdgroup.
pub(crate) const SIMD: usize = 32;

/// Rows of x that share one reading of the weights, by the last number of a product's function.
const MOST_LINEAR_ROWS: usize = 8;

/// Outputs of a threadgroup of a product.
const LINEAR_OUTPUTS: usize = 32;

/// Heads of a threadgroup of rotation.
const ROTATE_HEADS: usize = 8;

/// Heads of a group that a threadgroup of decode attention has.
const DECODE_QUERIES: usize = 4;

/// Simdgroups, and chunks of keys under way.
const DECODE_SIMDS: usize = 8;

/// Pairs of token and head that a threadgroup of prefill attention has.
const PREFILL_QUERIES: usize = 8;

/// Simdgroups, and chunks of keys under way.
const PREFILL_SIMDS: usize = 4;

/// Pairs of a full tile of prefill.
pub(super) const TILE_PAIRS: usize = 64;

/// How a kernel is started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Dispatch {
    /// The kernel's name.
    pub(crate) function: &'static str,
    pub(crate) threadgroups: [usize; 3],
    /// Of a threadgroup: whole simdgroups.
    pub(crate) threads: usize,
    /// Threadgroup memory: a multiple of 16; 0 where a kernel takes none.
    pub(crate) threadgroup_bytes: usize,
}

/// Every function that a launch may be.
pub(crate) const FUNCTIONS: [&str; 19] = [
    "maspo_embed",
    "maspo_add_norm",
    "maspo_rotate",
    "maspo_decode_attention",
    "maspo_prefill_attention",
    "maspo_argmax",
    "maspo_scores",
    LINEAR[0][0],
    LINEAR[0][1],
    LINEAR[0][2],
    LINEAR[0][3],
    LINEAR[1][0],
    LINEAR[1][1],
    LINEAR[1][2],
    LINEAR[1][3],
    LINEAR[2][0],
    LINEAR[2][1],
    LINEAR[2][2],
    LINEAR[2][3],
];

/// By format and by the rows of x, which are powers of two.
const LINEAR: [[&str; 4]; 3] = [
    ["maspo_linear_bf16_1", "maspo_linear_bf16_2", "maspo_linear_bf16_4", "maspo_linear_bf16_8"],
    ["maspo_linear_q8_0_1", "maspo_linear_q8_0_2", "maspo_linear_q8_0_4", "maspo_linear_q8_0_8"],
    ["maspo_linear_q4_k_1", "maspo_linear_q4_k_2", "maspo_linear_q4_k_4", "maspo_linear_q4_k_8"],
];

impl Dispatch {
    /// What `launch` becomes; `None` for one without rows, which is nothing to do.
    ///
    /// # Errors
    /// A text for sizes or a format that the kernels are not made for.
    pub(crate) fn of(launch: &Launch) -> Result<Option<Self>, String> {
        let dispatch = match launch {
            Launch::Embed(of) => embed(of)?,
            Launch::AddNorm(of) => {
                wanted(of.n > 0 && (of.pick.is_null() || of.addend.is_null()), "a norm adds or picks, not both")?;
                Self::new("maspo_add_norm", [of.rows, 1, 1], 256, 256 / SIMD * size_of::<f32>())
            }
            Launch::Rotate(of) => {
                heads(of.n_q, of.n_kv, of.d, of.block_tokens)?;
                let parts = (of.n_q + 2 * of.n_kv).div_ceil(ROTATE_HEADS as u32);
                Self::new("maspo_rotate", [of.rows, parts, 1], ROTATE_HEADS * SIMD, 0)
            }
            Launch::DecodeAttention(of) => {
                heads(of.n_q, of.n_kv, of.d, of.block_tokens)?;
                let parts = (of.n_q / of.n_kv).div_ceil(DECODE_QUERIES as u32);
                let bytes = attention_bytes(of.d, DECODE_QUERIES, DECODE_SIMDS);
                Self::new("maspo_decode_attention", [of.rows, of.n_kv, parts], DECODE_SIMDS * SIMD, bytes)
            }
            Launch::PrefillAttention(of) => {
                heads(of.n_q, of.n_kv, of.d, of.block_tokens)?;
                let parts = (TILE_PAIRS / PREFILL_QUERIES) as u32;
                let bytes = attention_bytes(of.d, PREFILL_QUERIES, PREFILL_SIMDS);
                Self::new("maspo_prefill_attention", [of.tile_count, of.n_kv, parts], PREFILL_SIMDS * SIMD, bytes)
            }
            Launch::Linear(of) => linear(of)?,
            Launch::Gemm(_) | Launch::Silu(_) => return Err("products and gates are one kernel".to_string()),
            Launch::Argmax(of) => {
                wanted(of.vocabulary > 0, "a choice is among some logits")?;
                Self::new("maspo_argmax", [of.rows, 1, 1], 512, 512 / SIMD * 8)
            }
            Launch::Scores(of) => {
                wanted(of.vocabulary > 0 && of.top as usize <= MOST_TOP, "scores are of some logits, and of few")?;
                Self::new("maspo_scores", [of.asked, 1, 1], 512, 512 / SIMD * 8)
            }
        };
        Ok(Some(dispatch).filter(|dispatch| dispatch.threadgroups[0] > 0 && dispatch.threadgroups[1] > 0))
    }

    fn new(function: &'static str, threadgroups: [u32; 3], threads: usize, threadgroup_bytes: usize) -> Self {
        Self { function, threadgroups: threadgroups.map(|count| count as usize), threads, threadgroup_bytes }
    }
}

fn embed(of: &Embed) -> Result<Dispatch, String> {
    wanted(of.hidden > 0 && of.hidden.is_multiple_of(8), "`hidden` is a multiple of 8")?;
    wanted(of.format != Weights::F8, "tables are bf16, Q8_0 or Q4_K")?;
    Ok(Dispatch::new("maspo_embed", [of.rows, 1, 1], 128, 0))
}

fn linear(of: &Linear) -> Result<Dispatch, String> {
    let eights = of.inputs > 0 && of.inputs.is_multiple_of(8) && of.x_stride.is_multiple_of(8);
    wanted(eights && of.outputs > 0, "`inputs` is a multiple of 8, and so is the stride of x")?;
    let gated = of.epilogue == Epilogue::Gated;
    wanted(
        !gated || (of.outputs.is_multiple_of(2) && of.bias.is_null()),
        "a gated product has pairs of rows and no bias",
    )?;
    let functions = match of.format {
        Weights::RowsBf16 | Weights::Bf16 => LINEAR[0],
        Weights::Q8_0 => LINEAR[1],
        Weights::Q4K => LINEAR[2],
        Weights::F8 => return Err("weights are bf16, Q8_0 or Q4_K".to_string()),
    };
    let rows = (of.rows as usize).next_power_of_two().min(MOST_LINEAR_ROWS);
    // Threadgroups start in the order of the first number: those of the same weights run together.
    let threadgroups = [of.rows.div_ceil(rows as u32), of.outputs.div_ceil(LINEAR_OUTPUTS as u32), 1];
    Ok(Dispatch::new(functions[rows.ilog2() as usize], threadgroups, 8 * SIMD, rows * 256 * size_of::<f32>()))
}

/// Threadgroup memory of attention: queries, weighted values of the chunks under way, their maxima
/// and sums.
fn attention_bytes(d: u32, queries: usize, simds: usize) -> usize {
    size_of::<f32>() * (queries * d as usize * (1 + simds) + 2 * simds * queries)
}

fn heads(n_q: u32, n_kv: u32, d: u32, block_tokens: u32) -> Result<(), String> {
    wanted(d == 64 || d == 128, "heads have 64 or 128 numbers")?;
    let group = n_kv > 0 && n_q > 0 && n_q.is_multiple_of(n_kv) && n_q / n_kv <= 16;
    wanted(group, "up to 16 query heads have one key head")?;
    wanted(block_tokens > 0 && block_tokens.is_multiple_of(16), "blocks have a multiple of 16 tokens")
}

fn wanted(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule.to_string()) }
}

/// The argument struct of a launch: where it lies, and its bytes.
pub(crate) fn arguments(launch: &Launch) -> (*const c_void, usize) {
    fn of<T>(arguments: &T) -> (*const c_void, usize) {
        (std::ptr::from_ref(arguments).cast(), size_of::<T>())
    }
    match launch {
        Launch::Embed(arguments) => of(arguments),
        Launch::AddNorm(arguments) => of(arguments),
        Launch::Rotate(arguments) => of(arguments),
        Launch::DecodeAttention(arguments) => of(arguments),
        Launch::PrefillAttention(arguments) => of(arguments),
        Launch::Linear(arguments) => of(arguments),
        Launch::Gemm(arguments) => of(arguments),
        Launch::Silu(arguments) => of(arguments),
        Launch::Argmax(arguments) => of(arguments),
        Launch::Scores(arguments) => of(arguments),
    }
}
