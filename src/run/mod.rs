//! The application layer: it connects cache, ledger, evaluation, journal and report with a search.
//! [`Optimizer`] is a search with its models and its ledger; [`RecordedRun`] is one with a run
//! folder. Both take settings as values and report to an [`Observer`]. This module knows nothing of
//! flags, of printing or of exit codes.

mod chain;
mod error;
mod judging;
mod labels;
mod models;
mod observer;
mod optimizer;
mod recorded;
mod rows;
mod scoring;
mod team;
mod verdicts;

pub use chain::{ChainError, chain};
pub use error::RunError;
pub use judging::{CheckedJudge, check_judge};
pub use models::{Models, Opened, Surroundings, open_models, use_threads};
pub use observer::{Observer, Silent};
pub use optimizer::{Ignored, Optimizer};
pub use recorded::{Carried, HeldOut, RecordedRun, Start, scored_by};
pub use rows::{RowFile, RowsError, RowsState, state_path};
pub use scoring::{LabelledRun, score, score_system};
pub use team::{AgentOutput, Answered, TeamOf, TeamRun};
