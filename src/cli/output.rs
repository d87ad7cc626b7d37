//! The one place that writes to standard output and standard error. Data goes to stdout and
//! messages to stderr. A reader that has seen enough (`maspo show … | head -1`) is no fault: the
//! command ends quietly. Colour and cursor movements are for terminals only, and for none that
//! refuses them (`NO_COLOR`, `TERM=dumb`).

use super::{CliError, Exit};
use crate::report::Colour;
use anstream::{AutoStream, ColorChoice};
use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Writes `text` to standard output.
///
/// # Errors
/// Standard output cannot be written, or its reader is gone, which ends the program quietly.
pub(super) fn print(text: impl Display) -> Result<(), CliError> {
    let mut stdout = anstream::stdout().lock();
    write!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| unwritable("standard output", &error))
}

/// Writes a line to standard output.
///
/// # Errors
/// Those of [`print`].
pub(super) fn print_line(line: impl Display) -> Result<(), CliError> {
    print(format_args!("{line}\n"))
}

/// Writes one JSON object, indented, to standard output.
///
/// # Errors
/// Those of [`print`].
pub(super) fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    print_line(serde_json::to_string_pretty(value).expect("a JSON value can be written"))
}

/// Returns standard output for a stream of JSON. Its faults are turned into errors by
/// [`unwritable`].
pub(super) fn stdout() -> impl Write + 'static {
    io::stdout()
}

/// Returns the error of a failed write to `what`.
pub(super) fn unwritable(what: &str, error: &io::Error) -> CliError {
    match error.kind() {
        ErrorKind::BrokenPipe => CliError::nobody_reads(),
        _ => CliError::new(Exit::Environment, format!("{what} cannot be written: {error}")),
    }
}

/// Writes a line to standard error. A message that cannot be written is dropped, because that is no
/// reason to end the command.
pub(super) fn print_message(line: impl Display) {
    let _dropped = writeln!(anstream::stderr().lock(), "{line}");
}

/// Returns whether text on standard output may have colours.
pub(super) fn colour() -> Colour {
    match AutoStream::choice(&io::stdout()) {
        ColorChoice::Never => Colour::Off,
        _ => Colour::On,
    }
}

/// Returns whether a line on standard error may be overwritten by the next one.
pub(super) fn has_moving_lines() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
