//! `maspo show`: Print a run again, finished or not.

use super::{CliError, Exit};

/// Print a run again, finished or not.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The run's folder.
    run: std::path::PathBuf,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: Args) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::RunFailed, "not built yet"))
}
