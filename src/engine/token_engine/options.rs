//! The option values of the engine: the `[engine]` section of an experiment file.

use serde::{Deserialize, Serialize};

/// How the engine runs. No option changes any result; they change speed and memory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineOptions {
    /// Compute threads; all cores when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Tokens per block of keys and values: 16, 32 or 64. Prefixes are shared in whole blocks.
    pub block_tokens: usize,
    /// Tokens that the K/V pool holds over all sequences; when absent, what 2 GiB hold, and no more than `max_running`
    /// sequences of the longest context can use.
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
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            threads: None,
            block_tokens: 16,
            kv_tokens: None,
            step_tokens: 512,
            max_running: 64,
            queue: 1024,
            prefix_reuse: true,
        }
    }
}
