//! The weights of the joint reward.

use crate::base::{Bound, Bounded, Rule};
use serde::{Deserialize, Serialize};

/// Options of the `[reward]` section: the weights α, β, θ of Eq. 5. They need not add up to 1; they
/// are normalized.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

impl Bounded for RewardOptions {
    const SECTION: &'static str = "reward";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("local", Rule::NOT_NEGATIVE, |options| Some(options.local.into())),
        Bound::new("lookahead", Rule::NOT_NEGATIVE, |options| Some(options.lookahead.into())),
        Bound::new("global", Rule::NOT_NEGATIVE, |options| Some(options.global.into())),
        Bound::new("lookahead_depth", Rule::Whole(1, 3), |options| Some(options.lookahead_depth.into())),
    ];
}
