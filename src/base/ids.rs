//! Newtypes for indices that must not be mixed up.

use serde::{Deserialize, Serialize};

/// The position of an agent in [`Graph::agents`](crate::graph::Graph::agents). Its name, which
/// people see, is the graph's business.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct AgentId(pub usize);
