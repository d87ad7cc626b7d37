//! The records of result.json: those of the search, with agents by name.

use crate::base::AgentId;
use crate::judge::JudgeStats;
use crate::prompt::{Rejection, Template};
use crate::search::{CandidateRecord, Lineage, MisalignmentRate, Outcome, Ranked, Refreshed, SearchResult, Step};
use serde::{Deserialize, Serialize};

/// One agent's prompt before and after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PromptLine {
    /// The agent's name.
    pub agent: String,
    /// Whether the search was allowed to change it.
    pub optimized: bool,
    /// The seed prompt.
    pub before: Template,
    /// The prompt to use.
    pub after: Template,
}

/// One step with its scores.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepLine {
    /// The round, from 1.
    pub round: usize,
    /// The agent's name.
    pub agent: String,
    /// The step, from 1.
    pub step: usize,
    /// The mini-batch, as positions in the pool.
    pub batch: Vec<usize>,
    /// All candidates of the step.
    pub candidates: Vec<CandidateLine>,
    /// The beam after the step, best first.
    pub beam: Vec<Ranked>,
    /// The id of the agent's best prompt after the step.
    pub best: usize,
    /// Whether the step changed the best prompt.
    pub improved: bool,
}

/// One candidate of a step.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CandidateLine {
    /// The id of the prompt that it was written from.
    pub parent: usize,
    /// Its own id; `None` if it was rejected.
    pub id: Option<usize>,
    /// The reward R(c, p); `None` if it was rejected.
    pub reward: Option<f64>,
    /// The score J(c); `None` if it was rejected.
    pub score: Option<f64>,
    /// The reason for its rejection.
    pub rejected: Option<Rejection>,
    /// The name of the assignment that it was written by, if the template set has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// The optimizer model's own sentence on what it changed, if it wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// The prompt that was rejected, or the optimizer model's whole reply if no prompt was found in
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The number of queries after which racing dropped it; reward and score are then of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_after: Option<usize>,
}

/// One prompt that was evaluated, and the prompt that it was written from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LineageLine {
    /// The agent's name.
    pub agent: String,
    /// Order of creation within the agent; 0 is the seed prompt.
    pub id: usize,
    /// The id of the prompt that it was written from.
    pub parent: Option<usize>,
    /// The round in which it was written; 0 for the seed prompt.
    pub round: usize,
    /// The step in which it was written; 0 for the seed prompt.
    pub step: usize,
    /// The score J from its evaluation.
    pub score: f64,
    /// Whether it is in the agent's beam at the end.
    pub in_beam: bool,
    /// Whether it is the agent's best prompt at the end.
    pub best: bool,
    /// The name of the assignment that it was written by, if the template set has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// The optimizer model's own sentence on what it changed, if it wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// The prompt itself.
    pub prompt: Template,
}

/// How often candidates that were better for an agent were worse for the system (Eq. 6).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MisalignmentLine {
    /// The agent's name.
    pub agent: String,
    /// The number of judged samples.
    pub samples: usize,
    /// The number of these that were better for the agent itself.
    pub local_better: usize,
    /// The number of these, in turn, that were worse for a successor or for the system.
    pub misaligned: usize,
    /// The rate `misaligned / local_better`; `None` if no sample was better for the agent.
    pub rate: Option<f64>,
}

/// The rank correlation of a beam before and after its refresh (Eq. 8).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RankCorrelationLine {
    /// The round, from 1.
    pub round: usize,
    /// The agent's name.
    pub agent: String,
    /// The number of prompts in the beam.
    pub prompts: usize,
    /// Kendall's tau-b; `None` where it is not defined.
    pub tau: Option<f64>,
    /// Whether both rankings have the same first prompt.
    pub top1: bool,
    /// Whether the search went on with the new ranking.
    pub applied: bool,
}

