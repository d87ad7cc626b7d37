//! Ctrl-C: the first asks for a stop after the current write, the second ends the program at once (what was acknowledged is
//! durable either way).

use crate::base::CancelToken;

/// The process's exit code after a signal.
const INTERRUPTED: i32 = 130;

/// A token that ctrl-C (or a termination signal) sets.
pub(super) fn watch() -> CancelToken {
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let handler = ctrlc::set_handler(move || {
        if token.is_cancelled() {
            std::process::exit(INTERRUPTED);
        }
        token.cancel();
        eprintln!("\nstopping after the calls under way; press ctrl-C again to stop at once");
    });
    if let Err(error) = handler {
        eprintln!("warning: ctrl-C will end the program without a word: {error}");
    }
    cancel
}
