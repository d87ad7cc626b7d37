//! How fast the engine is on this machine: prefill and decode rates at given batch sizes, how near
//! they come to what the memory can deliver, and a recorded step of a search or given requests with
//! and without what the engine does to make them fast. Knows no text and makes no claim about
//! results.

mod bandwidth;
mod measure;

mod workload;

mod replay;

mod step;

mod drafting;

pub use bandwidth::read_bandwidth;
pub use drafting::{DraftFigures, Drafting, measure_drafting};
pub use measure::{Figures, Load, Traffic, measure};
pub use replay::Mode;
pub use step::{ModeFigures, Spread, StepError, measure_step};
pub use workload::{Call, Part, Workload};
