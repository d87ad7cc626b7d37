//! Exit codes and the one error type that carries one.

use super::output::print_message;
use crate::chat::ChatError;
use crate::engine::OpenError;
use crate::engine::kernels::ComputeError;
use crate::remote::RemoteError;
use crate::run::RunError;
use crate::search::SearchError;
use std::fmt::Display;
use std::process::ExitCode;

/// How the program ended; the numbers are a contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// 0: done.
    Ok,
    /// 1: the run itself failed.
    RunFailed,
    /// 2: the user's input is wrong; the message says what to do.
    BadInput,
    /// 3: the environment lacks something (disk space, a writable folder, a device).
    Environment,
    /// 130: stopped by ctrl-C; what was acknowledged is kept.
    Interrupted,
}

impl Exit {
    /// Returns the code as the operating system takes it.
    pub fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Ok => 0,
            Self::RunFailed => 1,
            Self::BadInput => 2,
            Self::Environment => 3,
            Self::Interrupted => 130,
        })
    }
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        let exit = match &error {
            RunError::Open(error) => open_exit(error),
            RunError::NotRecorded(_) | RunError::NotRemoved { .. } | RunError::Remote(_) => Exit::Environment,
            RunError::Search(SearchError::Chat(ChatError::Unavailable(_))) => Exit::Environment,
            RunError::Journal(error) if error.is_environment() => Exit::Environment,
            RunError::Search(SearchError::Cancelled) => Exit::Interrupted,
            RunError::Search(SearchError::Chat(_)) => Exit::RunFailed,
            RunError::Search(_)
            | RunError::Journal(_)
            | RunError::Unfinished { .. }
            | RunError::NothingToResume { .. }
            | RunError::Finished { .. }
            | RunError::OtherRun { .. } => Exit::BadInput,
        };
        Self::new(exit, error)
    }
}

/// Returns the exit code for a model that cannot be opened.
fn open_exit(error: &OpenError) -> Exit {
    match error {
        OpenError::Compute(ComputeError::Spawn(_)) | OpenError::Device(_) | OpenError::Memory(_) => Exit::Environment,
        _ => Exit::BadInput,
    }
}

impl From<OpenError> for CliError {
    fn from(error: OpenError) -> Self {
        Self::new(open_exit(&error), error)
    }
}

impl From<RemoteError> for CliError {
    fn from(error: RemoteError) -> Self {
        Self::new(Exit::Environment, error)
    }
}

/// An error with the exit code it stands for. The error's chain is printed on one `error:` line per
/// fault.
#[derive(Debug)]
pub struct CliError {
    exit: Exit,
    messages: Vec<String>,
}

impl CliError {
    /// Creates an error with one fault.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, messages: vec![message.to_string()] }
    }

    /// Creates an error with one fault of the user's input.
    pub fn bad_input(message: impl Display) -> Self {
        Self::new(Exit::BadInput, message)
    }

    /// Creates an error with several faults of the user's input, which are all reported.
    pub fn bad_inputs(messages: impl IntoIterator<Item = impl Display>) -> Self {
        Self { exit: Exit::BadInput, messages: messages.into_iter().map(|message| message.to_string()).collect() }
    }

    /// Creates the error that ends the program quietly: the reader of standard output is gone, and
    /// nothing went wrong.
    pub(super) fn nobody_reads() -> Self {
        Self { exit: Exit::Ok, messages: Vec::new() }
    }

    /// Returns the first fault.
    pub(super) fn first(&self) -> String {
        self.messages.first().cloned().unwrap_or_default()
    }

    /// Returns the error with a label before every fault.
    pub(super) fn of(mut self, label: &str) -> Self {
        self.messages.iter_mut().for_each(|message| *message = format!("{label}: {message}"));
        self
    }

    /// Prints the faults on stderr and returns the exit code.
    pub fn report(&self) -> ExitCode {
        for message in &self.messages {
            print_message(format_args!("error: {message}"));
        }
        self.exit.code()
    }
}
