//! `maspo eval`: Score prompts on labelled cases.

use super::{CliError, Exit};

/// Score prompts on labelled cases.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The experiment file.
    config: std::path::PathBuf,
    /// Prompts to score (a `prompts.json`); default is the experiment file's seed prompts.
    #[arg(long)]
    prompts: Option<std::path::PathBuf>,
    /// Which labelled cases.
    #[arg(long, default_value = "test", value_parser = ["train", "test"])]
    split: String,
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
