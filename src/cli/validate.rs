//! `maspo validate`: Check an experiment file and everything it names.

use super::{CliError, Exit};

/// Check an experiment file and everything it names.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The experiment file.
    config: std::path::PathBuf,
    /// Change one setting, e.g. `--set search.rounds=2`; may be repeated.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    set: Vec<String>,
    /// Leave malformed data rows out (they are counted) instead of stopping.
    #[arg(long)]
    skip_bad_rows: bool,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: Args) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::RunFailed, "not built yet"))
}
