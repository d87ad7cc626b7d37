//! What can go wrong, and the exit code it ends with. The codes are those of `maspo`.

use std::io;
use std::path::PathBuf;

/// Why a model was not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// A flag or a variable of the environment has a value that it cannot have.
    #[error("{name} is {value:?}: {reason}")]
    Value {
        /// The flag, argument or variable.
        name: &'static str,
        /// What it is.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The hub has no such thing.
    #[error("{hub} has no {what} (404); check the spelling{hint}")]
    NotFound {
        /// The hub.
        hub: String,
        /// The model, revision or file.
        what: String,
        /// What else can be the cause.
        hint: &'static str,
    },
    /// The hub wants another token, or the user's consent to the model's terms.
    #[error(
        "{hub} does not give out {model} ({status}). If its name is spelled so, it is private or has terms: see \
         {hub}/{model}, and {token}"
    )]
    Refused {
        /// The hub.
        hub: String,
        /// The model.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What to do about the token.
        token: &'static str,
    },
    /// No file of the model fits.
    #[error("no file of {model} fits {pattern:?}; --list shows what there is")]
    NoMatch {
        /// The model.
        model: String,
        /// The pattern.
        pattern: String,
    },
    /// The model has no weights that the engine reads.
    #[error(
        "{model} has no model.safetensors, no model.safetensors.index.json and no .gguf file; --list shows its files"
    )]
    NoWeights {
        /// The model.
        model: String,
    },
    /// The model is there in several GGUF files.
    #[error("{model} has several GGUF files ({files}): choose with --files, such as --files '*Q4_K_M*.gguf'")]
    SeveralGguf {
        /// The model.
        model: String,
        /// Their names.
        files: String,
    },
    /// The folder holds another model.
    #[error("{} holds {has} and not {wanted}: name another folder, or remove it", .folder.display())]
    OtherModel {
        /// The folder.
        folder: PathBuf,
        /// What its manifest names.
        has: String,
        /// What was asked for.
        wanted: String,
    },
    /// The manifest in the folder cannot be read.
    #[error("{}: {reason}; remove it, and the files are verified again", .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Offline, and not everything is there.
    #[error("{model} is not complete in {} and HF_HUB_OFFLINE is set: {reason}", .folder.display())]
    Offline {
        /// The model.
        model: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The server did not answer, or not to the end.
    #[error("{url}: {reason} (tries: {tries}). What is there is kept: the same command goes on")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// The last reason.
        reason: String,
        /// How often it was tried.
        tries: usize,
    },
    /// The server's answer is against the rules.
    #[error("{url}: {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// What arrived is not what the hub lists.
    #[error("{file}: its {kind} is {found}, and the hub lists {listed}. It was removed; another try may help")]
    Hash {
        /// The file.
        file: String,
        /// The kind of the digest.
        kind: &'static str,
        /// The digest of what arrived.
        found: String,
        /// The digest that the hub lists.
        listed: String,
    },
    /// Another process writes the same file.
    #[error("{}: another maspo-fetch writes this file", .path.display())]
    Busy {
        /// The partial file.
        path: PathBuf,
    },
    /// There is no room.
    #[error(
        "{}: no room for {missing} more bytes ({error}). What is there is kept: the same command goes on",
        .path.display()
    )]
    Full {
        /// The partial file.
        path: PathBuf,
        /// How much is missing of this file.
        missing: u64,
        /// The system's error.
        error: io::Error,
    },
    /// A file or folder cannot be used.
    #[error("{}: {error}", .path.display())]
    Storage {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl FetchError {
    /// Returns the exit code: 1 the run failed, 2 the user's input is wrong, 3 the environment
    /// lacks something.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Answer { .. } | Self::Hash { .. } => 1,
            Self::Value { .. }
            | Self::NotFound { .. }
            | Self::Refused { .. }
            | Self::NoMatch { .. }
            | Self::NoWeights { .. }
            | Self::SeveralGguf { .. }
            | Self::OtherModel { .. }
            | Self::Manifest { .. } => 2,
            Self::Offline { .. }
            | Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Full { .. }
            | Self::Storage { .. } => 3,
        }
    }

    /// Returns the error of a file or folder that cannot be used.
    pub(crate) fn storage(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Storage { path, error }
    }
}
