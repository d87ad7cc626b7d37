//! The result of a run, computed from its events alone. It is therefore the same for a run that has
//! just ended and for one that is read from a journal, finished or not.

use super::beam::round_score;
use super::copied::CopiedPassage;
use super::events::{
    CandidateRecord, Counters, Event, FinalCheck, Finished, Learned, Models, Outcome, Refreshed, Started, Step,
    Stopped, Trial,
};
use super::gate::GateTest;
use super::plan::Plan;
use crate::base::{AgentId, Digest, Seed, digest_json};
use crate::judge::JudgeStats;
use crate::prompt::{Rejection, Template};
use crate::reward::Reward;
use crate::rollout::{Avoided, Prompts, System};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SearchResult {
    /// Whether the run is finished. An unfinished run has the result so far.
    pub finished: bool,
    /// The run's seed.
    pub seed: Seed,
    /// The models in their roles.
    pub models: Models,
    /// The agents' names, indexed by [`AgentId`].
    pub agents: Vec<String>,
    /// The agents whose prompts were optimized, in the order of their turns.
    pub optimized: Vec<AgentId>,
    /// The number of queries in the pool.
    pub pool: usize,
    /// The number of queries of the pool that are held back for the gate.
    #[serde(default)]
    pub held_back: usize,
    /// The number of queries in a mini-batch.
    pub batch: usize,
    /// The upper bound for the run's calls and tokens.
    pub plan: Plan,
    /// The prompts that the search started from.
    pub seed_prompts: Prompts,
    /// The name of the method; `None` for MASPO.
    pub method: Option<String>,
    /// The number of labelled items that the method could learn from.
    pub labelled: usize,
    /// The prompts to use. In an unfinished run, the best so far.
    pub prompts: Prompts,
    /// The system to use, if it is not the experiment's graph with these prompts, run once.
    pub system: Option<System>,
    /// Why the run ended before its method was done.
    pub stopped: Option<Stopped>,
    /// The whole teams that were tried, by methods that try such.
    pub trials: Vec<Trial>,
    /// What was learned about edges, by the method that does.
    pub learned: Vec<Learned>,
    /// Whether the seed prompts won the final check and are therefore the prompts to use.
    pub kept_seed: bool,
    /// The comparison of seed and optimized prompts; `None` before it is done.
    pub final_check: Option<FinalCheck>,
    /// The tests of the gate, if there is one.
    #[serde(default)]
    pub gate: Vec<GateTest>,
    /// All steps, in order.
    pub steps: Vec<Step>,
    /// Every prompt that was evaluated, and the prompt that it was written from.
    pub lineage: Vec<Lineage>,
    /// All refreshes, with the rank correlation of the beam before and after.
    pub refreshes: Vec<Refreshed>,
    /// The misalignment rate (Eq. 6) of every optimized agent.
    pub misalignment: Vec<MisalignmentRate>,
    /// The number of rejected candidates, per reason.
    pub rejections: BTreeMap<Rejection, usize>,
    /// Passages of optimized prompts that repeat a query word for word.
    pub copied: Vec<CopiedPassage>,
    /// The judge's counters.
    pub judge: JudgeStats,
    /// The number of worker calls avoided.
    pub avoided: Avoided,
    /// The number of worker calls whose prompt was too long for the model. Such an answer is empty
    /// and loses every comparison.
    pub overflows: u64,
    /// The number of worker calls whose answer ended in its reasoning. It counts as empty, too.
    #[serde(default)]
    pub cut_in_reasoning: u64,
}

/// One prompt of one agent, with its place in the lineage.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// The agent that the prompt belongs to.
    pub agent: AgentId,
    /// Order of creation within the agent; 0 is the seed prompt.
    pub id: usize,
    /// The id of the prompt that it was written from; `None` for the seed prompt.
    pub parent: Option<usize>,
    /// The round in which it was written; 0 for the seed prompt.
    pub round: usize,
    /// The step in which it was written; 0 for the seed prompt.
    pub step: usize,
    /// The name of the assignment that it was written by, if the template set has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignment: Option<String>,
    /// The optimizer model's own sentence on what it changed, if it wrote one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// The prompt itself.
    pub prompt: Template,
    /// The score J from its evaluation.
    pub score: f64,
    /// Whether it is in its agent's beam at the end.
    pub in_beam: bool,
    /// Whether it is its agent's best prompt at the end.
    pub best: bool,
}

/// How often an agent's candidates were better for the agent itself and worse for the system (Eq.
/// 6).
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MisalignmentRate {
    /// The agent that the candidates are for.
    pub agent: AgentId,
    /// The number of judged samples: candidates × queries.
    pub samples: usize,
    /// The number of these that were better for the agent itself.
    pub local_better: usize,
    /// The number of these, in turn, that were worse for a successor or for the system.
    pub misaligned: usize,
    /// The rate `misaligned / local_better`; `None` if no sample was better for the agent.
    pub rate: Option<f64>,
}

