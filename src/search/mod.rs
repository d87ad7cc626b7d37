//! The search: coordinate ascent over the agents, a beam per agent, refresh on return. Knows no files and no terminal: it
//! plans, asks, and emits events.

mod options;

pub use options::{Schedule, SearchOptions};
