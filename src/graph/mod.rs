//! The agent graph G = (V, E): the agents, what each of them reads, and the order in which they
//! run. Any directed acyclic graph with one terminal agent is allowed.

mod agent;
mod dag;
mod topology;

pub use agent::{Agent, Edge, EdgeView};
pub use dag::{Graph, GraphError};
pub use topology::{debate, hierarchical, sequential};
