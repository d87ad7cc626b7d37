//! Evaluates prompts on a mini-batch: base traces, proposals, re-runs, comparisons. Independent
//! calls run concurrently, and results come in index order. It measures; what follows from a
//! measurement is decided in `ascent`.

use super::beam::{Node, round_score};
use super::events::Counters;
use super::input::SearchInput;
use crate::base::AgentId;
use crate::chat::ChatError;
use crate::graph::Graph;
use crate::judge::Judge;
use crate::misalignment::{Buffer, Sampling};
use crate::prompt::Template;
use crate::propose::{Draw, Optimizer, Proposal, ProposalContext, Tried};
use crate::reward::{Reward, compare, joint_reward, mean_joint};
use crate::rollout::{Prompts, Runner, Trace};
use futures::future::try_join_all;
use std::sync::Arc;

/// The first counter of a comparison's coin flip: which kind of comparison it is for.
const COIN_STEP: u64 = 1;
const COIN_REFRESH: u64 = 2;
const COIN_FINAL: u64 = 3;

/// A mini-batch: positions in the pool with their queries.
pub(super) type Batch = Vec<(usize, Arc<str>)>;

/// Which step of the search it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepId {
    pub(super) round: usize,
    pub(super) agent: AgentId,
    pub(super) step: usize,
}

impl StepId {
    /// The counters (round, agent, step) that begin the path of every random draw of the step.
    pub(super) fn path(self) -> [u64; 3] {
        [self.round as u64, self.agent.0 as u64, self.step as u64]
    }
}

/// The prompts that the optimizer model proposed for one parent.
pub(super) struct Proposals {
    /// The parent's index in the beam.
    pub(super) parent: usize,
    /// The parent's traces on the mini-batch.
    pub(super) traces: Vec<Trace>,
    /// One proposal per candidate.
    pub(super) list: Vec<Proposal>,
}

/// A candidate's traces on the mini-batch, or on a part of it, and their reward.
pub(super) struct Evaluated {
    pub(super) traces: Vec<Trace>,
    pub(super) reward: Reward,
}

impl Default for Evaluated {
    fn default() -> Self {
        Self { traces: Vec::new(), reward: Reward { mean: 0.5, samples: Vec::new() } }
    }
}

impl Evaluated {
    /// Adds another part of the mini-batch.
    pub(super) fn extend(&mut self, part: Self) {
        self.traces.extend(part.traces);
        self.reward.samples.extend(part.reward.samples);
        self.reward.mean = mean_joint(&self.reward.samples);
    }

    /// Puts what was evaluated in the order `order` of the mini-batch's indices, or in its
    /// beginning, into the order of the mini-batch.
    pub(super) fn in_order(self, order: &[usize]) -> Self {
        let mut parts: Vec<_> = order.iter().zip(self.traces.into_iter().zip(self.reward.samples)).collect();
        parts.sort_by_key(|(at, _)| **at);
        let (traces, samples): (Vec<_>, Vec<_>) = parts.into_iter().map(|(_, part)| part).unzip();
        Self { traces, reward: Reward { mean: mean_joint(&samples), samples } }
    }

    /// The evaluation with its values rounded as events store them.
    pub(super) fn rounded(mut self) -> Self {
        self.reward.mean = round_score(self.reward.mean);
        for sample in &mut self.reward.samples {
            sample.lookahead = sample.lookahead.map(round_score);
            sample.joint = round_score(sample.joint);
        }
        self
    }
}

