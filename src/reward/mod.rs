//! The joint reward of a candidate (Eq. 5): local, lookahead and global comparisons, weighted.

mod options;

pub use options::RewardOptions;
