//! Options of the buffer: which cases are kept and how many are shown.

use crate::base::{Bound, Bounded};
use serde::{Deserialize, Serialize};

/// The cases that an agent's next proposals show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Sampling {
    /// Misalignment cases: local better, lookahead or global worse (Eq. 6).
    #[default]
    Misalignment,
    /// Random cases (ablation).
    Random,
    /// Cases in which every term got better (ablation).
    Success,
    /// No cases (ablation).
    Off,
}

/// Options of the `[misalignment]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MisalignmentOptions {
    /// Which cases are kept.
    pub sampling: Sampling,
    /// The most cases K_mis shown in one proposal.
    pub shown: usize,
    /// The most cases kept per agent; the oldest are dropped first.
    pub capacity: usize,
}

impl Default for MisalignmentOptions {
    fn default() -> Self {
        Self { sampling: Sampling::Misalignment, shown: 3, capacity: 64 }
    }
}

impl Bounded for MisalignmentOptions {
    const SECTION: &'static str = "misalignment";

    const BOUNDS: &'static [Bound<Self>] = &[];
}
