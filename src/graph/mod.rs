//! The agent graph G = (V, E): who the agents are, what each reads, in which order they run. Any
//! DAG with one terminal agent.

mod agent;
mod dag;
mod topology;

pub use agent::{Agent, Edge, EdgeView};
pub use dag::{Graph, GraphError};
pub use topology::{debate, hierarchical, sequential};
