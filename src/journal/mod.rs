//! The record of a run: every event of the search, durable before the next one is acted upon, and
//! compared again on resume.
//!
//! A resumed run starts over from the beginning. The response cache answers what was asked before,
//! so the events that were journaled come again, and [`Journal`] holds each against its record,
//! byte for byte: a run that would silently become another one ends with an error instead. Knows
//! rows, events and files; not the terminal, not the configuration.

mod command;
mod error;
mod files;
mod record;
mod sink;

pub use command::resume_command;
pub use error::JournalError;
pub use files::write_file;
pub use record::{Record, read, recorded_command};
pub use sink::{Journal, RunInfo, RunStatus, status};
