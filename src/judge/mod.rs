//! The pairwise judge, which decides without labels which of two answers does a task better. It
//! asks in both orders. It knows nothing of agents, traces and candidates.

mod inspection;
mod options;
mod pairwise;
mod reading;
mod stats;
pub mod template;
mod verdict;

#[cfg(test)]
mod tests;

pub use inspection::{Inspection, Opinion, Rubric};
pub use options::{JudgeMode, JudgeOptions};
pub use pairwise::Judge;
pub use stats::JudgeStats;
pub use verdict::{Verdict, VerdictKind};
