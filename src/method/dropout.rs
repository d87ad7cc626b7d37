//! AgentDropout (arXiv 2503.18891): every edge has a probability, which is learned from labelled
//! training items by REINFORCE with the team's accuracy as its reward. First the agents with the
//! least weighted degree are dropped, then, after learning anew, the edges that became improbable.
//! Prompts stay as they are. The graph is a DAG with one round of communication, so there is one
//! probability per edge; a sampled graph in which an agent would lack its input is drawn again.

use super::lab::{Lab, mean, of_runner};
use crate::base::{AgentId, Seed, Stage};
use crate::chat::ChatError;
use crate::graph::{Agent, Edge, Graph};
use crate::rollout::{AnswerRule, Prompts, Runner, System, Trace};
use crate::search::{Counters, Event, Learned, SearchError, round_score};
use futures::FutureExt;
use futures::future::try_join_all;
use rand::RngExt;
use std::sync::Arc;

/// How often a graph is drawn before all edges are taken.
const DRAWS: usize = 16;

/// What is learned about the graph.
struct Mask {
    /// The logit of every edge's probability.
    logits: Vec<f64>,
    /// Whether the edge is still there.
    edges: Vec<bool>,
    /// Whether the agent is dropped.
    dropped: Vec<bool>,
}

/// Learns, drops agents, learns again, and drops edges.
pub(super) async fn run(lab: &mut Lab<'_>) -> Result<(), SearchError> {
    let graph = lab.graph();
    let (edges, agents) = (graph.edges().len(), graph.agents().len());
    let mut mask = Mask { logits: vec![0.0; edges], edges: vec![true; edges], dropped: vec![false; agents] };
    learn(lab, &mut mask, "nodes").await?;
    let count = (lab.input.options.drop_agents * agents as f64).round() as usize;
    mask.drop_agents(graph, count);
    lab.system = mask.system(graph);
    mask.logits = vec![0.0; edges];
    learn(lab, &mut mask, "edges").await?;
    mask.drop_edges(graph, lab.input.options.edge_threshold);
    lab.system = mask.system(graph);
    Ok(())
}

/// Goes over the labelled items, as often as the options say.
async fn learn(lab: &mut Lab<'_>, mask: &mut Mask, phase: &str) -> Result<(), SearchError> {
    let options = &lab.input.options;
    let stage = u64::from(phase == "edges");
    let (mut update, mut seen, mut right) = (0, 0, 0.0);
    for epoch in 0..options.epochs {
        let seed = lab.seed().derive(Stage::MiniBatch, &[stage, epoch as u64]);
        let order = rand::seq::index::sample(&mut seed.rng(), lab.item_count(), lab.item_count()).into_vec();
        for batch in order.chunks(options.update_items) {
            lab.input.search.proceed()?;
            update += 1;
            let sampled: Vec<Vec<bool>> = batch
                .iter()
                .map(|item| mask.sample(lab.graph(), lab.seed().derive(Stage::Method, &[stage, update, *item as u64])))
                .collect();
            let one = |(item, edges): (&usize, &Vec<bool>)| utility(lab, mask, edges.clone(), *item).boxed();
            let answered = try_join_all(batch.iter().zip(&sampled).map(one).collect::<Vec<_>>()).await?;
            lab.aside = answered.iter().fold(lab.aside, |sum, (_, counters)| sum.plus(*counters));
            let utilities: Vec<f64> = answered.into_iter().map(|(utility, _)| utility).collect();
            let accuracy = mean(&utilities);
            // The mean of what was seen before, so that it does not depend on the batch.
            let baseline = if seen == 0 { accuracy } else { right / f64::from(seen) };
            seen += batch.len() as u32;
            right += utilities.iter().sum::<f64>();
            mask.reinforce(&sampled, &utilities, baseline, options.learning_rate);
            let event = Learned {
                phase: phase.to_string(),
                update: update as usize,
                batch: batch.to_vec(),
                accuracy,
                edges: mask.shown(),
                dropped: mask.names(lab.graph()),
            };
            lab.emit(Event::Learned(event)).await?;
        }
    }
    Ok(())
}

