//! The buffer of hard negatives: cases in which a candidate was better for its own agent and worse
//! for the system (Eq. 6).

mod buffer;
mod case;
mod options;
mod verdicts;

pub use buffer::Buffer;
pub use case::{Case, is_misaligned, is_success};
pub use options::{MisalignmentOptions, Sampling};
pub use verdicts::Verdicts;
