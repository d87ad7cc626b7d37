//! The application layer: it wires cache, ledger, evaluation, journal and report around a search.
//! [`Optimizer`] is a search with its models and its bill; [`RecordedRun`] is one with a run
//! folder. Both take settings as values and report to an [`Observer`]. Knows nothing of flags, of
//! printing or of exit codes.

mod error;
mod models;
mod observer;
mod optimizer;
mod recorded;
mod scoring;

pub use error::RunError;
pub use models::{Models, open_models, use_threads};
pub use observer::{Observer, Silent};
pub use optimizer::{Ignored, Optimizer};
pub use recorded::{RecordedRun, Start};
pub use scoring::{LabelledRun, score};
