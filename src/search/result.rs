//! What a run comes to, gathered from its events alone: the same for a run that just ended and for
//! one read from a journal, finished or not.

use super::beam::round_score;
use super::copied::CopiedPassage;
use super::events::{CandidateRecord, Event, FinalCheck, Finished, Models, Outcome, Refreshed, Started, Step};
use super::plan::Plan;
use crate::base::{AgentId, Digest, Seed, digest_json};
use crate::judge::JudgeStats;
use crate::prompt::{Rejection, Template};
use crate::reward::Reward;
use crate::rollout::{Avoided, Prompts};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SearchResult {
    /// Whether the run ended; an unfinished one shows what it has so far.
    pub finished: bool,
    /// The run's seed.
    pub seed: Seed,
    /// The models.
    pub models: Models,
    /// The agents' names, by [`AgentId`].
    pub agents: Vec<String>,
    /// The agents whose prompts were optimized, in the order of their turns.
    pub optimized: Vec<AgentId>,
    /// Queries in the pool.
    pub pool: usize,
    /// Queries in a mini-batch.
    pub batch: usize,
    /// What the run was to take at most.
    pub plan: Plan,
    /// The prompts it started from.
    pub seed_prompts: Prompts,
    /// The prompts to use; of an unfinished run the best so far.
    pub prompts: Prompts,
    /// Whether the seed prompts won the final check and are therefore the prompts to use.
    pub kept_seed: bool,
    /// Seed against optimized prompts; `None` before it was done.
    pub final_check: Option<FinalCheck>,
    /// All steps.
    pub steps: Vec<Step>,
    /// Every prompt that was tried, and where it comes from.
    pub lineage: Vec<Lineage>,
    /// All refreshes, with the agreement of the rankings before and after.
    pub refreshes: Vec<Refreshed>,
    /// Eq. 6 per optimized agent.
    pub misalignment: Vec<MisalignmentRate>,
    /// Candidates that were not tried, per reason.
    pub rejections: BTreeMap<Rejection, usize>,
    /// Optimized prompts that repeat a query word for word.
    pub copied: Vec<CopiedPassage>,
    /// The judge's counts.
    pub judge: JudgeStats,
    /// Worker calls avoided.
    pub avoided: Avoided,
    /// Worker calls whose prompt was too long for the model; such an answer is empty and loses
    /// every comparison.
    pub overflows: u64,
}

/// One prompt of one agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// Whose prompt.
    pub agent: AgentId,
    /// Order of creation within the agent; 0 is the seed prompt.
    pub id: usize,
    /// The prompt it was made from; `None` for the seed prompt.
    pub parent: Option<usize>,
    /// The round it was made in; 0 for the seed prompt.
    pub round: usize,
    /// The step it was made in; 0 for the seed prompt.
    pub step: usize,
    /// Its text.
    pub prompt: Template,
    /// J when it was made.
    pub score: f64,
    /// Whether it is in its agent's beam at the end.
    pub in_beam: bool,
    /// Whether it is its agent's best at the end.
    pub best: bool,
}

/// How often an agent's candidates looked better for itself and made the team worse.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MisalignmentRate {
    /// Whose candidates.
    pub agent: AgentId,
    /// Samples judged: candidates × queries.
    pub samples: usize,
    /// Of these, better for the agent itself.
    pub local_better: usize,
    /// Of these, worse for a successor or for the system (Eq. 6).
    pub misaligned: usize,
    /// `misaligned / local_better`; `None` when nothing was better for the agent.
    pub rate: Option<f64>,
}

impl SearchResult {
    /// Gathers the result of the events so far; `None` when they do not begin with
    /// [`Event::Started`]. Events after a second `Started` replace what came before: that run began
    /// again.
    pub fn from_events(events: &[Event]) -> Option<Self> {
        let begin = events.iter().rposition(|event| matches!(event, Event::Started(_)))?;
        let Event::Started(started) = &events[begin] else { return None };
        let mut result = Self::new(started);
        for event in &events[begin..] {
            match event {
                Event::Started(_) | Event::Proposed(_) => {}
                Event::Refreshed(refreshed) => result.add_refresh(refreshed),
                Event::Step(step) => result.add_step(step),
                Event::FinalCheck(check) => result.final_check = Some(check.clone()),
                Event::Finished(finished) => result.finish(finished),
            }
        }
        Some(result)
    }