/// Whether the graph with these edges answers a labelled item right (1 or 0), and the counters.
async fn utility(lab: &Lab<'_>, mask: &Mask, edges: Vec<bool>, item: usize) -> Result<(f64, Counters), ChatError> {
    let graph = mask.graph(lab.graph(), &edges).expect("a sampled graph is usable");
    let graph = Arc::new(graph);
    let search = &lab.input.search;
    let summary = search.templates().summary.clone();
    let runner = Runner::new(graph.clone(), search.worker.clone(), search.options.rollout.clone(), summary);
    let traces: Vec<Trace> = runner.run(&Prompts::seed(&graph), &lab.batch(&[item])).await?;
    Ok((lab.right(&graph, &traces)?[0], of_runner(&runner)))
}

impl Mask {
    fn probability(&self, edge: usize) -> f64 {
        if self.edges[edge] { 1.0 / (1.0 + (-self.logits[edge]).exp()) } else { 0.0 }
    }

    fn shown(&self) -> Vec<f64> {
        (0..self.logits.len()).map(|edge| round_score(self.probability(edge))).collect()
    }

    fn names(&self, graph: &Graph) -> Vec<String> {
        let dropped = graph.agents().iter().zip(&self.dropped).filter(|(_, dropped)| **dropped);
        dropped.map(|(agent, _)| agent.name.clone()).collect()
    }

    /// Draws edges by their probabilities. If no usable graph is drawn, all edges are taken.
    fn sample(&self, graph: &Graph, seed: Seed) -> Vec<bool> {
        let mut rng = seed.rng();
        for _ in 0..DRAWS {
            let edges: Vec<bool> =
                (0..self.edges.len()).map(|edge| rng.random::<f64>() < self.probability(edge)).collect();
            if self.graph(graph, &edges).is_some() {
                return edges;
            }
        }
        self.edges.clone()
    }

    /// One step of REINFORCE: the logit of every edge that is still there moves by the mean of
    /// (utility − baseline) · (drawn − probability).
    fn reinforce(&mut self, sampled: &[Vec<bool>], utilities: &[f64], baseline: f64, rate: f64) {
        for edge in 0..self.logits.len() {
            if !self.edges[edge] {
                continue;
            }
            let probability = self.probability(edge);
            let term = |(edges, utility): (&Vec<bool>, &f64)| {
                (utility - baseline) * (f64::from(u8::from(edges[edge])) - probability)
            };
            let gradient = sampled.iter().zip(utilities).map(term).sum::<f64>() / sampled.len() as f64;
            self.logits[edge] = round_score(self.logits[edge] + rate * gradient);
        }
    }

    /// Drops up to `count` agents, those with the least sum of their edges' probabilities first. An
    /// agent without which another would lack its input stays, and so does the terminal one.
    fn drop_agents(&mut self, graph: &Graph, count: usize) {
        let degree = |id: usize| -> f64 {
            let own = |edge: &Edge| edge.from.0 == id || edge.to.0 == id;
            let edges = graph.edges().iter().enumerate().filter(|(_, edge)| own(edge));
            edges.map(|(at, _)| self.probability(at)).sum()
        };
        let mut order: Vec<(f64, usize)> = (0..graph.agents().len()).map(|id| (round_score(degree(id)), id)).collect();
        order.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let mut left = count;
        for (_, id) in order.into_iter().filter(|(_, id)| *id != graph.terminal().0) {
            if left == 0 {
                break;
            }
            let edges = graph.edges().iter().zip(&self.edges);
            let edges: Vec<bool> = edges.map(|(edge, there)| *there && edge.from.0 != id && edge.to.0 != id).collect();
            let mut dropped = self.dropped.clone();
            dropped[id] = true;
            let without = Self { logits: self.logits.clone(), edges: edges.clone(), dropped };
            if without.graph(graph, &edges).is_some() {
                *self = without;
                left -= 1;
            }
        }
    }

    /// Drops the edges whose probability is below `threshold`, the least first, as far as no agent
    /// then lacks its input.
    fn drop_edges(&mut self, graph: &Graph, threshold: f64) {
        let low = |edge: &usize| self.edges[*edge] && self.probability(*edge) < threshold;
        let mut order: Vec<usize> = (0..self.edges.len()).filter(low).collect();
        order.sort_by(|one, other| self.probability(*one).total_cmp(&self.probability(*other)));
        for edge in order {
            let mut edges = self.edges.clone();
            edges[edge] = false;
            if self.graph(graph, &edges).is_some() {
                self.edges = edges;
            }
        }
    }

