//! What happens during a search, as values. The journal, the progress display, the report and [`SearchResult`] are all made
//! from these events and from nothing else.
//!
//! A search is a function of its input, so the events of a resumed run are those of an uninterrupted one: it starts over,
//! the response cache answers what was asked before, and events that were journaled come again, equal.
//!
//! [`SearchResult`]: super::SearchResult

use super::copied::Copied;
use super::plan::Plan;
use crate::base::{AgentId, Seed};
use crate::chat::{ChatError, ModelIdentity};
use crate::judge::JudgeStats;
use crate::prompt::{Rejection, Template};
use crate::reward::Reward;
use crate::rollout::{Avoided, Prompts};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// The version of the events' JSON form, in [`Started::version`].
pub(super) const EVENTS_VERSION: u32 = 1;

/// Where events go. An event is durable when the future resolves; the search acts on it only then.
pub trait EventSink: Send {
    /// Takes one event.
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>>;
}

/// Something that happened. In JSON the field `kind` names the variant. Rounds and steps count from 1.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The first event of every run.
    Started(Started),
    /// A beam that the search came back to was scored anew (Eq. 8).
    Refreshed(Refreshed),
    /// The candidates of a step are written and are about to be tried.
    Proposed(Proposed),
    /// A step is done.
    Step(Step),
    /// The seed prompts met the optimized ones.
    FinalCheck(FinalCheck),
    /// The last event of a run that ended.
    Finished(Finished),
}

/// Who plays which role.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Models {
    /// Runs the agents.
    pub worker: ModelIdentity,
    /// Writes candidates.
    pub optimizer: ModelIdentity,
    /// Compares answers.
    pub judge: ModelIdentity,
}

/// What the run starts from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Started {
    /// The version of this form.
    pub version: u32,
    /// The run's seed.
    pub seed: Seed,
    /// The models.
    pub models: Models,
    /// The agents' names, by [`AgentId`].
    pub agents: Vec<String>,
    /// The agents whose prompts are optimized, in the order of their turns.
    pub optimized: Vec<AgentId>,
    /// The seed prompts.
    pub prompts: Prompts,
    /// Queries in the pool.
    pub pool: usize,
    /// Queries in a mini-batch: |B|, or the whole pool where that is smaller.
    pub batch: usize,
    /// What the run takes at most.
    pub plan: Plan,
}

/// A prompt's place in a beam. The prompt's text stands where it was made: at [`Started::prompts`] for id 0, else at its
/// [`Candidate`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ranked {
    /// Order of creation within the agent; 0 is the seed prompt.
    pub id: usize,
    /// J.
    pub score: f64,
}

/// Eq. 8 for one agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Refreshed {
    /// d.
    pub round: usize,
    /// Whose beam.
    pub agent: AgentId,
    /// The fresh mini-batch (positions in the pool); empty when the beam has one prompt, which needs no comparison.
    pub batch: Vec<usize>,
    /// The beam as it was left.
    pub before: Vec<Ranked>,
    /// The same prompts, scored and ranked anew.
    pub after: Vec<Ranked>,
    /// Kendall's tau-b of the two rankings; `None` where it is not defined (one prompt, or all tied).
    pub tau: Option<f64>,
    /// Whether both rankings have the same first.
    pub top1: bool,
    /// Whether the search goes on with `after`; when refresh is switched off it is measured only.
    pub applied: bool,
    /// The judge's counts so far.
    pub judge: JudgeStats,
    /// Worker calls avoided so far.
    pub avoided: Avoided,
    /// Worker calls so far whose prompt was too long for the model.
    pub overflows: u64,
}

/// How many candidates a step is about to try.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Proposed {
    /// d.
    pub round: usize,
    /// i.
    pub agent: AgentId,
    /// t.
    pub step: usize,
    /// Candidates to try.
    pub usable: usize,
    /// Candidates rejected.
    pub rejected: usize,
}

/// One step of coordinate ascent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// d.
    pub round: usize,
    /// i.
    pub agent: AgentId,
    /// t.
    pub step: usize,
    /// B: the mini-batch that every parent shares (positions in the pool).
    pub batch: Vec<usize>,
    /// The beam before.
    pub parents: Vec<Ranked>,
    /// Ksub candidates per parent, in the order of creation.
    pub candidates: Vec<Candidate>,
    /// The beam after.
    pub beam: Vec<Ranked>,
    /// best_i after.
    pub best: usize,
    /// Whether best_i changed.
    pub improved: bool,
    /// Cases in this agent's buffer after the step.
    pub cases: usize,
    /// The judge's counts so far.
    pub judge: JudgeStats,
    /// Worker calls avoided so far.
    pub avoided: Avoided,
    /// Worker calls so far whose prompt was too long for the model.
    pub overflows: u64,
}

/// One candidate and what became of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// The id of the parent prompt.
    pub parent: usize,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a candidate. In JSON the field `outcome` names the variant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It was tried.
    Scored {
        /// Its own id.
        id: usize,
        /// Its text.
        prompt: Template,
        /// Whether a dropped slot was appended.
        repaired: bool,
        /// R(c, p), per query and in the mean.
        reward: Reward,
        /// J(c).
        score: f64,
        /// Samples on which it was better for the agent itself.
        local_better: usize,
        /// Of these, samples on which it was worse for the team (Eq. 6).
        misaligned: usize,
    },
    /// It was not tried.
    Rejected {
        /// Why.
        reason: Rejection,
    },
}

/// Who won the final check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FinalVerdict {
    /// The optimized prompts.
    Optimized,
    /// Nobody: the optimized prompts are kept, and no gain was measured.
    Tie,
    /// The seed prompts: they are kept.
    Seed,
    /// The search ended on the seed prompts; there was nothing to compare.
    Unchanged,
}

/// Seed prompts against optimized prompts on a fresh batch, judged by the system's answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FinalCheck {
    /// The batch (positions in the pool); empty when there was nothing to compare.
    pub batch: Vec<usize>,
    /// Per query: 1 where the optimized prompts answer better, 0 where the seed prompts do, ½ for a tie.
    pub values: Vec<f64>,
    /// Their mean; `None` when there was nothing to compare.
    pub mean: Option<f64>,
    /// Who won.
    pub verdict: FinalVerdict,
    /// The prompts that the search ended with, also when they are not kept.
    pub optimized: Prompts,
}

/// The end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// The prompts to use.
    pub prompts: Prompts,
    /// Whether the seed prompts won the final check and are therefore the prompts to use.
    pub kept_seed: bool,
    /// Optimized prompts that repeat a query word for word.
    pub copied: Vec<Copied>,
    /// The judge's counts.
    pub judge: JudgeStats,
    /// Worker calls avoided.
    pub avoided: Avoided,
    /// Worker calls whose prompt was too long for the model.
    pub overflows: u64,
}
