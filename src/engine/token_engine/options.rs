//! The option values of the engine: the `[engine]` section of an experiment file.

use super::EngineError;
use crate::base::{Bound, Bounded, Number, Rule};
use crate::executor::DeviceChoice;
use crate::kernels::THREADS;
use crate::qwen3::{Config, KvDtype};
use crate::schedule::DRAFTING_ROWS;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the engine runs. But for the device, for `deterministic` on a GPU and for `kv_dtype`, no
/// option changes any result; they change speed and memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// Where the model runs.
    pub device: DeviceChoice,
    /// Whether a request's tokens depend on the request alone. On the CPU they always do; on a GPU,
    /// prefill is slower for it.
    pub deterministic: bool,
    /// Compute threads; all cores when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Tokens per block of keys and values: 16, 32 or 64. Prefixes are shared in whole blocks.
    pub block_tokens: usize,
    /// What keys and values are kept in.
    pub kv_dtype: KvDtype,
    /// Tokens that the K/V pool holds over all sequences. When absent, no more than `max_running`
    /// sequences of the longest context can use, and on the CPU what 2 GiB hold but no more than
    /// 32,768, where memory is taken as the pool fills; on a GPU what fits into 90 % of what is
    /// free beside the weights, taken at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_tokens: Option<usize>,
    /// At most this many tokens are computed per step; longer prompts are prefilled in chunks.
    pub step_tokens: usize,
    /// At most this many sequences run at once.
    pub max_running: usize,
    /// At most this many requests wait inside the engine; further callers wait at the door.
    pub queue: usize,
    /// Whether sequences share the keys and values of equal prefixes.
    pub prefix_reuse: bool,
    /// Whether the quantized weights of a large model are kept on disk, below the user's cache
    /// folder, for the next start.
    pub weight_cache: bool,
    /// Models of so many weights and more are large. No key of a file: tests have small ones.
    #[serde(skip)]
    pub worth_keeping: usize,
    /// Where quantized weights are kept, in place of the user's cache folder. No key of a file
    /// either.
    #[serde(skip)]
    pub weight_folder: Option<PathBuf>,
    /// At most this many tokens of a generation are drafted per step: where its last tokens stood
    /// before, what followed them there is computed along, and kept if the model chooses the same.
    /// 0 drafts nothing. Drafts stop where they do not come true and where a step is crowded.
    pub draft_tokens: usize,
    /// Rows in a step up to which drafts are added to what sequences decode. No key of a file:
    /// `maspo bench --draft-rows` measures what the default was chosen by.
    #[serde(skip)]
    pub draft_rows: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: DeviceChoice::Auto,
            deterministic: true,
            threads: None,
            block_tokens: 16,
            kv_dtype: KvDtype::Auto,
            kv_tokens: None,
            step_tokens: 512,
            max_running: 64,
            queue: 1024,
            prefix_reuse: true,
            weight_cache: true,
            worth_keeping: 200_000_000,
            weight_folder: None,
            draft_tokens: 8,
            draft_rows: DRAFTING_ROWS,
        }
    }
}

/// Memory for keys and values when `kv_tokens` is not given.
const KV_BYTES: usize = 2 << 30;

/// Tokens at most when `kv_tokens` is not given: a small model's pool need not keep every prefix it
/// ever saw. Four times as many cost the quickstart 300 MB and, for clearing them, 7 % of its time,
/// and saved it 4 % of its prefill.
const KV_TOKENS: usize = 32 << 10;

impl Bounded for EngineOptions {
    const SECTION: &'static str = "engine";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("threads", THREADS, |options| options.threads.map(Number::from)),
        // The kernels of attention are written for these.
        Bound::new("block_tokens", Rule::OneOf(&[16, 32, 64]), |options| Some(options.block_tokens.into())),
        Bound::new("kv_tokens", Rule::Whole(1, 1 << 28), |options| options.kv_tokens.map(Number::from)),
        Bound::new("step_tokens", Rule::Whole(1, 1 << 16), |options| Some(options.step_tokens.into())),
        Bound::new("max_running", Rule::Whole(1, 1 << 12), |options| Some(options.max_running.into())),
        Bound::new("queue", Rule::Whole(1, 1 << 20), |options| Some(options.queue.into())),
        Bound::new("draft_tokens", Rule::Whole(0, 64), |options| Some(options.draft_tokens.into())),
    ];
}

impl EngineOptions {
    /// Checks that every option is within its bounds.
    ///
    /// # Errors
    /// The first option that is not.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.out_of_bounds().next().map_or(Ok(()), |fault| Err(EngineError::Option(fault)))
    }

    /// Blocks in the K/V pool of a model whose keys and values take `kv_bytes` a token.
    pub(crate) fn blocks(&self, config: &Config, kv_bytes: usize) -> usize {
        let tokens = self.kv_tokens.unwrap_or_else(|| {
            let useful = self.max_running.saturating_mul(config.max_position_embeddings);
            (KV_BYTES / kv_bytes).clamp(512, KV_TOKENS).min(useful)
        });
        tokens.div_ceil(self.block_tokens)
    }
}
