//! Measures the engine's speed on this machine: prefill and decode rates at given batch sizes and
//! their share of the memory bandwidth, and the time of a recorded search step or of given
//! requests, with the engine's optimizations on and off. It knows no text and changes no result.

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
