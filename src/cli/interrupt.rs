//! Ctrl-C: the first asks for a stop, the second does not wait for it.

use super::{CliError, Exit};
use crate::base::CancelToken;

/// A token that ctrl-C (or SIGTERM) cancels. To be called once per process.
pub(super) fn cancel_on_ctrl_c() -> Result<CancelToken, CliError> {
    let cancel = CancelToken::new();
    let handler = cancel.clone();
    ctrlc::set_handler(move || {
        if handler.is_cancelled() {
            std::process::exit(130);
        }
        handler.cancel();
    })
    .map_err(|error| CliError::new(Exit::Environment, format!("ctrl-C cannot be caught: {error}")))?;
    Ok(cancel)
}
