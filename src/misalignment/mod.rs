//! The hard-negative buffer: cases where a candidate looked better for its agent and made the team
//! worse (Eq. 6).

mod buffer;
mod case;
mod options;

pub use buffer::Buffer;
pub use case::{Case, is_misaligned, is_success};
pub use options::{MisalignmentOptions, Sampling};