    /// The digest over prompts and scores. Nothing enters that may differ between two runs of the
    /// same settings: no time, no token, no count that a cache changes.
    pub fn result_hash(&self) -> Digest {
        let refreshes: Vec<_> =
            self.refreshes.iter().map(|r| (r.round, r.agent, &r.batch, &r.after, r.tau, r.top1, r.applied)).collect();
        let steps: Vec<_> = self.steps.iter().map(|s| (&s.batch, &s.parents, &s.candidates, &s.beam, s.best)).collect();
        let check = self.final_check.as_ref().map(|check| (&check.batch, &check.values, check.verdict));
        digest_json("maspo result", &(&self.seed_prompts, steps, refreshes, check, self.kept_seed, &self.prompts))
    }

    /// Calls that were not made because nothing they depend on had changed: worker calls of
    /// re-runs, and comparisons of equal texts, of which each would have been at least one call.
    pub fn calls_avoided(&self) -> u64 {
        self.avoided.upstream_reused + self.avoided.unchanged_skipped + self.judge.identical
    }

    fn new(started: &Started) -> Self {
        let seed_prompt = |(agent, prompt): (AgentId, &Template)| Lineage {
            agent,
            id: 0,
            parent: None,
            round: 0,
            step: 0,
            prompt: prompt.clone(),
            score: 0.0,
            in_beam: true,
            best: true,
        };
        let none =
            |&agent: &AgentId| MisalignmentRate { agent, samples: 0, local_better: 0, misaligned: 0, rate: None };
        Self {
            finished: false,
            seed: started.seed,
            models: started.models.clone(),
            agents: started.agents.clone(),
            optimized: started.optimized.clone(),
            pool: started.pool,
            batch: started.batch,
            plan: started.plan,
            seed_prompts: started.prompts.clone(),
            prompts: started.prompts.clone(),
            kept_seed: false,
            final_check: None,
            steps: Vec::new(),
            lineage: started.prompts.iter().filter(|(id, _)| started.optimized.contains(id)).map(seed_prompt).collect(),
            refreshes: Vec::new(),
            misalignment: started.optimized.iter().map(none).collect(),
            rejections: BTreeMap::new(),
            copied: Vec::new(),
            judge: JudgeStats::default(),
            avoided: Avoided::default(),
            overflows: 0,
        }
    }

    fn add_refresh(&mut self, refreshed: &Refreshed) {
        self.refreshes.push(refreshed.clone());
        (self.judge, self.avoided, self.overflows) = (refreshed.judge, refreshed.avoided, refreshed.overflows);
    }

    fn add_step(&mut self, step: &Step) {
        for candidate in &step.candidates {
            self.add_candidate(step, candidate);
        }
        for node in self.lineage.iter_mut().filter(|node| node.agent == step.agent) {
            node.in_beam = step.beam.iter().any(|ranked| ranked.id == node.id);
            node.best = node.id == step.best;
            if node.best {
                self.prompts = self.prompts.with(step.agent, node.prompt.clone());
            }
        }
        self.steps.push(step.clone());
        (self.judge, self.avoided, self.overflows) = (step.judge, step.avoided, step.overflows);
    }

    fn add_candidate(&mut self, step: &Step, candidate: &CandidateRecord) {
        match &candidate.outcome {
            Outcome::Rejected { reason } => *self.rejections.entry(*reason).or_default() += 1,
            Outcome::Scored { id, prompt, reward, score, local_better, misaligned, .. } => {
                self.lineage.push(Lineage {
                    agent: step.agent,
                    id: *id,
                    parent: Some(candidate.parent),
                    round: step.round,
                    step: step.step,
                    prompt: prompt.clone(),
                    score: *score,
                    in_beam: false,
                    best: false,
                });
                self.add_samples(step.agent, reward, *local_better, *misaligned);
            }
        }
    }

    fn add_samples(&mut self, agent: AgentId, reward: &Reward, local_better: usize, misaligned: usize) {
        for rate in self.misalignment.iter_mut().filter(|rate| rate.agent == agent) {
            rate.samples += reward.samples.len();
            rate.local_better += local_better;
            rate.misaligned += misaligned;
            rate.rate = (rate.local_better > 0).then(|| round_score(rate.misaligned as f64 / rate.local_better as f64));
        }
    }

    fn finish(&mut self, finished: &Finished) {
        self.finished = true;
        self.prompts = finished.prompts.clone();
        self.kept_seed = finished.kept_seed;
        self.copied = finished.copied.clone();
        (self.judge, self.avoided, self.overflows) = (finished.judge, finished.avoided, finished.overflows);
    }
}
