//! The joint reward R = α·Local + β·Lookahead + θ·Global per sample (Eq. 5), and its mean over a
//! mini-batch.

use super::RewardOptions;
use crate::base::AgentId;
use crate::chat::ChatError;
use crate::graph::Graph;
use crate::judge::Judge;
use crate::judge::template::{Answer, Question};
use crate::rollout::{AgentRun, Trace};
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use serde::{Deserialize, Serialize};

/// The reward of a candidate on one query. Each term is 1 (better than the base), 0 (worse), ½ (a
/// tie) or a mean of these; it is `None` if it does not exist or was not judged.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleReward {
    /// The query's index in the pool.
    pub item: usize,
    /// The local term: the agent's own output, judged for its own role.
    pub local: Option<f64>,
    /// The lookahead term: the successors' outputs, judged for their roles.
    pub lookahead: Option<f64>,
    /// The global term: the system's answer, judged for the role of the terminal agent.
    pub global: Option<f64>,
    /// The weighted mean of the terms.
    pub joint: f64,
}

/// The joint reward R(candidate, base; B) of a candidate over a mini-batch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reward {
    /// The mean of the samples' joint rewards; ½ for an empty batch.
    pub mean: f64,
    /// One sample per query, in the order of the batch.
    pub samples: Vec<SampleReward>,
}

/// Compares the traces `new`, re-run with a candidate at `agent`, with the traces `base` from
/// before, item by item. Terms of weight 0 are judged only if `all_terms` is set. `draw` holds the
/// counters of this candidate, from which a coin judge is seeded.
///
/// # Errors
/// Returns every error of the judge's model except an overflow, which counts as a tie.
///
/// # Panics
/// Panics if `base` and `new` are not traces of the same items.
#[expect(
    clippy::too_many_arguments,
    reason = "each is a different thing, and a struct of them would live for one call"
)]
pub async fn joint_reward(
    judge: &Judge,
    graph: &Graph,
    options: &RewardOptions,
    agent: AgentId,
    base: &[Trace],
    new: &[Trace],
    all_terms: bool,
    draw: &[u64],
) -> Result<Reward, ChatError> {
    assert!(
        base.iter().map(|t| t.item).eq(new.iter().map(|t| t.item)),
        "both batches hold the same items in one order"
    );
    let terms = Terms::of(graph, options, agent, all_terms);
    let one = |(base, new)| terms.sample(judge, graph, base, new, draw).boxed();
    let samples = try_join_all(base.iter().zip(new).map(one).collect::<Vec<_>>()).await?;
    Ok(Reward { mean: mean_joint(&samples), samples })
}

/// Returns the mean of the samples' joint rewards; ½ without samples.
pub(crate) fn mean_joint(samples: &[SampleReward]) -> f64 {
    mean(samples.iter().map(|sample| sample.joint)).unwrap_or(0.5)
}

/// The comparisons that are made for an agent, with their weights.
struct Terms {
    /// The agent itself, judged in its context, and the weight.
    local: Option<(AgentId, f64)>,
    /// Its successors up to the lookahead's depth, each judged without its context, and the weight
    /// of their mean.
    lookahead: Option<(Vec<AgentId>, f64)>,
    /// The terminal agent, judged without its context, and the weight.
    global: Option<(AgentId, f64)>,
}

impl Terms {
    fn of(graph: &Graph, options: &RewardOptions, agent: AgentId, all_terms: bool) -> Self {
        if agent == graph.terminal() {
            // All three terms would be the same comparison.
            return Self { local: Some((agent, 1.0)), lookahead: None, global: None };
        }
        let asked = |weight: f64| all_terms || weight > 0.0;
        let ahead = within(graph, agent, options.lookahead_depth);
        Self {
            local: asked(options.local).then_some((agent, options.local)),
            lookahead: (asked(options.lookahead) && !ahead.is_empty()).then_some((ahead, options.lookahead)),
            global: asked(options.global).then_some((graph.terminal(), options.global)),
        }
    }

