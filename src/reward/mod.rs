//! The joint reward of a candidate (Eq. 5): local, lookahead and global comparisons, weighted.
//! Knows no prompts and no beam.

mod joint;
mod options;

#[cfg(test)]
mod tests;

pub(crate) use joint::compare;
pub use joint::{Reward, SampleReward, joint_reward};
pub use options::RewardOptions;
