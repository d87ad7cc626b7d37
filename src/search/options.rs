//! Options of the search. The defaults are the paper's values, and every ablation is a value of an
//! option.

use crate::base::{Bound, Bounded, Number, Rule};
use serde::{Deserialize, Serialize};

/// The order in which agents are optimized.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// T steps on one agent, then the next agent, for D rounds: coordinate ascent as in the paper.
    #[default]
    Interleaved,
    /// All D·T steps of one agent before the next agent: sequential convergence, an ablation.
    Sequential,
}

/// Options of the `[search]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SearchOptions {
    /// The number of rounds D over the agents.
    pub rounds: usize,
    /// The number of steps T per agent and round.
    pub steps: usize,
    /// The beam width K.
    pub beam: usize,
    /// The number of candidates K_sub per parent and step.
    pub candidates: usize,
    /// The number of queries |B| per mini-batch.
    pub batch: usize,
    /// Whether the beam is re-scored when the search returns to an agent (Eq. 8).
    pub refresh: bool,
    /// The order in which agents are optimized.
    pub schedule: Schedule,
    /// The number of queries in the final check, which compares seed and optimized prompts.
    pub final_check: usize,
    /// Racing: the candidates of a step are compared on its queries in random order, a few at a
    /// time, and one that can no longer reach the beam is dropped. The value is the probability
    /// with which a bound on a candidate's reward may be wrong; with 0, only what is certain
    /// counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub racing: Option<f64>,
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
            racing: None,
        }
    }
}

impl Bounded for SearchOptions {
    const SECTION: &'static str = "search";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("rounds", Rule::at_least(1), |options| Some(options.rounds.into())),
        Bound::new("steps", Rule::at_least(1), |options| Some(options.steps.into())),
        Bound::new("beam", Rule::at_least(1), |options| Some(options.beam.into())),
        Bound::new("candidates", Rule::at_least(1), |options| Some(options.candidates.into())),
        Bound::new("batch", Rule::at_least(1), |options| Some(options.batch.into())),
        Bound::new("final_check", Rule::at_least(1), |options| Some(options.final_check.into())),
        Bound::new("racing", Rule::Real(0.0, 0.5), |options| options.racing.map(Number::from)),
    ];
}
