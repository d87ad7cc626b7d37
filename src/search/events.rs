//! What happens during a search, as values. The journal, the progress display, the report and
//! [`SearchResult`] are derived from these events and from nothing else.
//!
//! A search is a deterministic function of its input, so a resumed run emits the same events as an
//! uninterrupted one: it starts from the beginning, the response cache answers repeated calls, and
//! events that are already in the journal are emitted again, equal.
//!
//! [`SearchResult`]: super::SearchResult

use super::copied::CopiedPassage;
use super::gate::GateTest;
use super::plan::Plan;
use crate::base::{AgentId, Seed};
use crate::chat::{ChatError, ModelIdentity};
use crate::judge::JudgeStats;
use crate::prompt::{Rejection, Template};
use crate::reward::Reward;
use crate::rollout::{Avoided, Prompts, System};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// The version of the events' JSON form, stored in [`Started::version`].
pub(crate) const EVENTS_VERSION: u32 = 1;

/// The receiver of events. An event is durable when the future resolves; only then does the search
/// go on.
pub trait EventSink: Send {
    /// Receives one event.
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>>;
}

/// One thing that happened in a search. In JSON the field `kind` names the variant. Rounds and
/// steps count from 1.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The first event of every run.
    Started(Started),
    /// The search returned to an agent and re-scored its beam (Eq. 8).
    Refreshed(Refreshed),
    /// The candidates of a step are written and are about to be evaluated.
    Proposed(Proposed),
    /// A step is complete.
    Step(Step),
    /// A method other than MASPO tried a whole team.
    Trial(Trial),
    /// AgentDropout learned from some labelled items.
    Learned(Learned),
    /// The method ends with a system that is not the experiment's graph run once.
    System(System),
    /// The gate tested whether one team is better than another.
    GateTest(GateTest),
    /// The seed prompts were compared with the optimized ones.
    FinalCheck(FinalCheck),
    /// The last event of a run that completed.
    Finished(Finished),
}

/// The models in the three roles.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Models {
    /// The model that runs the agents.
    pub worker: ModelIdentity,
    /// The model that writes candidate prompts.
    pub optimizer: ModelIdentity,
    /// The model that compares answers.
    pub judge: ModelIdentity,
}

/// What a run starts from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Started {
    /// The version of the events' JSON form.
    pub version: u32,
    /// The run's seed.
    pub seed: Seed,
    /// The models in their roles.
    pub models: Models,
    /// The agents' names, indexed by [`AgentId`].
    pub agents: Vec<String>,
    /// The agents whose prompts are optimized, in the order of their turns.
    pub optimized: Vec<AgentId>,
    /// The seed prompts.
    pub prompts: Prompts,
    /// The name of the method; `None` for MASPO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The number of labelled items that the method may learn from; 0 for a label-free method.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub labelled: usize,
    /// The number of queries in the pool.
    pub pool: usize,
    /// The number of queries of the pool that are held back for the gate.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held_back: usize,
    /// The number of queries in a mini-batch: |B|, or the size of the pool if that is smaller.
    pub batch: usize,
    /// The upper bound for the run's calls and tokens.
    pub plan: Plan,
}

/// A prompt of a beam, by id. Its text is in [`Started::prompts`] for id 0, and else in its
/// [`CandidateRecord`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ranked {
    /// Order of creation within the agent; 0 is the seed prompt.
    pub id: usize,
    /// The score J.
    pub score: f64,
}

/// The refresh of one agent's beam (Eq. 8).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Refreshed {
    /// The round d.
    pub round: usize,
    /// The agent that the beam belongs to.
    pub agent: AgentId,
    /// The fresh mini-batch, as positions in the pool; empty if the beam has one prompt only, which
    /// needs no comparison.
    pub batch: Vec<usize>,
    /// The beam before the refresh.
    pub before: Vec<Ranked>,
    /// These prompts with their new scores and in their new order.
    pub after: Vec<Ranked>,
    /// The rank correlation (Kendall's tau-b) of the two rankings; `None` for a single prompt and
    /// where all prompts are tied.
    pub tau: Option<f64>,
    /// Whether both rankings have the same first prompt.
    pub top1: bool,
    /// Whether the search goes on with `after`. With `search.refresh = false` the refresh is only
    /// measured.
    pub applied: bool,
    /// The judge's counters so far.
    pub judge: JudgeStats,
    /// The number of worker calls avoided so far.
    pub avoided: Avoided,
    /// The number of worker calls so far whose prompt was too long for the model.
    pub overflows: u64,
    /// The number of worker calls so far whose answer ended in its reasoning.
    #[serde(default)]
    pub cut_in_reasoning: u64,
}

