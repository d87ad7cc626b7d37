//! Candidate prompts, which the optimizer model writes from the parent, its traces and the
//! misalignment cases (Eq. 4).

mod optimizer;
mod options;
pub mod template;

pub use optimizer::{Optimizer, ProposalContext};
pub use options::ProposeOptions;
