//! Candidate prompts, which the optimizer model writes from the parent, its traces and the
//! misalignment cases (Eq. 4).

mod optimizer;
mod options;
mod reply;
pub mod template;
mod tried;
mod wrapping;

pub use optimizer::{Draw, Optimizer, Proposal, ProposalContext, Rejected};
pub use options::ProposeOptions;
pub use tried::{Attempts, MAX_CHANGE_BYTES, MAX_TRIED, Tried};