/// The number of candidates that a step is about to evaluate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Proposed {
    /// The round d.
    pub round: usize,
    /// The agent i.
    pub agent: AgentId,
    /// The step t.
    pub step: usize,
    /// The number of candidates to evaluate.
    pub usable: usize,
    /// The number of candidates that were rejected.
    pub rejected: usize,
}

/// One step of coordinate ascent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The round d.
    pub round: usize,
    /// The agent i.
    pub agent: AgentId,
    /// The step t.
    pub step: usize,
    /// The mini-batch B that every parent shares, as positions in the pool.
    pub batch: Vec<usize>,
    /// The beam before the step.
    pub parents: Vec<Ranked>,
    /// The K_sub candidates of every parent, in the order of creation.
    pub candidates: Vec<CandidateRecord>,
    /// The beam after the step.
    pub beam: Vec<Ranked>,
    /// The id of best_i, the agent's best prompt, after the step.
    pub best: usize,
    /// Whether the step changed best_i.
    pub improved: bool,
    /// The number of cases in this agent's buffer after the step.
    pub cases: usize,
    /// The judge's counters so far.
    pub judge: JudgeStats,
    /// The number of worker calls avoided so far.
    pub avoided: Avoided,
    /// The number of worker calls so far whose prompt was too long for the model.
    pub overflows: u64,
    /// The number of worker calls so far whose answer ended in its reasoning.
    #[serde(default)]
    pub cut_in_reasoning: u64,
}

/// One candidate of a step and its outcome.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CandidateRecord {
    /// The id of the parent prompt.
    pub parent: usize,
    /// The name of the assignment that it was written by, if the template set has any. No digest
    /// covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// The optimizer model's own sentence on what it changed, if it wrote one. No digest covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Whether it was evaluated or rejected.
    pub outcome: Outcome,
}

impl CandidateRecord {
    /// The record without what no digest covers, as the result's digest covers it.
    pub(super) fn decided(&self) -> Self {
        let outcome = match &self.outcome {
            Outcome::Rejected { reason, .. } => Outcome::Rejected { reason: *reason, text: None },
            scored @ Outcome::Scored { .. } => scored.clone(),
        };
        Self { parent: self.parent, assignment: None, change: None, outcome }
    }
}

/// The outcome of a candidate. In JSON the field `outcome` names the variant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// The candidate was evaluated.
    Scored {
        /// The id of the candidate's prompt.
        id: usize,
        /// The candidate's prompt.
        prompt: Template,
        /// Whether a slot that the optimizer model had dropped was appended.
        repaired: bool,
        /// The reward R(c, p), per query and as the mean.
        reward: Reward,
        /// The score J(c).
        score: f64,
        /// The number of samples on which it was better for the agent itself.
        local_better: usize,
        /// The number of these samples on which it was worse for a successor or for the system (Eq.
        /// 6).
        misaligned: usize,
        /// The number of queries after which racing dropped it: reward and score are then those of
        /// these queries, and it cannot enter the beam. `None` if it was evaluated on the whole
        /// mini-batch.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dropped_after: Option<usize>,
    },
    /// The candidate was rejected without an evaluation.
    Rejected {
        /// The reason.
        reason: Rejection,
        /// The prompt that was rejected, or the whole reply if no prompt was found in it; `None`
        /// if there is no reply. No digest covers it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
}

