//! The engine's options: the `[engine]` section of an experiment file.

use super::EngineError;
use crate::base::{Bound, Bounded, Number, Rule};
use crate::blocks::PoolSize;
use crate::executor::{Backend, DeviceChoice};
use crate::kernels::THREADS;
use crate::qwen3::{Config, KvDtype};
use crate::schedule::DRAFTING_ROWS;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the engine runs. Only the device, the backend, `deterministic` on a GPU and `kv_dtype` can
/// change results; all other options change speed and memory alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// Where the model runs.
    pub device: DeviceChoice,
    /// What computes on the device.
    pub backend: Backend,
    /// Whether a request's tokens depend on the request alone. On the CPU they always do. On a GPU
    /// this makes prefill slower. On candle they may depend on its company in either case.
    pub deterministic: bool,
    /// Whether a backend is refused that cannot be deterministic. No key of an experiment file: the
    /// flag `--deterministic` sets it.
    #[serde(skip)]
    pub must_be_deterministic: bool,
    /// The number of compute threads; all cores when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// The number of tokens per block of keys and values: 16, 32 or 64. Prefixes are shared in
    /// whole blocks.
    pub block_tokens: usize,
    /// The number format of keys and values.
    pub kv_dtype: KvDtype,
    /// The number of tokens that the K/V pool holds over all sequences. When absent, it is never
    /// more than `max_running` sequences of the longest context can use. On the CPU it is what fits
    /// into three quarters of the memory that is free beside the weights, and memory is taken as
    /// running sequences need it; unused prefixes are kept up to 2 GiB or 32,768 tokens. On a GPU
    /// it is what fits into 90 % of that memory, taken at once. Both are divided among the models
    /// of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_tokens: Option<usize>,
    /// The most tokens that are computed per step. Longer prompts are prefilled in chunks.
    pub step_tokens: usize,
    /// The most sequences that run at once.
    pub max_running: usize,
    /// The most requests that wait inside the engine. Further callers wait before they are queued.
    pub queue: usize,
    /// Whether sequences share the keys and values of equal prefixes.
    pub prefix_reuse: bool,
    /// Whether the quantized weights of a large model are kept on disk for the next start, below
    /// the user's cache folder.
    pub weight_cache: bool,
    /// The number of weights from which on a model is large. No key of an experiment file: tests
    /// have small models.
    #[serde(skip)]
    pub worth_keeping: usize,
    /// The folder for quantized weights in place of the user's cache folder. No key of an
    /// experiment file either.
    #[serde(skip)]
    pub weight_folder: Option<PathBuf>,
    /// The most tokens of a generation that are drafted per step by prompt lookup: where the last
    /// tokens occurred before, what followed them there is verified in the same step. 0 drafts
    /// nothing. Drafting pauses where drafts are rejected and where a step has many rows.
    pub draft_tokens: usize,
    /// The number of rows in a step up to which drafts are added. No key of an experiment file:
    /// `maspo bench --draft-rows` measures what the default was chosen by.
    #[serde(skip)]
    pub draft_rows: usize,
    /// The number of models that this run has still to open on the device, this one included. A
    /// GPU's memory for keys and values is divided among them when `kv_tokens` is absent. No key of
    /// an experiment file: whoever opens the models knows how many there are.
    #[serde(skip)]
    pub models_to_open: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            device: DeviceChoice::Auto,
            backend: Backend::Auto,
            deterministic: true,
            must_be_deterministic: false,
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

/// The memory up to which unused prefixes are kept when `kv_tokens` is not given.
const KV_BYTES: usize = 2 << 30;

/// The most tokens of which they are kept: a small model's pool need not keep every prefix it ever
/// computed. Four times as many cost the quickstart 300 MB and, for clearing them, 7 % of its time,
/// and saved 4 % of its prefill.
const KV_TOKENS: usize = 32 << 10;

/// The most tokens of a pool, whatever memory there is.
const MOST_TOKENS: usize = 1 << 28;

/// The share of free memory that the CPU's pool may grow to.
const POOL_SHARE: f64 = 0.75;

impl Bounded for EngineOptions {
    const SECTION: &'static str = "engine";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("threads", THREADS, |options| options.threads.map(Number::from)),
        // The attention kernels exist for these sizes only.
        Bound::new("block_tokens", Rule::OneOf(&[16, 32, 64]), |options| Some(options.block_tokens.into())),
        Bound::new("kv_tokens", Rule::Whole(1, MOST_TOKENS as u64), |options| options.kv_tokens.map(Number::from)),
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
    /// The first option that is out of its bounds.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        self.out_of_bounds().next().map_or(Ok(()), |fault| Err(EngineError::Option(fault)))
    }

    /// Returns the size of the CPU's K/V pool for a model whose keys and values take `kv_bytes`
    /// bytes per token. `free` is the memory that is left beside the weights, in bytes; the pool is
    /// not larger than its cache of prefixes where that is not known.
    pub(crate) fn pool(&self, config: &Config, kv_bytes: usize, free: Option<u64>) -> PoolSize {
        let blocks = |tokens: usize| tokens.div_ceil(self.block_tokens);
        if let Some(tokens) = self.kv_tokens {
            return blocks(tokens).into();
        }
        let useful = self.max_running.saturating_mul(config.max_position_embeddings).min(MOST_TOKENS);
        let cached = (KV_BYTES / kv_bytes).clamp(512, KV_TOKENS).min(useful);
        let share = POOL_SHARE / self.models_to_open.max(1) as f64;
        let room = free.map_or(0, |free| (free as f64 * share) as usize / kv_bytes);
        PoolSize { total: blocks(room.min(useful).max(cached)), cached: blocks(cached) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qwen3::testing::plain_config;

    #[test]
    fn the_pool_grows_to_what_is_free_or_of_use_and_keeps_prefixes_in_less() {
        const GIB: u64 = 1 << 30;
        // Qwen3-8B with keys and values in f16.
        let (config, kv_bytes) = (Config { max_position_embeddings: 40960, ..plain_config() }, 147_456);
        let pool = |options: &EngineOptions, free| options.pool(&config, kv_bytes, free);
        let options = EngineOptions::default();
        let cached = (2 * GIB as usize / kv_bytes).div_ceil(16);
        assert_eq!(pool(&options, None), PoolSize { total: cached, cached });
        assert_eq!(pool(&options, Some(GIB)), PoolSize { total: cached, cached }, "little memory");
        let found = pool(&options, Some(16 * GIB));
        assert_eq!(found.cached, cached);
        assert!(found.total * 16 >= 20 * 4096, "twenty answers of 4,096 tokens: {found:?}");
        let two = EngineOptions { models_to_open: 2, ..options.clone() };
        assert_eq!(pool(&two, Some(32 * GIB)), found);
        let most = EngineOptions { max_running: 2, ..options.clone() };
        assert_eq!(pool(&most, Some(1 << 50)).total, 2 * 40960 / 16, "no more than can be used");
        let asked = EngineOptions { kv_tokens: Some(100), ..options };
        assert_eq!(pool(&asked, Some(16 * GIB)), PoolSize::from(7));
    }
}
