//! The errors of a run directory, when it is opened and while it is written.

use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// Why a run directory could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// There is no run where one was expected.
    #[error("there is no run in {} (it has no run.sqlite)", .dir.display())]
    NoRun {
        /// The directory that was named.
        dir: PathBuf,
    },
    /// The directory or a file in it cannot be made or written.
    #[error("{} cannot be written: {reason}; choose another folder with --out", .path.display())]
    Unwritable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is there and cannot be read.
    #[error("{} cannot be read: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// There is no room for even an empty database.
    #[error("no space is left for {}; free some space or choose another folder with --out", .path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The file is not an SQLite database, or belongs to another program.
    #[error("{} is not a maspo run; move it away or choose another folder with --out", .path.display())]
    NotARun {
        /// The file.
        path: PathBuf,
    },
    /// SQLite found the file damaged.
    #[error("{} is damaged: {reason}; move it away and run again", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// Another process is working on this run.
    #[error("another maspo is at work in {}; wait until it ends, or choose another folder with --out", .dir.display())]
    InUse {
        /// The run directory.
        dir: PathBuf,
    },
    /// The file was written by an older version of this program.
    #[error(
        "{} has schema {found}, and this maspo reads schema {expected}; start the run again in another folder \
         (--out), or use the maspo that wrote it", .path.display()
    )]
    OlderSchema {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: u32,
        /// The schema this program writes.
        expected: u32,
    },
    /// The file was written by a newer version of this program.
    #[error("{} has schema {found}, and this maspo reads schema {expected}; use a newer maspo", .path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: u32,
        /// The schema this program writes.
        expected: u32,
    },
}

impl RunDirError {
    /// Whether the environment is at fault (exit code 3), and not the user's input (exit code 2).
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Unwritable { .. } | Self::Unreadable { .. } | Self::Full { .. })
    }

    /// Returns the error that SQLite's error code stands for; `writing` decides between
    /// `Unwritable` and `Unreadable` for all other codes.
    pub(super) fn of_sqlite(path: &Path, error: &rusqlite::Error, writing: bool) -> Self {
        let path = path.to_path_buf();
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotARun { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, reason },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ if writing => Self::Unwritable { path, reason },
            _ => Self::Unreadable { path, reason },
        }
    }
}

/// Why a row was not written or read. A write that fails this way was not acknowledged; everything
/// acknowledged before it is kept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk (or the quota) is full.
    #[error(
        "no space is left for {}; what was done so far is kept: free some space, then go on with --resume",
        .path.display()
    )]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// The write or the flush to disk failed for another reason.
    #[error("{} was not written: {reason}; what was done so far is kept, go on with --resume", .path.display())]
    Write {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// A row could not be read.
    #[error("{} cannot be read: {reason}", .path.display())]
    Read {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

impl StoreError {
    pub(super) fn of_write(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ => Self::Write { path, reason: error.to_string() },
        }
    }

    pub(super) fn of_read(path: &Path, error: &rusqlite::Error) -> Self {
        Self::Read { path: path.to_path_buf(), reason: error.to_string() }
    }
}
