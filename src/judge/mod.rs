//! The pairwise judge: which of two answers does the task better, asked in both orders, without
//! labels. Knows no agents, no traces and no candidates.

mod options;
mod pairwise;
mod reading;
mod stats;
pub mod template;
mod verdict;

#[cfg(test)]
mod tests;

pub use options::{JudgeMode, JudgeOptions};
pub use pairwise::Judge;
pub use stats::JudgeStats;
pub use verdict::{Verdict, VerdictKind};
