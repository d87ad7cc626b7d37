//! The weights of the joint reward.

use serde::{Deserialize, Serialize};

/// Options of the `[reward]` section: the weights α, β, θ of Eq. 5. They need not add up to 1; they
/// are normalized.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewardOptions {
    /// The weight α of the local term: the agent's own output, judged for its own role.
    pub local: f64,
    /// The weight β of the lookahead term: the direct successors' outputs, judged for their roles.
    pub lookahead: f64,
    /// The weight θ of the global term: the system's final output.
    pub global: f64,
    /// The number of generations of successors that the lookahead judges: 1 in the paper, up to 3
    /// for the ablation.
    pub lookahead_depth: usize,
}

impl Default for RewardOptions {
    fn default() -> Self {
        Self { local: 0.4, lookahead: 0.4, global: 0.2, lookahead_depth: 1 }
    }
}
