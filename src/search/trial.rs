//! Trying prompts on a mini-batch: base traces, proposals, re-runs, comparisons. Everything independent runs at once, and
//! results come in index order. It asks and measures; what follows from it is decided elsewhere.

use super::beam::{Node, round_score};
use super::input::SearchInput;
use crate::base::AgentId;
use crate::chat::ChatError;
use crate::graph::Graph;
use crate::judge::Judge;
use crate::misalignment::{Buffer, Sampling};
use crate::prompt::{Rejection, Sanitized, Template};
use crate::propose::{Optimizer, Source};
use crate::reward::{Reward, compare, joint_reward};
use crate::rollout::{Prompts, Runner, Trace};
use futures::future::try_join_all;
use std::sync::Arc;

/// The first counter of a comparison's coin: what it is tossed for.
const COIN_STEP: u64 = 1;
const COIN_REFRESH: u64 = 2;
const COIN_FINAL: u64 = 3;

/// A mini-batch: positions in the pool with their queries.
pub(super) type Batch = Vec<(usize, Arc<str>)>;

/// Which step it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) round: usize,
    pub(super) agent: AgentId,
    pub(super) step: usize,
}

impl Turn {
    /// The counters (round, agent, step), the path of every draw of the step.
    pub(super) fn path(self) -> [u64; 3] {
        [self.round as u64, self.agent.0 as u64, self.step as u64]
    }
}

/// A parent, its traces, and the candidates written from them.
pub(super) struct Litter {
    /// The parent's place in the beam.
    pub(super) parent: usize,
    pub(super) traces: Vec<Trace>,
    pub(super) proposals: Vec<Result<Sanitized, Rejection>>,
}

/// A candidate's traces and what they are worth.
pub(super) struct Tried {
    pub(super) traces: Vec<Trace>,
    pub(super) reward: Reward,
}

/// The models in their roles.
pub(super) struct Trial<'a> {
    input: &'a SearchInput,
    graph: &'a Graph,
    pub(super) runner: Runner,
    pub(super) judge: Judge,
    optimizer: Optimizer,
}

impl<'a> Trial<'a> {
    pub(super) fn new(input: &'a SearchInput) -> Self {
        let SearchInput { graph, worker, optimizer, judge, seed, options, .. } = input;
        Self {
            input,
            graph,
            runner: Runner::new(graph.clone(), worker.clone(), options.rollout.clone()),
            judge: Judge::new(judge.clone(), options.judge.clone(), *seed),
            optimizer: Optimizer::new(optimizer.clone(), options.propose.clone(), *seed),
        }
    }

    /// The queries at these positions.
    pub(super) fn batch(&self, positions: &[usize]) -> Batch {
        positions.iter().map(|at| (*at, self.input.pool[*at].clone())).collect()
    }

    /// Base traces of every parent and Ksub proposals for each (Eq. 4). All parents see the same batch, and what stands
    /// above the agent runs once for all of them. A parent's candidates are written as soon as its own traces are there.
    pub(super) async fn litters(
        &self,
        turn: Turn,
        best: &Prompts,
        parents: &[Node],
        cases: &Buffer,
        batch: &Batch,
    ) -> Result<Vec<Litter>, ChatError> {
        let first = parents.first().expect("a beam is never empty");
        let base = self.runner.run(&best.with(turn.agent, first.prompt.clone()), batch).await?;
        let litter = async |(parent, node): (usize, &Node)| {
            let traces =
                if parent == 0 { base.clone() } else { self.rerun(&base, turn.agent, best, &node.prompt).await? };
            let source = Source { graph: self.graph, agent: turn.agent, parent: &node.prompt, traces: &traces, cases };
            let propose = async |candidate: usize| {
                let [round, agent, step] = turn.path();
                self.optimizer.propose(source, &[round, agent, step, parent as u64, candidate as u64]).await
            };
            let proposals = try_join_all((0..self.input.options.search.candidates).map(propose)).await?;
            Ok(Litter { parent, traces, proposals })
        };
        try_join_all(parents.iter().enumerate().map(litter)).await
    }

    /// R(c, p): re-runs downward from the agent, and the joint reward (Eq. 5). `place` is (parent, candidate).
    pub(super) async fn candidate(
        &self,
        turn: Turn,
        best: &Prompts,
        base: &[Trace],
        prompt: &Template,
        place: [usize; 2],
    ) -> Result<Tried, ChatError> {
        let [round, agent, step] = turn.path();
        let [parent, candidate] = place.map(|at| at as u64);
        let draw = [COIN_STEP, round, agent, step, parent, candidate];
        // A term without weight is asked all the same where cases are told apart by it.
        let mining = matches!(self.input.options.misalignment.sampling, Sampling::Misalignment | Sampling::Success);
        self.against(turn.agent, best, base, prompt, mining, &draw).await
    }

    /// Eq. 8: R(p, best_i) of every node of the beam on one fresh batch, with the same reward; `None` for best_i itself.
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
            let tried = self.against(agent, best, &base, &node.prompt, false, &draw).await?;
            Ok(Some(tried.reward.mean))
        };
        try_join_all(beam.iter().enumerate().map(node)).await
    }

    /// Per query of the batch, whether `optimized` gives the better answer than the seed prompts.
    pub(super) async fn final_check(&self, optimized: &Prompts, batch: &Batch) -> Result<Vec<f64>, ChatError> {
        let seed = Prompts::seed(self.graph);
        let (base, new) =
            futures::future::try_join(self.runner.run(&seed, batch), self.runner.run(optimized, batch)).await?;
        let terminal = self.graph.terminal();
        let one = |(base, new)| compare(&self.judge, self.graph, terminal, false, base, new, &[COIN_FINAL]);
        try_join_all(base.iter().zip(&new).map(one)).await
    }

    async fn against(
        &self,
        agent: AgentId,
        best: &Prompts,
        base: &[Trace],
        prompt: &Template,
        all_terms: bool,
        draw: &[u64],
    ) -> Result<Tried, ChatError> {
        let traces = self.rerun(base, agent, best, prompt).await?;
        let weights = &self.input.options.reward;
        let reward = joint_reward(&self.judge, self.graph, weights, agent, base, &traces, all_terms, draw).await?;
        Ok(Tried { traces, reward: rounded(reward) })
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

/// The reward as events hold it.
fn rounded(mut reward: Reward) -> Reward {
    reward.mean = round_score(reward.mean);
    for sample in &mut reward.samples {
        sample.lookahead = sample.lookahead.map(round_score);
        sample.joint = round_score(sample.joint);
    }
    reward
}
