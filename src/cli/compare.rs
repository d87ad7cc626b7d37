//! `maspo compare`: Compare two sets of prompts on the same labelled cases.

use super::{CliError, Exit};

/// Compare two sets of prompts on the same labelled cases.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The experiment file.
    config: std::path::PathBuf,
    /// The first `prompts.json`, or `seed` for the experiment file's prompts.
    a: String,
    /// The second.
    b: String,
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
