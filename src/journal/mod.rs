//! The journal of a run: every event of the search, durable before the search goes on, and compared
//! again on resume.
//!
//! A resumed run starts over from the beginning. The response cache answers the calls that were
//! made before, so the recorded events are emitted again, and [`Journal`] compares each with its
//! record, byte for byte: a run that would silently become another one ends with an error instead.
//! This module knows rows, events and files; not the terminal, not the configuration.

mod command;
mod error;
mod files;
mod record;
mod sink;

pub use command::resume_command;
pub use error::JournalError;
pub use files::{read_text, write_file};
pub use record::{Record, SpentSoFar, read, recorded_command};
pub use sink::{Journal, RunInfo, RunStatus, status};