/// A team that a method tried.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Trial {
    /// The number of the trial, from 0 for the seed prompts.
    pub number: usize,
    /// The trial that its prompts come from, if it is one.
    pub parent: Option<usize>,
    /// The other trial, if two teams are merged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<usize>,
    /// The agent whose prompt is new, if it is one.
    #[cfg_attr(test, schemars(with = "Option<usize>"))]
    pub agent: Option<AgentId>,
    /// The prompts of all agents.
    pub prompts: Prompts,
    /// The items that it was tried on: positions in the pool or, with labels, in the labelled
    /// items.
    pub batch: Vec<usize>,
    /// One value per item: 1, 0 or ½.
    pub values: Vec<f64>,
    /// The mean of the values.
    pub score: f64,
    /// Whether it is kept for later trials.
    pub kept: bool,
    /// The trial whose team is the best so far.
    pub leader: usize,
    /// Why there is no such team, if its prompt was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejection>,
    /// The counters so far.
    #[serde(flatten)]
    pub counters: Counters,
}

/// The counters of a run so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Counters {
    /// The judge's counters.
    pub judge: JudgeStats,
    /// The number of worker calls avoided.
    pub avoided: Avoided,
    /// The number of worker calls whose prompt was too long for the model.
    pub overflows: u64,
    /// The number of worker calls whose answer ended in its reasoning.
    pub cut_in_reasoning: u64,
}

impl Counters {
    /// Returns the sum of two.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.judge.add(&other.judge);
        self.avoided.upstream_reused += other.avoided.upstream_reused;
        self.avoided.unchanged_skipped += other.avoided.unchanged_skipped;
        self.overflows += other.overflows;
        self.cut_in_reasoning += other.cut_in_reasoning;
        self
    }
}

/// What AgentDropout learned from a batch of labelled items.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Learned {
    /// What is learned: `nodes` or `edges`.
    pub phase: String,
    /// The number of the update, from 1.
    pub update: usize,
    /// The labelled items, by position.
    pub batch: Vec<usize>,
    /// The share of them that the sampled graphs answered right.
    pub accuracy: f64,
    /// The probability of every edge afterwards, in the order of the experiment's edges; 0 for one
    /// that was dropped.
    pub edges: Vec<f64>,
    /// The names of the agents that are dropped so far.
    pub dropped: Vec<String>,
}

/// Why a run ended before its method was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// The next step did not fit into the budget of calls or tokens.
    Budget,
    /// The time was up, or the stop file appeared: the result depends on the machine.
    Clock,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// The outcome of the final check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum FinalVerdict {
    /// The optimized prompts won.
    Optimized,
    /// Neither won: the optimized prompts are kept, and no gain was measured.
    Tie,
    /// The seed prompts won and are kept.
    Seed,
    /// The search ended on the seed prompts, so there was nothing to compare.
    Unchanged,
    /// The budget did not suffice for the comparison of a single query: the optimized prompts are
    /// kept, and no gain was measured.
    Unchecked,
    /// The gate did not show the optimized prompts to be better: the seed prompts are kept.
    Unproven,
}

/// The comparison of seed and optimized prompts on a fresh batch, by the system's answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FinalCheck {
    /// The batch, as positions in the pool; empty if there was nothing to compare.
    pub batch: Vec<usize>,
    /// One value per query: 1 if the optimized prompts give the better answer, 0 if the seed
    /// prompts do, ½ for a tie.
    pub values: Vec<f64>,
    /// The mean of the values; `None` if there was nothing to compare.
    pub mean: Option<f64>,
    /// Which prompts won.
    pub verdict: FinalVerdict,
    /// The prompts that the search ended with, even if they are not kept.
    pub optimized: Prompts,
    /// The prompts that the gate keeps, if it takes back some of the changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Prompts>,
}

impl FinalCheck {
    /// Whether the seed prompts are to be used instead of the optimized ones.
    pub(super) fn keeps_seed(&self) -> bool {
        matches!(self.verdict, FinalVerdict::Seed | FinalVerdict::Unproven)
    }
}

/// The end of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// The prompts to use.
    pub prompts: Prompts,
    /// Whether the seed prompts won the final check and are therefore the prompts to use.
    pub kept_seed: bool,
    /// Why the run ended before the method was done; `None` if it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// Passages of optimized prompts that repeat a query word for word.
    pub copied: Vec<CopiedPassage>,
    /// The judge's counters.
    pub judge: JudgeStats,
    /// The number of worker calls avoided.
    pub avoided: Avoided,
    /// The number of worker calls whose prompt was too long for the model.
    pub overflows: u64,
    /// The number of worker calls whose answer ended in its reasoning.
    #[serde(default)]
    pub cut_in_reasoning: u64,
}
