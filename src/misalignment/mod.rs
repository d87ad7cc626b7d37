//! The hard-negative buffer: cases where a candidate looked better for its agent and made the team worse (Eq. 6).

mod options;

pub use options::{MisalignmentOptions, Sampling};
