//! The graph that needs no edges to be written down.

use crate::graph::{Agent, EdgeView, Graph, GraphError, sequential};
use crate::propose::ProposeOptions;

/// Why agents are not a usable graph: every fault that was found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ChainError(pub Vec<GraphError>);

/// A chain of agents: each reads the whole output of the one before it, and the last one answers.
///
/// # Errors
/// Every fault found: two agents of one name, a prompt that lacks its slot or is too long, no
/// agents.
pub fn chain(agents: Vec<Agent>) -> Result<Graph, ChainError> {
    let edges = sequential(agents.len(), EdgeView::Raw);
    Graph::new(agents, edges, ProposeOptions::default().max_prompt_bytes).map_err(ChainError)
}
