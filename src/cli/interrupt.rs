//! Ctrl-C: the first asks for a stop after the calls in progress, the second ends the program at
//! once. Completed calls are durable either way.

use super::output::print_message;
use super::{CliError, Exit};
use crate::base::CancelToken;

/// The process's exit code after a signal.
const INTERRUPTED: i32 = 130;

/// Returns a token that ctrl-C (or SIGTERM) cancels. To be called once per process.
pub(super) fn cancel_on_ctrl_c() -> Result<CancelToken, CliError> {
    let cancel = CancelToken::new();
    let handler = cancel.clone();
    ctrlc::set_handler(move || {
        if handler.is_cancelled() {
            std::process::exit(INTERRUPTED);
        }
        handler.cancel();
        print_message("\nstopping after the calls under way; press ctrl-C again to stop at once");
    })
    .map_err(|error| CliError::new(Exit::Environment, format!("ctrl-C cannot be caught: {error}")))?;
    Ok(cancel)
}
