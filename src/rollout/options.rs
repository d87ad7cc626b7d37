//! Options of the rollout: how the graph is run.

use serde::{Deserialize, Serialize};

/// Options of the `[rollout]` section.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutOptions {
    /// The most queries of one call that are in flight at once (0 counts as 1); the others wait.
    pub max_in_flight: usize,
    /// The most words of a summary: 30 in the paper, 50 for code.
    pub summary_words: usize,
}

impl Default for RolloutOptions {
    fn default() -> Self {
        Self { max_in_flight: 64, summary_words: 30 }
    }
}
