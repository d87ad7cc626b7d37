//! Exit codes and the one error type that carries one.

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
    /// As the operating system wants it.
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

/// An error with the exit code it stands for. The error's chain is printed on one `error:` line per fault.
#[derive(Debug)]
pub struct CliError {
    exit: Exit,
    messages: Vec<String>,
}

impl CliError {
    /// One fault.
    pub fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, messages: vec![message.to_string()] }
    }

    /// One fault of the user's input.
    pub fn bad_input(message: impl Display) -> Self {
        Self::new(Exit::BadInput, message)
    }

    /// Several faults of the user's input, all reported.
    pub fn bad_inputs(messages: impl IntoIterator<Item = impl Display>) -> Self {
        Self { exit: Exit::BadInput, messages: messages.into_iter().map(|message| message.to_string()).collect() }
    }

    /// Prints the faults on stderr and gives the exit code.
    pub fn report(&self) -> ExitCode {
        for message in &self.messages {
            eprintln!("error: {message}");
        }
        self.exit.code()
    }
}
