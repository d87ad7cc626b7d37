//! `run.sqlite`: one file, one writer thread, group commit. This module knows rows and durability,
//! not what the rows mean.
//!
//! The file is an ordinary SQLite database with three tables (`meta`, `calls`, `events`), whose
//! request, response and event columns are JSON text, so the `sqlite3` program can read it. A write
//! is acknowledged only after its transaction has reached the disk (WAL, `synchronous=FULL`); after
//! the first failed write nothing more is written.

mod error;
mod open;
mod reader;
mod sqlite;
mod writer;

#[cfg(test)]
mod tests;

pub use error::{RunDirError, StoreError};
pub use open::{DATABASE_FILE, LOCK_FILE, SCHEMA};
pub use reader::Reader;
pub use sqlite::{CallRow, Store};
