//! How fast the engine is on this machine: prefill and decode rates at given batch sizes, and how near they come to what the
//! memory can deliver. Knows no text and makes no claim about results.

mod bandwidth;
mod measure;

pub use bandwidth::read_bandwidth;
pub use measure::{Figures, Load, measure};
