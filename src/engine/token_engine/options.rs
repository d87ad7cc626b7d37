//! The option values of the engine: the `[engine]` section of an experiment file.

use super::EngineError;
use crate::engine::executor::DeviceChoice;
use crate::engine::qwen3::{Config, KvDtype};
use crate::engine::schedule::DRAFTING_ROWS;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the engine runs. But for the device, for `deterministic` on a GPU and for `kv_dtype`, no option changes any result; they change
/// speed and memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// Where the model runs.
    pub device: DeviceChoice,
    /// Whether a request's tokens depend on the request alone. On the CPU they always do; on a GPU, prefill is slower for it.
    pub deterministic: bool,
    /// Compute threads; all cores when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Tokens per block of keys and values: 16, 32 or 64. Prefixes are shared in whole blocks.
    pub block_tokens: usize,
    /// What keys and values are kept in.
    pub kv_dtype: KvDtype,
    /// Tokens that the K/V pool holds over all sequences. When absent, no more than `max_running` sequences of the longest context can
    /// use, and on the CPU what 2 GiB hold but no more than 32,768, where memory is taken as the pool fills; on a GPU what fits into
    /// 90 % of what is free beside the weights, taken at once and divided among the models of a run.
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
    /// Whether the quantized weights of a large model are kept on disk, below the user's cache folder, for the next start.
    pub weight_cache: bool,
    /// Models of so many weights and more are large. No key of a file: tests have small ones.
    #[serde(skip)]
    pub worth_keeping: usize,
    /// Where quantized weights are kept, in place of the user's cache folder. No key of a file either.
    #[serde(skip)]
    pub weight_folder: Option<PathBuf>,
    /// At most this many tokens of a generation are drafted per step: where its last tokens stood before, what followed them
    /// there is computed along, and kept if the model chooses the same. 0 drafts nothing. Drafts stop where they do not come
    /// true and where a step is crowded.
    pub draft_tokens: usize,
    /// Rows in a step up to which drafts are added to what sequences decode. No key of a file: `maspo bench --draft-rows` measures what
    /// the default was chosen by.
    #[serde(skip)]
    pub draft_rows: usize,
    /// Models that this run has still to open on the device, this one included. A GPU's memory for keys and values is divided
    /// among them when `kv_tokens` is absent. No key of a file: who opens the models knows how many there are.
    #[serde(skip)]
    pub models_to_open: usize,
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
            models_to_open: 1,
        }
    }
}

/// Memory for keys and values when `kv_tokens` is not given.
const KV_BYTES: usize = 2 << 30;

/// Tokens at most when `kv_tokens` is not given: a small model's pool need not keep every prefix it ever saw. Four times as many cost the
/// quickstart 300 MB and, for clearing them, 7 % of its time, and saved it 4 % of its prefill.
const KV_TOKENS: usize = 32 << 10;

impl EngineOptions {
    /// Every option in its range.
    pub(in crate::engine) fn check(&self) -> Result<(), EngineError> {
        let refuse = |key, value, rule| Err(EngineError::Option { key, value, rule });
        let kv_tokens = self.kv_tokens.unwrap_or(1);
        if ![16, 32, 64].contains(&self.block_tokens) {
            return refuse("block_tokens", self.block_tokens, "it must be 16, 32 or 64");
        }
        if !(1..=1 << 28).contains(&kv_tokens) {
            return refuse("kv_tokens", kv_tokens, "it must be between 1 and 2^28");
        }
        if !(1..=1 << 16).contains(&self.step_tokens) {
            return refuse("step_tokens", self.step_tokens, "it must be between 1 and 65536");
        }
        if !(1..=1 << 12).contains(&self.max_running) {
            return refuse("max_running", self.max_running, "it must be between 1 and 4096");
        }
        if !(1..=1 << 20).contains(&self.queue) {
            return refuse("queue", self.queue, "it must be between 1 and 2^20");
        }
        if self.draft_tokens > 64 {
            return refuse("draft_tokens", self.draft_tokens, "it must be between 0 and 64");
        }
        Ok(())
    }

    /// Blocks in the K/V pool of a model whose keys and values take `kv_bytes` a token.
    pub(in crate::engine) fn blocks(&self, config: &Config, kv_bytes: usize) -> usize {
        let tokens = self.kv_tokens.unwrap_or_else(|| {
            let useful = self.max_running.saturating_mul(config.max_position_embeddings);
            (KV_BYTES / kv_bytes).clamp(512, KV_TOKENS).min(useful)
        });
        tokens.div_ceil(self.block_tokens)
    }
}