    /// Makes all comparisons of one query concurrently; a comparison that two terms share is made
    /// once.
    async fn sample(
        &self,
        judge: &Judge,
        graph: &Graph,
        base: &Trace,
        new: &Trace,
        draw: &[u64],
    ) -> Result<SampleReward, ChatError> {
        let ahead: &[AgentId] = self.lookahead.as_ref().map_or(&[], |(ahead, _)| ahead);
        let mut blind: Vec<AgentId> = ahead.to_vec();
        blind.extend(self.global.map(|(id, _)| id).filter(|id| !ahead.contains(id)));
        let mut comparisons: Vec<BoxFuture<'_, Result<f64, ChatError>>> = Vec::with_capacity(blind.len() + 1);
        comparisons.extend(blind.iter().map(|id| compare(judge, graph, *id, false, base, new, draw).boxed()));
        comparisons.extend(self.local.map(|(id, _)| compare(judge, graph, id, true, base, new, draw).boxed()));
        let values = try_join_all(comparisons).await?;

        let value = |id: &AgentId| values[blind.iter().position(|b| b == id).expect("every agent ahead was compared")];
        let local = self.local.map(|_| values[blind.len()]);
        let lookahead = mean(ahead.iter().map(value));
        let global = self.global.map(|(id, _)| value(&id));
        let weighted = [
            (self.local.map_or(0.0, |(_, weight)| weight), local),
            (self.lookahead.as_ref().map_or(0.0, |(_, weight)| *weight), lookahead),
            (self.global.map_or(0.0, |(_, weight)| weight), global),
        ];
        Ok(SampleReward { item: base.item, local, lookahead, global, joint: weighted_mean(&weighted) })
    }
}

/// Returns the agents that `agent`'s output reaches in at most `depth` steps, in topological order.
fn within(graph: &Graph, agent: AgentId, depth: usize) -> Vec<AgentId> {
    let mut near = vec![agent];
    for _ in 0..depth.min(graph.agents().len()) {
        let next: Vec<AgentId> = near.iter().flat_map(|id| graph.successors(*id)).collect();
        near.extend(next);
        near.sort_unstable();
        near.dedup();
    }
    graph.order().iter().copied().filter(|id| *id != agent && near.contains(id)).collect()
}

/// Compares `id`'s new output with its old one: 1 better, 0 worse, ½ a tie. An empty output loses
/// against any other without a call to the judge.
pub(crate) async fn compare(
    judge: &Judge,
    graph: &Graph,
    id: AgentId,
    in_context: bool,
    base: &Trace,
    new: &Trace,
    draw: &[u64],
) -> Result<f64, ChatError> {
    let (before, after) = (base.run(id), new.run(id));
    match (after.is_blank(), before.is_blank()) {
        (true, true) => return Ok(0.5),
        (true, false) => return Ok(0.0),
        (false, true) => return Ok(1.0),
        (false, false) => {}
    }
    let context =
        (in_context && !after.context.is_empty() && after.context == before.context).then_some(&*after.context);
    let agent = graph.agent(id);
    let question = Question { role: &agent.role, question: &base.question, context, frozen: &agent.frozen };
    let draw: Vec<u64> = draw.iter().copied().chain([base.item as u64, id.0 as u64]).collect();
    Ok(judge.compare(&question, answer(after), answer(before), &draw).await?.value)
}

fn answer(run: &AgentRun) -> Answer<'_> {
    Answer { text: &run.output, truncated: run.truncated }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Returns the mean of the terms that exist, by their weights; ½ if none of them has weight.
fn weighted_mean(terms: &[(f64, Option<f64>)]) -> f64 {
    let known = || terms.iter().filter_map(|(weight, value)| Some((weight.max(0.0), (*value)?)));
    let total: f64 = known().map(|(weight, _)| weight).sum();
    if total > 0.0 { known().map(|(weight, value)| weight * value).sum::<f64>() / total } else { 0.5 }
}