/// The three models in their roles.
pub(super) struct Evaluator<'a> {
    input: &'a SearchInput,
    pub(super) graph: &'a Graph,
    pub(super) runner: Runner,
    pub(super) judge: Judge,
    optimizer: Optimizer,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(input: &'a SearchInput) -> Self {
        let SearchInput { graph, worker, optimizer, judge, seed, options, .. } = input;
        let templates = input.templates();
        Self {
            input,
            graph,
            runner: Runner::new(graph.clone(), worker.clone(), options.rollout.clone(), templates.summary.clone()),
            judge: Judge::new(judge.clone(), options.judge.clone(), *seed, templates.judge.clone()),
            optimizer: Optimizer::new(optimizer.clone(), options.propose.clone(), *seed, templates.optimizer.clone()),
        }
    }

    /// The counters so far.
    pub(super) fn counters(&self) -> Counters {
        Counters {
            judge: self.judge.stats(),
            avoided: self.runner.avoided(),
            overflows: self.runner.overflows(),
            cut_in_reasoning: self.runner.cut_in_reasoning(),
        }
    }

    /// The mini-batch of the queries at these positions of the pool.
    pub(super) fn batch(&self, positions: &[usize]) -> Batch {
        positions.iter().map(|at| (*at, self.input.pool[*at].clone())).collect()
    }

    /// Runs every parent on the batch and has the optimizer model write K_sub proposals for each
    /// (Eq. 4). All parents see the same batch, so the agents upstream of this one run only once.
    /// The proposals for a parent are requested as soon as its own traces are complete. The
    /// assignments take turns over candidates, parents and steps.
    pub(super) async fn propose(
        &self,
        step_id: StepId,
        best: &Prompts,
        parents: &[Node],
        (cases, tried): (&Buffer, &[Tried]),
        batch: &Batch,
    ) -> Result<Vec<Proposals>, ChatError> {
        let first = parents.first().expect("a beam is never empty");
        let base = self.runner.run(&best.with(step_id.agent, first.prompt.clone()), batch).await?;
        let propose_for = async |(parent, node): (usize, &Node)| {
            let traces =
                if parent == 0 { base.clone() } else { self.rerun(&base, step_id.agent, best, &node.prompt).await? };
            let context = ProposalContext {
                graph: self.graph,
                agent: step_id.agent,
                parent: &node.prompt,
                traces: &traces,
                verdicts: &node.verdicts,
                cases,
                tried,
            };
            let candidates = self.input.options.search.candidates;
            let first = (step_id.round - 1 + step_id.step - 1 + parent) * candidates;
            let propose = async |candidate: usize| {
                let [round, agent, step] = step_id.path();
                let path = [round, agent, step, parent as u64, candidate as u64];
                self.optimizer.propose(context, Draw { path: &path, turn: first + candidate }).await
            };
            let list = try_join_all((0..candidates).map(propose)).await?;
            Ok(Proposals { parent, traces, list })
        };
        try_join_all(parents.iter().enumerate().map(propose_for)).await
    }

    /// Measures R(c, p), the joint reward (Eq. 5) of the candidate `prompt` on the queries of
    /// `base`: re-runs the agent and everything downstream of it. `position` is (parent,
    /// candidate). The values are not rounded yet.
    pub(super) async fn candidate(
        &self,
        step_id: StepId,
        best: &Prompts,
        base: &[Trace],
        prompt: &Template,
        position: [usize; 2],
    ) -> Result<Evaluated, ChatError> {
        let [round, agent, step] = step_id.path();
        let [parent, candidate] = position.map(|at| at as u64);
        let draw = [COIN_STEP, round, agent, step, parent, candidate];
        // Misalignment cases depend on all three terms, so a term of weight 0 is then judged too.
        let mining = matches!(self.input.options.misalignment.sampling, Sampling::Misalignment | Sampling::Success);
        self.evaluate(step_id.agent, best, base, prompt, mining, &draw).await
    }

    /// Measures R(p, best_i) for every node of the beam on one fresh batch (Eq. 8), with the reward
    /// of a step; `None` for best_i itself.
    pub(super) async fn refresh(
        &self,
        round: usize,
        agent: AgentId,
        best: &Prompts,
        beam: &[Node],
        batch: &Batch,
    ) -> Result<Vec<Option<f64>>, ChatError> {
        let base = self.runner.run(best, batch).await?;
        let node = async |(at, node): (usize, &Node)| {
            if node.prompt == *best.get(agent) {
                return Ok(None);
            }
            let draw = [COIN_REFRESH, round as u64, agent.0 as u64, at as u64];
            let evaluated = self.evaluate(agent, best, &base, &node.prompt, false, &draw).await?;
            Ok(Some(evaluated.rounded().reward.mean))
        };
        try_join_all(beam.iter().enumerate().map(node)).await
    }

    /// Whether `optimized` gives a better answer than the seed prompts: 1, 0 or ½ per query.
    pub(super) async fn final_check(&self, optimized: &Prompts, batch: &Batch) -> Result<Vec<f64>, ChatError> {
        let seed = Prompts::seed(self.graph);
        let (base, new) =
            futures::future::try_join(self.runner.run(&seed, batch), self.runner.run(optimized, batch)).await?;
        let terminal = self.graph.terminal();
        let one = |(base, new)| compare(&self.judge, self.graph, terminal, false, base, new, &[COIN_FINAL]);
        try_join_all(base.iter().zip(&new).map(one)).await
    }

    async fn evaluate(
        &self,
        agent: AgentId,
        best: &Prompts,
        base: &[Trace],
        prompt: &Template,
        all_terms: bool,
        draw: &[u64],
    ) -> Result<Evaluated, ChatError> {
        let traces = self.rerun(base, agent, best, prompt).await?;
        let weights = &self.input.options.reward;
        let reward = joint_reward(&self.judge, self.graph, weights, agent, base, &traces, all_terms, draw).await?;
        Ok(Evaluated { traces, reward })
    }

    async fn rerun(
        &self,
        base: &[Trace],
        agent: AgentId,
        best: &Prompts,
        prompt: &Template,
    ) -> Result<Vec<Trace>, ChatError> {
        self.runner.rerun_all(base, agent, &best.with(agent, prompt.clone())).await
    }
}