impl SearchResult {
    /// Computes the result of the events so far; `None` if they do not begin with
    /// [`Event::Started`]. A second `Started` means that the run began again, so only the events
    /// from the last one count.
    pub fn from_events(events: &[Event]) -> Option<Self> {
        let begin = events.iter().rposition(|event| matches!(event, Event::Started(_)))?;
        let Event::Started(started) = &events[begin] else { return None };
        let mut result = Self::new(started);
        for event in &events[begin..] {
            match event {
                Event::Started(_) | Event::Proposed(_) => {}
                Event::Refreshed(refreshed) => result.add_refresh(refreshed),
                Event::Step(step) => result.add_step(step),
                Event::Trial(trial) => result.add_trial(trial),
                Event::Learned(learned) => result.learned.push(learned.clone()),
                Event::System(system) => result.system = Some(system.clone()),
                Event::GateTest(test) => result.gate.push(test.clone()),
                Event::FinalCheck(check) => result.final_check = Some(check.clone()),
                Event::Finished(finished) => result.finish(finished),
            }
        }
        Some(result)
    }

    /// The digest over prompts and scores. It covers nothing that may differ between two runs of
    /// the same settings: no time, no token count, no counter that a cache changes.
    pub fn result_hash(&self) -> Digest {
        let refreshes: Vec<_> =
            self.refreshes.iter().map(|r| (r.round, r.agent, &r.batch, &r.after, r.tau, r.top1, r.applied)).collect();
        let decided =
            |candidates: &[CandidateRecord]| candidates.iter().map(CandidateRecord::decided).collect::<Vec<_>>();
        let steps: Vec<_> =
            self.steps.iter().map(|s| (&s.batch, &s.parents, decided(&s.candidates), &s.beam, s.best)).collect();
        let check = self.final_check.as_ref().map(|check| (&check.batch, &check.values, check.verdict));
        let digest =
            digest_json("maspo result", &(&self.seed_prompts, steps, refreshes, check, self.kept_seed, &self.prompts));
        let digest = if self.gate.is_empty() { digest } else { digest_json("maspo gate", &(digest, &self.gate)) };
        if self.method.is_none() {
            return digest;
        }
        let trials: Vec<_> =
            self.trials.iter().map(|t| (t.number, &t.prompts, &t.batch, &t.values, t.leader)).collect();
        digest_json("maspo method", &(digest, &self.method, trials, &self.learned, &self.system))
    }

    /// The number of calls that were avoided because nothing they depend on had changed: worker
    /// calls of re-runs, and comparisons of equal texts, each of which stands for at least one
    /// call.
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
            assignment: None,
            change: None,
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
            held_back: started.held_back,
            batch: started.batch,
            plan: started.plan,
            seed_prompts: started.prompts.clone(),
            prompts: started.prompts.clone(),
            method: started.method.clone(),
            labelled: started.labelled,
            system: None,
            stopped: None,
            trials: Vec::new(),
            learned: Vec::new(),
            kept_seed: false,
            final_check: None,
            gate: Vec::new(),
            steps: Vec::new(),
            lineage: started.prompts.iter().filter(|(id, _)| started.optimized.contains(id)).map(seed_prompt).collect(),
            refreshes: Vec::new(),
            misalignment: started.optimized.iter().map(none).collect(),
            rejections: BTreeMap::new(),
            copied: Vec::new(),
            judge: JudgeStats::default(),
            avoided: Avoided::default(),
            overflows: 0,
            cut_in_reasoning: 0,
        }
    }

    fn add_refresh(&mut self, refreshed: &Refreshed) {
        self.refreshes.push(refreshed.clone());
        (self.judge, self.avoided) = (refreshed.judge, refreshed.avoided);
        (self.overflows, self.cut_in_reasoning) = (refreshed.overflows, refreshed.cut_in_reasoning);
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
        (self.judge, self.avoided) = (step.judge, step.avoided);
        (self.overflows, self.cut_in_reasoning) = (step.overflows, step.cut_in_reasoning);
    }

    fn add_trial(&mut self, trial: &Trial) {
        if let Some(reason) = trial.rejected {
            *self.rejections.entry(reason).or_default() += 1;
        }
        let Counters { judge, avoided, overflows, cut_in_reasoning } = trial.counters;
        (self.judge, self.avoided) = (judge, avoided);
        (self.overflows, self.cut_in_reasoning) = (overflows, cut_in_reasoning);
        self.trials.push(trial.clone());
        if let Some(leader) = self.trials.iter().find(|other| other.number == trial.leader) {
            self.prompts = leader.prompts.clone();
        }
    }

    fn add_candidate(&mut self, step: &Step, candidate: &CandidateRecord) {
        match &candidate.outcome {
            Outcome::Rejected { reason, .. } => *self.rejections.entry(*reason).or_default() += 1,
            Outcome::Scored { id, prompt, reward, score, local_better, misaligned, .. } => {
                self.lineage.push(Lineage {
                    agent: step.agent,
                    id: *id,
                    parent: Some(candidate.parent),
                    round: step.round,
                    step: step.step,
                    assignment: candidate.assignment.clone(),
                    change: candidate.change.clone(),
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
        self.stopped = finished.stopped;
        self.copied = finished.copied.clone();
        (self.judge, self.avoided) = (finished.judge, finished.avoided);
        (self.overflows, self.cut_in_reasoning) = (finished.overflows, finished.cut_in_reasoning);
    }
}
