//! Newtypes for indices that must not be confused.

use serde::{Deserialize, Serialize};

/// The index of an agent in [`Graph::agents`](crate::graph::Graph::agents). Its name, which people
/// see, is in the graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AgentId(pub usize);
