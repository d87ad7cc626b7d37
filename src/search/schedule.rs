//! Which agent is visited when, and which queries a step sees. All functions here are pure.

use super::options::{Schedule, SearchOptions};
use crate::base::{AgentId, Seed};
use crate::graph::Graph;

/// The T steps on one agent within a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Visit {
    /// The round d, from 1.
    pub(super) round: usize,
    /// The agent i.
    pub(super) agent: AgentId,
    /// Whether other agents were visited since the last visit, so that the beam's scores are stale
    /// (Eq. 8).
    pub(super) returns: bool,
}

/// The agents that may be optimized, in topological order.
pub(crate) fn optimizable(graph: &Graph) -> Vec<AgentId> {
    graph.order().iter().copied().filter(|id| graph.agent(*id).optimize).collect()
}

/// All visits of a run. In the sequential schedule the search never returns to an agent: its rounds
/// follow each other, no other prompt has changed in between, and there is nothing to refresh.
pub(super) fn visits(graph: &Graph, options: &SearchOptions) -> Vec<Visit> {
    let agents = optimizable(graph);
    let rounds = 1..=options.rounds;
    match options.schedule {
        Schedule::Interleaved => rounds
            .flat_map(|round| agents.iter().map(move |&agent| Visit { round, agent, returns: round > 1 }))
            .collect(),
        Schedule::Sequential => agents
            .iter()
            .flat_map(|&agent| rounds.clone().map(move |round| Visit { round, agent, returns: false }))
            .collect(),
    }
}

/// The positions of a pool that the search draws from, and those that are held back for the gate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Split {
    /// What the search draws from, in ascending order.
    pub(super) searched: Vec<usize>,
    /// What the search never sees, in random order.
    pub(super) held_back: Vec<usize>,
}

/// Splits a pool of `pool` queries by chance.
pub(super) fn split(pool: usize, held_back: usize, seed: Seed) -> Split {
    let held_back = rand::seq::index::sample(&mut seed.rng(), pool, held_back.min(pool)).into_vec();
    let searched = (0..pool).filter(|at| !held_back.contains(at)).collect();
    Split { searched, held_back }
}

/// Draws `size` different positions of a pool of `pool` queries, in ascending order. A pool that is
/// not larger than `size` is used whole.
pub(crate) fn draw_batch(pool: usize, size: usize, seed: Seed) -> Vec<usize> {
    let mut batch = rand::seq::index::sample(&mut seed.rng(), pool, size.min(pool)).into_vec();
    batch.sort_unstable();
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Agent, EdgeView, sequential};
    use crate::prompt::Template;
    use expect_test::{Expect, expect};

    fn graph() -> Graph {
        let agent = |(name, prompt, optimize): (&str, &str, bool)| Agent {
            name: name.into(),
            role: "r".into(),
            seed_prompt: Template::new(prompt),
            frozen: vec![],
            max_new_tokens: 8,
            optimize,
        };
        let agents = [("a", "x {question}", true), ("b", "x {context}", false), ("c", "x {context}", true)];
        Graph::new(agents.map(agent).into(), sequential(3, EdgeView::Raw), 1000).unwrap()
    }

    #[track_caller]
    fn check(schedule: Schedule, expected: Expect) {
        let graph = graph();
        let options = SearchOptions { rounds: 2, schedule, ..SearchOptions::default() };
        let show = |visit: &Visit| {
            format!("{}{}{} ", graph.agent(visit.agent).name, visit.round, if visit.returns { "*" } else { "" })
        };
        expected.assert_eq(&visits(&graph, &options).iter().map(show).collect::<String>());
    }

    #[test]
    fn interleaved_returns_to_each_agent_and_sequential_never_does() {
        check(Schedule::Interleaved, expect!["a1 c1 a2* c2* "]);
        check(Schedule::Sequential, expect!["a1 a2 c1 c2 "]);
    }

    #[test]
    fn a_split_holds_every_query_once_and_depends_on_the_seed() {
        let Split { searched, held_back } = split(10, 4, Seed(1));
        let mut all = [searched.clone(), held_back.clone()].concat();
        all.sort_unstable();
        assert_eq!((all, searched.len()), ((0..10).collect(), 6));
        assert!(searched.is_sorted());
        assert_ne!(split(10, 4, Seed(2)).held_back, held_back);
        assert_eq!(split(3, 0, Seed(1)), Split { searched: vec![0, 1, 2], held_back: vec![] });
    }

    #[test]
    fn batches_hold_no_query_twice_and_a_small_pool_is_used_whole() {
        for seed in 0..20 {
            let batch = draw_batch(50, 10, Seed(seed));
            assert_eq!(batch.len(), 10);
            assert!(batch.is_sorted_by(|a, b| a < b) && batch.iter().all(|item| *item < 50), "{batch:?}");
        }
        assert_ne!(draw_batch(50, 10, Seed(1)), draw_batch(50, 10, Seed(2)));
        assert_eq!(draw_batch(4, 10, Seed(1)), [0, 1, 2, 3]);
        assert_eq!(draw_batch(10, 10, Seed(1)).len(), 10);
    }
}
