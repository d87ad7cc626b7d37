//! The pairs that a judge is checked on.

use super::Damage;
use super::damage::{cut, scrambled, swapped};
use crate::base::{AgentId, Seed};
use crate::graph::Graph;
use crate::rollout::Trace;
use serde::Serialize;

/// Why it is known which of two answers is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The worse one was made from the better one.
    Damaged(Damage),
    /// The better one has the gold answer of a labelled case and the worse one has another.
    Gold,
    /// A person said so.
    Labelled,
}

/// Two answers of an agent to one query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    /// The agent whose role is judged.
    pub agent: AgentId,
    /// The query.
    pub question: String,
    /// What both answers were written from; `None` if that is not known or not the same.
    pub context: Option<String>,
    /// The two answers. Of a pair of known order, the first is the better one.
    pub answers: [String; 2],
}

/// A pair of known order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownPair {
    /// The pair; its first answer is the better one.
    pub pair: Pair,
    /// Why that is known.
    pub known: Known,
}

/// Returns the pair of every agent's outputs in two runs of one query, where they differ.
pub(super) fn resampled(graph: &Graph, runs: &[Trace], again: &[Trace]) -> Vec<Pair> {
    let pair = |agent: AgentId, one: &Trace, two: &Trace| -> Option<Pair> {
        let (first, second) = (one.run(agent), two.run(agent));
        let usable = !first.is_blank() && !second.is_blank() && first.output != second.output;
        let context = (first.context == second.context).then(|| first.context.clone());
        usable.then(|| Pair {
            agent,
            question: one.question.to_string(),
            context: context.filter(|context| !context.is_empty()),
            answers: [first.output.clone(), second.output.clone()],
        })
    };
    let of_agent = |agent| runs.iter().zip(again).filter_map(move |(one, two)| pair(agent, one, two));
    graph.order().iter().flat_map(|agent| of_agent(*agent)).collect()
}

/// Returns every agent's outputs beside damaged ones, as far as they can be damaged.
pub(super) fn damaged(graph: &Graph, runs: &[Trace], seed: Seed) -> Vec<KnownPair> {
    let mut pairs = Vec::new();
    for &agent in graph.order() {
        let outputs: Vec<&str> = runs.iter().map(|trace| trace.output(agent)).collect();
        let others = swapped(&outputs);
        for (at, trace) in runs.iter().enumerate() {
            let run = trace.run(agent);
            if run.is_blank() {
                continue;
            }
            let draw = [agent.0 as u64, trace.item as u64];
            let worse = [
                (Damage::Cut, cut(&run.output)),
                (Damage::Scrambled, scrambled(&run.output, seed, &draw)),
                (Damage::Swapped, others[at].map(str::to_string)),
            ];
            let context = (!run.context.is_empty()).then(|| run.context.clone());
            for (damage, worse) in worse {
                let Some(worse) = worse else { continue };
                let answers = [run.output.clone(), worse];
                let pair = Pair { agent, question: trace.question.to_string(), context: context.clone(), answers };
                pairs.push(KnownPair { pair, known: Known::Damaged(damage) });
            }
        }
    }
    pairs
}
