//! Runs the graph over queries, and re-runs only what a candidate prompt changes. Knows nothing of
//! labels, scores and the search.

mod options;
mod prompts;
mod runner;
mod system;
mod trace;
mod view;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use options::RolloutOptions;
pub use prompts::Prompts;
pub use runner::{Avoided, Runner};
pub use system::{AnswerRule, System, SystemAgent, SystemEdge};
pub use trace::{AgentRun, Trace};
pub(crate) use view::summary_tokens;
