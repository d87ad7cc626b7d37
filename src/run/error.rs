//! Why a run could not be made or did not end.

use crate::chat::ChatError;
use crate::engine::OpenError;
use crate::journal::JournalError;
use crate::search::SearchError;
use std::path::PathBuf;

/// Why a run could not be made or did not end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A model could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The search ended early.
    #[error(transparent)]
    Search(SearchError),
    /// The journal or the response cache could not be written while the search ran.
    #[error("the run could not be recorded: {0}")]
    NotRecorded(String),
    /// The record of the run could not be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder holds a run of these settings that did not end.
    #[error("{} holds an unfinished run; go on with it:\n  {resume_command}", .dir.display())]
    Unfinished {
        /// The run folder.
        dir: PathBuf,
        /// The shell command that goes on with it.
        resume_command: String,
    },
    /// The folder holds a run that ended, so there is nothing to go on with.
    #[error(
        "the run in {shown} is finished; there is nothing to resume. `maspo show {shown}` prints it again",
        shown = .dir.display()
    )]
    NothingToResume {
        /// The run folder.
        dir: PathBuf,
    },
    /// The folder holds a run that ended.
    #[error(
        "{shown} holds a finished run; `maspo show {shown}` prints it again, --force replaces it, --out names another folder",
        shown = .dir.display()
    )]
    Finished {
        /// The run folder.
        dir: PathBuf,
    },
    /// The folder holds a run of other settings that did not end.
    #[error(
        "{} holds an unfinished run of other settings; --force replaces it, --out names another folder",
        .dir.display()
    )]
    OtherRun {
        /// The run folder.
        dir: PathBuf,
    },
    /// A file of the run that is to be replaced is still there.
    #[error("{} cannot be removed: {source}", .path.display())]
    NotRemoved {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<SearchError> for RunError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Chat(ChatError::Storage(reason)) => Self::NotRecorded(reason),
            other => Self::Search(other),
        }
    }
}

impl From<ChatError> for RunError {
    fn from(error: ChatError) -> Self {
        SearchError::from(error).into()
    }
}
