//! Why a file or a folder gives no bundle.

use crate::journal::JournalError;
use std::path::PathBuf;

/// Why a bundle, or the prompts in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file cannot be written.
    #[error("{} cannot be written: {reason}", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file is not JSON.
    #[error("{}:{line}:{column}: {problem}", file.display())]
    NotJson {
        /// The file.
        file: PathBuf,
        /// The line of the fault, counted from 1.
        line: usize,
        /// The column of the fault, counted from 1.
        column: usize,
        /// What the JSON reader says.
        problem: String,
    },
    /// The file is JSON, but no bundle.
    #[error("{} is no bundle (it has no `\"kind\": \"maspo-bundle\"`); `maspo review RUN` makes one", file.display())]
    NotABundle {
        /// The file.
        file: PathBuf,
    },
    /// The bundle is of another version of the format.
    #[error("{} has schema {found}, and this maspo reads bundles of schema {known}", file.display())]
    Schema {
        /// The file.
        file: PathBuf,
        /// The schema found.
        found: String,
        /// The schema that is read.
        known: u32,
    },
    /// A field is missing or of another type.
    #[error("{}: the bundle cannot be read: {problem}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// What the bundle says is not what its hash was made of.
    #[error(
        "{}: the bundle was changed after it was made: it states the hash {stated}, and its content has {computed}",
        file.display()
    )]
    Hash {
        /// The file.
        file: PathBuf,
        /// The hash in the file.
        stated: String,
        /// The hash of what it says.
        computed: String,
    },
    /// The bytes of the file are not those that a bundle of this content has.
    #[error(
        "{}:{line}: the file was changed after it was made: its content is whole, but it is written in another way",
        file.display()
    )]
    Form {
        /// The file.
        file: PathBuf,
        /// The first line that differs, counted from 1.
        line: usize,
    },
    /// The agents and edges are no usable graph, or a prompt does not fit its agent.
    #[error("{}: {problem}", file.display())]
    Team {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The folder is neither a run nor a folder of releases.
    #[error("{} has neither a run (run.sqlite) nor a released bundle (bundle.json)", dir.display())]
    EmptyFolder {
        /// The folder.
        dir: PathBuf,
    },
    /// The run is not finished.
    #[error("the run in {} is not finished; go on with it:\n  {command}", dir.display())]
    Unfinished {
        /// The run's folder.
        dir: PathBuf,
        /// The command that resumes it.
        command: String,
    },
    /// The run was recorded without its team.
    #[error(
        "the run in {} does not say what its graph was, because an older maspo made it; make it again from its cache \
         with --force instead of --resume:\n  {command}",
        dir.display()
    )]
    NoTeam {
        /// The run's folder.
        dir: PathBuf,
        /// The command that resumes it.
        command: String,
    },
    /// The journal of the run cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another process is changing the releases.
    #[error("another `maspo promote` or `maspo rollback` is at work in {}; try again when it has ended", dir.display())]
    Locked {
        /// The folder of releases.
        dir: PathBuf,
    },
    /// The bundle is in use already.
    #[error("{} is in use in {} already", hash, dir.display())]
    AlreadyReleased {
        /// The folder of releases.
        dir: PathBuf,
        /// The bundle's hash, shortened.
        hash: String,
    },
    /// There is no earlier bundle.
    #[error("{} has no earlier bundle to go back to", dir.display())]
    NothingEarlier {
        /// The folder of releases.
        dir: PathBuf,
    },
}

impl BundleError {
    /// Whether the environment is at fault (exit code 3), and not the user's input (exit code 2).
    pub fn is_environment(&self) -> bool {
        match self {
            Self::Unwritable { .. } | Self::Locked { .. } => true,
            Self::Journal(error) => error.is_environment(),
            _ => false,
        }
    }
}
