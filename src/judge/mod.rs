//! The pairwise judge: which of two answers does the task better, asked in both orders, without labels.

mod options;
pub mod template;

pub use options::{JudgeMode, JudgeOptions};
