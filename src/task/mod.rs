//! Data sets and scorers: the only module that knows gold answers. It knows nothing of graphs,
//! optimized prompts or the experiment file.

mod answer;
mod check;
mod code;
mod compare;
mod condition;
mod dataset;
mod error;
mod json_field;
mod letter;
mod lines;
mod number;
mod option_text;
mod overlap;
mod pattern;
mod phrases;
mod row;
mod scorer;
mod stream;
mod suite;
mod tokens;
mod vote;

pub use check::{Defect, DefectKind, References, SuiteFile, check_suite};
pub use code::{CodeJudge, Tests};
pub use compare::normalised;
pub use condition::{Condition, Wanted};
pub use dataset::{Case, Dataset, Query, Source, load_cases, load_queries};
pub use error::LoadError;
pub use lines::{LineFault, MAX_LINE_BYTES, MAX_ROWS};
pub use number::Tolerance;
pub use option_text::letter_of_option;
pub use overlap::{SharedRow, shared_rows};
pub use pattern::{Pattern, PatternError};
pub use row::RowFault;
pub use scorer::{Convention, Outcome, Scored, Scorer};
pub use stream::{Queries, RowFields};
pub use suite::{Shape, Suite};
