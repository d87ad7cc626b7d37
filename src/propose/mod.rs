//! Candidate prompts, which the optimizer model writes from the parent, its traces and the
//! misalignment cases (Eq. 4).

mod optimizer;
mod options;
mod reply;
pub mod template;
mod wrapping;

pub use optimizer::{Optimizer, ProposalContext, Rejected};
pub use options::ProposeOptions;
