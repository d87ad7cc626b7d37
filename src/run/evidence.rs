//! What a recorded run can still show of its data: the traces of held-out cases, and misalignment
//! cases in full. Everything is read from the response cache; no model is opened, and a call that
//! the cache does not hold means that a trace was not kept.

use crate::base::AgentId;
use crate::cache::StoredModel;
use crate::chat::{ChatModel, ModelIdentity, ModelRole};
use crate::config::Settings;
use crate::misalignment::is_misaligned;
use crate::reward::SampleReward;
use crate::rollout::{Prompts, Runner, Trace};
use crate::search::{CandidateRecord, Outcome, SearchResult, Step};
use crate::store::Reader;
use crate::task::Case;
use futures::executor::block_on;
use std::collections::HashMap;
use std::sync::Arc;

/// The settings of a recorded run with the answers that it kept.
pub struct Evidence {
    settings: Settings,
    runner: Runner,
}

/// A misalignment case (Eq. 6) with both traces: better for its agent, worse for the team.
pub struct MisalignedSample {
    /// The agent whose candidate it is.
    pub agent: AgentId,
    /// The id of the prompt that the candidate was written from.
    pub parent: usize,
    /// The candidate's id.
    pub candidate: usize,
    /// The round of the step.
    pub round: usize,
    /// The step within the round.
    pub step: usize,
    /// The verdicts of the judge.
    pub reward: SampleReward,
    /// The trace with the parent's prompt; `None` if it was not kept.
    pub before: Option<Trace>,
    /// The trace with the candidate's prompt; `None` if it was not kept.
    pub after: Option<Trace>,
}

impl Evidence {
    /// The evidence of a run with these settings, whose worker is `worker` and whose answers
    /// `reader` holds.
    pub fn new(settings: Settings, worker: ModelIdentity, reader: Arc<Reader>) -> Self {
        let stored: Arc<dyn ChatModel> = Arc::new(StoredModel::new(reader, worker));
        let worker = settings.in_role(ModelRole::Worker, stored);
        let summary = settings.templates().summary.clone();
        let runner = Runner::new(settings.graph.clone(), worker, settings.options.rollout.clone(), summary);
        Self { settings, runner }
    }

    /// The settings of the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The held-out cases; none if the run has no test set.
    pub fn cases(&self) -> &[Case] {
        self.settings.split("test").unwrap_or_default()
    }

    /// Returns the trace of a query with these prompts; `None` if it was not kept.
    pub fn trace(&self, prompts: &Prompts, item: usize, question: &Arc<str>) -> Option<Trace> {
        block_on(self.runner.run(prompts, &[(item, question.clone())])).ok()?.pop()
    }

    /// Returns at most `most` misalignment cases, spread over the steps: the first of every step,
    /// then the second of every step, and so on.
    pub fn misaligned(&self, result: &SearchResult, most: usize) -> Vec<MisalignedSample> {
        let mut best = result.seed_prompts.clone();
        // The prompts of every agent by id, as far as the steps have got.
        let mut known: HashMap<(AgentId, usize), crate::prompt::Template> =
            best.iter().map(|(agent, prompt)| ((agent, 0), prompt.clone())).collect();
        let mut by_step: Vec<Vec<(Prompts, Prompts, MisalignedSample)>> = Vec::new();
        for step in &result.steps {
            let mut found = Vec::new();
            for candidate in &step.candidates {
                let Some(parent) = known.get(&(step.agent, candidate.parent)) else { continue };
                let before = best.with(step.agent, parent.clone());
                found.extend(misaligned_of(step, candidate, &before));
            }
            for candidate in &step.candidates {
                if let Outcome::Scored { id, prompt, .. } = &candidate.outcome {
                    known.insert((step.agent, *id), prompt.clone());
                }
            }
            if let Some(prompt) = known.get(&(step.agent, step.best)) {
                best = best.with(step.agent, prompt.clone());
            }
            by_step.push(found);
        }
        let longest = by_step.iter().map(Vec::len).max().unwrap_or(0);
        let mut steps: Vec<_> = by_step.into_iter().map(Vec::into_iter).collect();
        let mut chosen = Vec::new();
        for _ in 0..longest {
            chosen.extend(steps.iter_mut().filter_map(Iterator::next));
            if chosen.len() >= most {
                break;
            }
        }
        chosen.truncate(most);
        chosen.into_iter().map(|(before, after, sample)| self.traced(&before, &after, sample)).collect()
    }

    fn traced(&self, before: &Prompts, after: &Prompts, sample: MisalignedSample) -> MisalignedSample {
        let item = sample.reward.item;
        let Some(query) = self.settings.pool.get(item) else { return sample };
        let trace = |prompts| self.trace(prompts, item, &query.question);
        MisalignedSample { before: trace(before), after: trace(after), ..sample }
    }
}

/// Returns the misalignment cases of a candidate, with the prompts before and after.
fn misaligned_of(
    step: &Step,
    candidate: &CandidateRecord,
    before: &Prompts,
) -> Vec<(Prompts, Prompts, MisalignedSample)> {
    let Outcome::Scored { id, prompt, reward, .. } = &candidate.outcome else { return Vec::new() };
    let after = before.with(step.agent, prompt.clone());
    let sample = |reward: &SampleReward| {
        let sample = MisalignedSample {
            agent: step.agent,
            parent: candidate.parent,
            candidate: *id,
            round: step.round,
            step: step.step,
            reward: *reward,
            before: None,
            after: None,
        };
        (before.clone(), after.clone(), sample)
    };
    reward.samples.iter().filter(|sample| is_misaligned(sample)).map(sample).collect()
}
