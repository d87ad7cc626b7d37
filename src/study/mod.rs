//! Studies: matrices of experiments, methods, option values and seeds, their runs on shared models,
//! and the tables and plots made of them. A study's folder holds one folder per run; a run is made
//! once, whatever became of the process that made the others.

mod file;
mod matrix;

mod memo;
mod record;

mod runner;

mod compare;
mod markdown;
mod plot;
mod tables;

pub use file::{StudyError, StudyFile};
pub use matrix::{Cell, Source, cells};
pub use memo::Memo;
pub use record::{CellRecord, read_all};
pub use runner::{Step, Study};
pub use tables::{StudyReport, write_report};