    /// The graph with these edges, without agents that are dropped or that the terminal agent no
    /// longer hears of; `None` if an agent would lack its input.
    fn graph(&self, graph: &Graph, edges: &[bool]) -> Option<Graph> {
        let count = graph.agents().len();
        let mut heard = vec![false; count];
        heard[graph.terminal().0] = true;
        for id in graph.order().iter().rev() {
            let to_heard = |(edge, there): (&Edge, &bool)| *there && edge.from == *id && heard[edge.to.0];
            if graph.edges().iter().zip(edges).any(to_heard) && !self.dropped[id.0] {
                heard[id.0] = true;
            }
        }
        let original: Vec<AgentId> = (0..count).filter(|id| heard[*id]).map(AgentId).collect();
        let position = |id: AgentId| original.iter().position(|other| *other == id).map(AgentId);
        let kept = graph.edges().iter().zip(edges).filter(|(_, there)| **there);
        let edge = |(edge, _): (&Edge, &bool)| {
            Some(Edge { from: position(edge.from)?, to: position(edge.to)?, view: edge.view })
        };
        let edges: Vec<Edge> = kept.filter_map(edge).collect();
        let agents: Vec<Agent> = original.iter().map(|id| graph.agent(*id).clone()).collect();
        Graph::new(agents, edges, usize::MAX).ok()
    }

    /// The system that is left; `None` if nothing was dropped.
    fn system(&self, graph: &Graph) -> Option<System> {
        let left = self.graph(graph, &self.edges).filter(|left| left != graph)?;
        Some(System::new(&left, &Prompts::seed(&left), AnswerRule::Once))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::EdgeView::Raw;
    use crate::rollout::fixture;

    fn mask(graph: &Graph) -> Mask {
        let (edges, agents) = (graph.edges().len(), graph.agents().len());
        Mask { logits: vec![0.0; edges], edges: vec![true; edges], dropped: vec![false; agents] }
    }

    #[test]
    fn an_edge_that_was_drawn_when_answers_were_right_gains() {
        let graph = fixture::graph("abc", &[(0, 2, Raw), (1, 2, Raw)]);
        let mut mask = mask(&graph);
        // Right with the first edge, wrong with the second; the baseline is ½ and both
        // probabilities are ½: (½ · ½ + ½ · ½) / 2 and its negative.
        mask.reinforce(&[vec![true, false], vec![false, true]], &[1.0, 0.0], 0.5, 2.0);
        assert_eq!(mask.logits, [0.5, -0.5]);
        assert!((mask.probability(0) - 0.622459).abs() < 1e-6);
    }

    #[test]
    fn the_least_connected_agent_goes_first_and_inputs_stay() {
        let graph = fixture::graph("abc", &[(0, 2, Raw), (1, 2, Raw)]);
        let mut learned = mask(&graph);
        learned.logits = vec![1.0, -1.0];
        learned.drop_agents(&graph, 1);
        assert_eq!(learned.names(&graph), ["b"]);
        let left = learned.system(&graph).unwrap();
        assert_eq!(left.agents.iter().map(|agent| agent.name.as_str()).collect::<String>(), "ac");
        // The last input of the terminal agent cannot go.
        learned.drop_agents(&graph, 2);
        learned.logits = vec![-9.0, -9.0];
        learned.drop_edges(&graph, 0.3);
        assert_eq!(learned.system(&graph).unwrap().edges.len(), 1);
        // In a chain every agent is the only input of the next.
        let chain = fixture::graph("abc", &[(0, 1, Raw), (1, 2, Raw)]);
        let mut learned = mask(&chain);
        learned.drop_agents(&chain, 1);
        learned.drop_edges(&chain, 1.0);
        assert_eq!(learned.system(&chain), None);
    }

    #[test]
    fn improbable_edges_go_and_sampled_graphs_are_usable() {
        let graph = fixture::graph("abc", &[(0, 1, Raw), (0, 2, Raw), (1, 2, Raw)]);
        let mut learned = mask(&graph);
        learned.logits = vec![0.0, -2.0, 2.0];
        for seed in 0..50 {
            let edges = learned.sample(&graph, Seed(seed));
            assert!(learned.graph(&graph, &edges).is_some());
        }
        learned.drop_edges(&graph, 0.3);
        assert_eq!(learned.edges, [true, false, true]);
    }
}
