//! Which cases are kept and how many are shown.

use serde::{Deserialize, Serialize};

/// Which cases feed the agent's own next proposals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Local better, lookahead or global worse (Eq. 6).
    #[default]
    Misalignment,
    /// Any case, at random (ablation).
    Random,
    /// Cases where everything got better (ablation).
    Success,
    /// None (ablation).
    Off,
}

/// Options of the `[misalignment]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MisalignmentOptions {
    /// Which cases are kept.
    pub sampling: Sampling,
    /// K_mis: most cases shown in one proposal.
    pub shown: usize,
    /// Most cases kept per agent; the oldest go first.
    pub capacity: usize,
}

impl Default for MisalignmentOptions {
    fn default() -> Self {
        Self { sampling: Sampling::Misalignment, shown: 3, capacity: 64 }
    }
}
