//! The upper bound for a run, computed before it starts. Real runs stay below it: duplicates are
//! not evaluated, unchanged outputs are neither re-run nor judged, and the response cache answers
//! repeated calls.

use super::input::Options;
use super::options::GateMode;
use super::schedule::{optimizable, visits};
use crate::base::AgentId;
use crate::graph::{EdgeView, Graph};
use crate::judge::JudgeMode;
use crate::rollout::summary_tokens;
use serde::{Deserialize, Serialize};

/// The upper bound for one model role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RolePlan {
    /// The most calls, whether the model or the cache answers them.
    pub calls: u64,
    /// The most new tokens.
    pub new_tokens: u64,
}

/// The upper bound for a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// The number of steps over all agents and rounds.
    pub steps: usize,
    /// The most candidates that are written.
    pub candidates: u64,
    /// The calls that run the agents.
    pub worker: RolePlan,
    /// The calls that write candidates.
    pub optimizer: RolePlan,
    /// The calls that compare answers.
    pub judge: RolePlan,
}

/// Computes the upper bound for optimizing `graph` on a pool of `pool` queries. It covers the
/// search only; an evaluation on held-out cases is not included.
pub fn plan(graph: &Graph, options: &Options, pool: usize) -> Plan {
    let Options { search, propose, .. } = options;
    let held_back = search.held_back(pool);
    let batch = search.batch.min(pool - held_back) as u64;
    let mut plan = Plan::default();
    let mut widths = vec![1_usize; graph.agents().len()];
    let everyone = run_cost(graph, options, graph.order());
    for visit in visits(graph, search) {
        let width = &mut widths[visit.agent.0];
        let below = run_cost(graph, options, &reached(graph, visit.agent));
        let comparisons = comparisons(graph, options, visit.agent);
        if visit.returns && *width > 1 {
            let others = *width as u64 - 1;
            plan.worker.add(everyone, batch);
            plan.worker.add(below, batch * others);
            plan.judge.add(judge_cost(options), batch * others * comparisons);
        }
        for _ in 0..search.steps {
            let parents = *width as u64;
            let candidates = parents * search.candidates as u64;
            plan.steps += 1;
            plan.candidates += candidates;
            plan.worker.add(everyone, batch);
            plan.worker.add(below, batch * (parents - 1 + candidates));
            plan.judge.add(judge_cost(options), batch * candidates * comparisons);
            *width = search.beam.min(*width + *width * search.candidates);
        }
    }
    plan.optimizer = RolePlan { calls: plan.candidates, new_tokens: plan.candidates * propose.max_new_tokens as u64 };
    match search.gate {
        GateMode::Final => {
            let check = search.final_check.min(pool) as u64;
            plan.worker.add(everyone, 2 * check);
            plan.judge.add(judge_cost(options), check);
        }
        GateMode::Anytime => add_gate(&mut plan, graph, options, held_back as u64),
    }
    plan
}

/// Adds the most that the gate takes on `queries` queries: the whole team and the seed prompts; the
/// team without each agent's change; a part of the team. Every team is run once per query.
fn add_gate(plan: &mut Plan, graph: &Graph, options: &Options, queries: u64) {
    let agents = optimizable(graph);
    let everyone = run_cost(graph, options, graph.order());
    let several = agents.len() > 1;
    plan.worker.add(everyone, queries * (2 + u64::from(several)));
    plan.judge.add(judge_cost(options), queries * (1 + u64::from(several)));
    for agent in agents.into_iter().filter(|_| several) {
        plan.worker.add(run_cost(graph, options, &reached(graph, agent)), queries);
        plan.judge.add(judge_cost(options), queries);
    }
}

impl RolePlan {
    pub(crate) fn add(&mut self, one: Self, times: u64) {
        self.calls += one.calls * times;
        self.new_tokens += one.new_tokens * times;
    }
}

/// The cost of running the whole graph once on one query.
pub(crate) fn team_cost(graph: &Graph, options: &Options) -> RolePlan {
    run_cost(graph, options, graph.order())
}

/// The agent and all agents downstream of it.
fn reached(graph: &Graph, agent: AgentId) -> Vec<AgentId> {
    let mut agents = graph.descendants(agent);
    agents.push(agent);
    agents
}

/// The cost of running `agents` once on one query, including the summaries that their successors
/// see.
fn run_cost(graph: &Graph, options: &Options, agents: &[AgentId]) -> RolePlan {
    let mut cost = RolePlan::default();
    for &id in agents {
        cost.add(RolePlan { calls: 1, new_tokens: graph.agent(id).max_new_tokens as u64 }, 1);
        if graph.edges().iter().any(|edge| edge.from == id && edge.view == EdgeView::Summary) {
            cost.add(RolePlan { calls: 1, new_tokens: summary_tokens(options.rollout.summary_words) as u64 }, 1);
        }
    }
    cost
}

/// The number of comparisons per sample for `agent`: its own output, the outputs of the agents
/// within the lookahead's depth, and the final output.
fn comparisons(graph: &Graph, options: &Options, agent: AgentId) -> u64 {
    let mut near = vec![agent];
    for _ in 0..options.reward.lookahead_depth.min(graph.agents().len()) {
        let next: Vec<_> = near.iter().flat_map(|id| graph.successors(*id)).collect();
        near.extend(next);
        near.sort_unstable();
        near.dedup();
    }
    if !near.contains(&graph.terminal()) {
        near.push(graph.terminal());
    }
    near.len() as u64
}

/// The cost of one comparison: one call per order, rubric and model.
pub(crate) fn judge_cost(options: &Options) -> RolePlan {
    let judge = &options.judge;
    let asked = (judge.rubrics.len().max(1) * judge.models.max(1)) as u64;
    let calls = (1 + u64::from(judge.both_orders)) * asked;
    match judge.mode {
        JudgeMode::Logit => RolePlan { calls, new_tokens: 0 },
        JudgeMode::Text => RolePlan { calls, new_tokens: calls * judge.max_new_tokens as u64 },
        JudgeMode::Coin => RolePlan::default(),
    }
}
