//! The joint reward of a candidate (Eq. 5): the weighted mean of local, lookahead and global
//! comparisons. Knows nothing of prompts and beams.

mod joint;
mod options;

#[cfg(test)]
mod tests;

pub use joint::{Reward, SampleReward, joint_reward};
pub(crate) use joint::{compare, mean_joint};
pub use options::RewardOptions;
