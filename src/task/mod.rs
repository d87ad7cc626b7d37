//! Data sets and scorers: the only module that knows gold answers. It knows nothing of graphs,
//! optimized prompts or the experiment file.

mod answer;
mod dataset;
mod error;
mod lines;
mod overlap;
mod row;
mod scorer;

pub use dataset::{Case, Dataset, Query, Source, load_cases, load_queries};
pub use error::LoadError;
pub use lines::{LineFault, MAX_LINE_BYTES, MAX_ROWS};
pub use overlap::{SharedRow, shared_rows};
pub use row::{RowFault, normalised};
pub use scorer::{Outcome, Scored, Scorer};
