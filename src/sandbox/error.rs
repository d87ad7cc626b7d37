//! Why programs cannot be judged on this machine at all. What a program does is never an error.

use std::io;
use std::path::PathBuf;

/// The reasons for which there is no sandbox, or for which it stopped working.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is no usable Python interpreter.
    #[error("no usable Python interpreter: {python}: {reason}\n  hint: install Python 3.9 or newer, or name one")]
    NoPython {
        /// The command or path that was tried.
        python: PathBuf,
        /// What went wrong with it.
        reason: String,
    },
    /// The system lacks parts of the sandbox.
    #[error(
        "this system cannot confine model-written code: {}\n  \
         hint: use Linux 5.13 or newer with Landlock and seccomp, or allow unsafe execution \
         (`--unsafe-exec`) where no harm can be done",
        missing.join("; ")
    )]
    Unsupported {
        /// The missing parts, each with what it is needed for.
        missing: Vec<String>,
    },
    /// A program that only tries the sandbox was not confined or not judged as it should be.
    #[error("the sandbox failed its own check: {0}")]
    SelfCheck(String),
    /// The system refused something that judging needs.
    #[error("{doing}: {source}")]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl SandboxError {
    /// Returns a function that names what was attempted.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