/// The judge's counters and rates.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JudgeLine {
    /// The share of pairs of orders that agreed.
    pub position_consistency: Option<f64>,
    /// The share of the judged comparisons that were ties.
    pub tie_rate: Option<f64>,
    /// The share of the judged comparisons whose reply named no answer.
    pub unparsable_rate: Option<f64>,
    /// The counters that the rates are computed from.
    pub counts: JudgeStats,
}

/// A passage that an optimized prompt shares with a query of the pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CopiedLine {
    /// The agent's name.
    pub agent: String,
    /// The query's position in the pool.
    pub item: usize,
    /// The passage.
    pub text: String,
}

impl JudgeLine {
    pub(super) fn of(stats: &JudgeStats) -> Self {
        Self {
            position_consistency: stats.position_consistency(),
            tie_rate: stats.tie_rate(),
            unparsable_rate: stats.unparsable_rate(),
            counts: *stats,
        }
    }
}

impl CandidateLine {
    fn of(candidate: &CandidateRecord) -> Self {
        let CandidateRecord { parent, assignment, change, outcome } = candidate.clone();
        let line = Self { parent, assignment, change, ..Self::default() };
        match outcome {
            Outcome::Scored { id, reward, score, dropped_after, .. } => {
                Self { id: Some(id), reward: Some(reward.mean), score: Some(score), dropped_after, ..line }
            }
            Outcome::Rejected { reason, text } => Self { rejected: Some(reason), text, ..line },
        }
    }
}

/// The records of one search.
pub(super) struct Lines<'a>(pub(super) &'a SearchResult);

impl Lines<'_> {
    fn name(&self, agent: AgentId) -> String {
        self.0.agents[agent.0].clone()
    }

    pub(super) fn prompts(&self) -> Vec<PromptLine> {
        let line = |(agent, before): (AgentId, &Template)| PromptLine {
            agent: self.name(agent),
            optimized: self.0.optimized.contains(&agent),
            before: before.clone(),
            after: self.0.prompts.get(agent).clone(),
        };
        self.0.seed_prompts.iter().map(line).collect()
    }

    pub(super) fn steps(&self) -> Vec<StepLine> {
        let line = |step: &Step| StepLine {
            round: step.round,
            agent: self.name(step.agent),
            step: step.step,
            batch: step.batch.clone(),
            candidates: step.candidates.iter().map(CandidateLine::of).collect(),
            beam: step.beam.clone(),
            best: step.best,
            improved: step.improved,
        };
        self.0.steps.iter().map(line).collect()
    }

    pub(super) fn lineage(&self) -> Vec<LineageLine> {
        let line = |node: &Lineage| {
            let Lineage { agent, id, parent, round, step, assignment, change, prompt, score, in_beam, best } =
                node.clone();
            let agent = self.name(agent);
            LineageLine { agent, id, parent, round, step, score, in_beam, best, assignment, change, prompt }
        };
        self.0.lineage.iter().map(line).collect()
    }

    pub(super) fn misalignment(&self) -> Vec<MisalignmentLine> {
        let line = |rate: &MisalignmentRate| {
            let MisalignmentRate { agent, samples, local_better, misaligned, rate } = *rate;
            MisalignmentLine { agent: self.name(agent), samples, local_better, misaligned, rate }
        };
        self.0.misalignment.iter().map(line).collect()
    }

    pub(super) fn rank_correlations(&self) -> Vec<RankCorrelationLine> {
        let line = |refreshed: &Refreshed| RankCorrelationLine {
            round: refreshed.round,
            agent: self.name(refreshed.agent),
            prompts: refreshed.after.len(),
            tau: refreshed.tau,
            top1: refreshed.top1,
            applied: refreshed.applied,
        };
        self.0.refreshes.iter().map(line).collect()
    }

    pub(super) fn copied(&self) -> Vec<CopiedLine> {
        let line = |copied: &crate::search::CopiedPassage| CopiedLine {
            agent: self.name(copied.agent),
            item: copied.item,
            text: copied.text.clone(),
        };
        self.0.copied.iter().map(line).collect()
    }
}
