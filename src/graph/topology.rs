//! The edges of well-known topologies, over agents in the order in which the user lists them.

use super::agent::{Edge, EdgeView};
use crate::base::AgentId;

/// A chain, in which every agent reads its predecessor (predictor → reflector → …).
pub fn sequential(agents: usize, view: EdgeView) -> Vec<Edge> {
    (1..agents).map(|to| Edge { from: AgentId(to - 1), to: AgentId(to), view }).collect()
}

/// Parallel specialists, and a summarizer, listed last, that reads all of them.
pub fn hierarchical(agents: usize, view: EdgeView) -> Vec<Edge> {
    let last = agents.saturating_sub(1);
    (0..last).map(|from| Edge { from: AgentId(from), to: AgentId(last), view }).collect()
}

/// A debate: layers of `debaters` agents, each of which reads the whole layer before; the last
/// agent, the moderator, reads the last layer. Returns `None` unless there are `debaters` × rounds
/// + 1 agents for at least one round.
pub fn debate(agents: usize, debaters: usize, view: EdgeView) -> Option<Vec<Edge>> {
    if debaters == 0 || agents <= debaters || !(agents - 1).is_multiple_of(debaters) {
        return None;
    }
    let layer = |agent: usize| agent / debaters;
    let reads = |to: usize| (0..agents - 1).filter(move |from| layer(*from) + 1 == layer(to));
    let edges = (debaters..agents)
        .flat_map(|to| reads(to).map(move |from| Edge { from: AgentId(from), to: AgentId(to), view }));
    Some(edges.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(edges: Vec<Edge>) -> Vec<(usize, usize)> {
        edges.into_iter().map(|edge| (edge.from.0, edge.to.0)).collect()
    }

    #[test]
    fn topologies_have_the_documented_edges() {
        assert_eq!(pairs(sequential(3, EdgeView::Raw)), [(0, 1), (1, 2)]);
        assert_eq!(pairs(hierarchical(4, EdgeView::Raw)), [(0, 3), (1, 3), (2, 3)]);
        let edges = debate(5, 2, EdgeView::Raw).unwrap();
        assert_eq!(pairs(edges), [(0, 2), (1, 2), (0, 3), (1, 3), (2, 4), (3, 4)]);
        assert_eq!(debate(4, 2, EdgeView::Raw), None);
        assert_eq!(debate(1, 1, EdgeView::Raw), None);
    }
}
