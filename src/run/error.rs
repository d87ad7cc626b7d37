//! The errors of a run.

use crate::chat::ChatError;
use crate::engine::OpenError;
use crate::journal::JournalError;
use crate::remote::RemoteError;
use crate::search::SearchError;
use std::path::PathBuf;

/// Why a run could not start or did not finish.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A model could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A model's server could not be used.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The search failed or was cancelled.
    #[error(transparent)]
    Search(SearchError),
    /// The journal or the response cache could not be written while the search ran.
    #[error("the run could not be recorded: {0}")]
    NotRecorded(String),
    /// The journal of the run could not be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder holds an unfinished run of these settings.
    #[error("{} holds an unfinished run; go on with it:\n  {resume_command}", .dir.display())]
    Unfinished {
        /// The run folder.
        dir: PathBuf,
        /// The shell command that resumes it.
        resume_command: String,
    },
    /// The folder holds a finished run, so there is nothing to resume.
    #[error(
        "the run in {shown} is finished; there is nothing to resume. `maspo show {shown}` prints it again",
        shown = .dir.display()
    )]
    NothingToResume {
        /// The run folder.
        dir: PathBuf,
    },
    /// The folder holds a finished run.
    #[error(
        "{shown} holds a finished run; `maspo show {shown}` prints it again, --force replaces it, \
         --out names another folder",
        shown = .dir.display()
    )]
    Finished {
        /// The run folder.
        dir: PathBuf,
    },
    /// The folder holds an unfinished run of other settings.
    #[error(
        "{} holds an unfinished run of other settings; --force replaces it, --out names another folder",
        .dir.display()
    )]
    OtherRun {
        /// The run folder.
        dir: PathBuf,
    },
    /// A file of the run that is to be replaced could not be removed.
    #[error("{} cannot be removed: {source}", .path.display())]
    NotRemoved {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
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
