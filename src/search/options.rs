//! The search's constants; the paper's values are the defaults, and every ablation is a value here.

use serde::{Deserialize, Serialize};

/// In which order agents are optimized.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// T steps per agent, then the next agent, D rounds (coordinate ascent).
    #[default]
    Interleaved,
    /// All D·T steps of one agent before the next agent (ablation: sequential convergence).
    Sequential,
}

/// Options of the `[search]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchOptions {
    /// D: rounds over the agents.
    pub rounds: usize,
    /// T: steps per agent and round.
    pub steps: usize,
    /// K: beam width.
    pub beam: usize,
    /// K_sub: candidates per parent and step.
    pub candidates: usize,
    /// |B|: queries per mini-batch.
    pub batch: usize,
    /// Re-score the beam when an agent is revisited (Eq. 8).
    pub refresh: bool,
    /// In which order agents are optimized.
    pub schedule: Schedule,
    /// Queries of the final check of seed against optimized prompts.
    pub final_check: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            rounds: 3,
            steps: 3,
            beam: 2,
            candidates: 2,
            batch: 10,
            refresh: true,
            schedule: Schedule::Interleaved,
            final_check: 20,
        }
    }
}
