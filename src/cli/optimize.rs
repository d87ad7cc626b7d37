//! `maspo optimize`: Optimize the prompts of an agent graph.

use super::{CliError, Exit};

/// Optimize the prompts of an agent graph.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The experiment file.
    config: std::path::PathBuf,
    /// Where the run's files go; default `runs/<config name>-<seed>`.
    #[arg(long)]
    out: Option<std::path::PathBuf>,
    /// Go on with an unfinished run.
    #[arg(long)]
    resume: bool,
    /// Overwrite a finished run.
    #[arg(long)]
    force: bool,
    /// The run's seed; default is the experiment file's.
    #[arg(long)]
    seed: Option<u64>,
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
