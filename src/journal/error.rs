//! The errors of a journal.

use crate::store::{RunDirError, StoreError};
use std::path::PathBuf;

/// Why a journal could not be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The run directory could not be opened.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// The database could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file beside the database could not be written.
    #[error("{} cannot be written: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The run in the directory was made with other settings.
    #[error(
        "the run in {} was made with other settings; start it again with --force, or choose another folder with --out",
        .dir.display()
    )]
    OtherSettings {
        /// The run directory.
        dir: PathBuf,
    },
    /// A row does not have the format of this version.
    #[error("{} holds {what} that cannot be read: {reason}; start the run again with --force", .path.display())]
    Malformed {
        /// The database.
        path: PathBuf,
        /// The row.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl JournalError {
    /// Whether the environment is at fault (exit code 3), and not the user's input (exit code 2).
    pub fn is_environment(&self) -> bool {
        match self {
            Self::RunDir(error) => error.is_environment(),
            Self::Store(_) | Self::File { .. } => true,
            Self::OtherSettings { .. } | Self::Malformed { .. } => false,
        }
    }
}
