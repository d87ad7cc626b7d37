//! Options of the rollout: how the graph is run.

use crate::base::{Bound, Bounded, Rule};
use serde::{Deserialize, Serialize};

/// Options of the `[rollout]` section.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RolloutOptions {
    /// The most queries of one call that are in flight at once; the others wait.
    pub max_in_flight: usize,
    /// The most words of a summary: 30 in the paper, 50 for code.
    pub summary_words: usize,
}

impl Default for RolloutOptions {
    fn default() -> Self {
        Self { max_in_flight: 64, summary_words: 30 }
    }
}

impl Bounded for RolloutOptions {
    const SECTION: &'static str = "rollout";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("max_in_flight", Rule::at_least(1), |options| Some(options.max_in_flight.into())),
        Bound::new("summary_words", Rule::at_least(1), |options| Some(options.summary_words.into())),
    ];
}
