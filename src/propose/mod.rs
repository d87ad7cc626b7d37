//! Candidate prompts: the optimizer model writes them from the parent, its traces and the misalignment cases (Eq. 4).

mod options;
pub mod template;

pub use options::ProposeOptions;
