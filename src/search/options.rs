//! Options of the search. The defaults are the paper's values, and every ablation is a value of an
//! option.

use crate::base::{Bound, Bounded, Number, Rule};
use crate::stats::EProcess;
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

/// What decides at the end which changes are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum GateMode {
    /// One comparison of seed and optimized prompts on `final_check` queries: the seed prompts are
    /// kept if they win.
    #[default]
    Final,
    /// Tests on queries that the search never sees, whose error is controlled however long they
    /// run: a change is kept only if it is shown to be better.
    Anytime,
}

impl GateMode {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The default of [`SearchOptions::gate_alpha`].
const GATE_ALPHA: f64 = 0.05;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_default_alpha(alpha: &f64) -> bool {
    *alpha == GATE_ALPHA
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
    /// What decides at the end which changes are kept.
    #[serde(skip_serializing_if = "GateMode::is_default")]
    #[cfg_attr(test, schemars(extend("default" = "final")))]
    pub gate: GateMode,
    /// With `gate = "anytime"`, the most chance that anything which the gate calls better is not.
    #[serde(skip_serializing_if = "is_default_alpha")]
    #[cfg_attr(test, schemars(extend("default" = 0.05)))]
    pub gate_alpha: f64,
    /// With `gate = "anytime"`, the number of queries of the pool that are held back for the gate.
    /// The search draws from the others, of which one is left at least. By default half of the
    /// pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_queries: Option<usize>,
}

impl SearchOptions {
    /// Returns how many queries of a pool are held back for the gate.
    pub fn held_back(&self, pool: usize) -> usize {
        match self.gate {
            GateMode::Final => 0,
            GateMode::Anytime => self.gate_queries.unwrap_or(pool / 2).min(pool.saturating_sub(1)),
        }
    }

    /// Returns the fewest queries with which the gate can show anything: so many straight wins.
    pub fn fewest_gate_queries(&self) -> usize {
        let process = EProcess::against(0.5);
        (1..).find(|wins| process.can_reach(1.0 / self.gate_alpha, *wins)).expect("enough wins suffice")
    }
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
            gate: GateMode::Final,
            gate_alpha: GATE_ALPHA,
            gate_queries: None,
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
        Bound::new("gate_alpha", Rule::Real(1e-6, 0.5), |options| Some(options.gate_alpha.into())),
        Bound::new("gate_queries", Rule::at_least(1), |options| options.gate_queries.map(Into::into)),
    ];
}
