//! Data sets and scorers: the only module that knows gold answers. It knows nothing of graphs,
//! optimized prompts or the experiment file.

mod answer;
mod compare;
mod dataset;
mod error;
mod letter;
mod lines;
mod overlap;
mod phrases;
mod row;
mod scorer;
mod tokens;

pub use compare::normalised;
pub use dataset::{Case, Dataset, Query, Source, load_cases, load_queries};
pub use error::LoadError;
pub use lines::{LineFault, MAX_LINE_BYTES, MAX_ROWS};
pub use overlap::{SharedRow, shared_rows};
pub use row::RowFault;
pub use scorer::{Outcome, Scored, Scorer};
