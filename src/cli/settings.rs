//! What the commands that read an experiment file share: loading it, saying its warnings, printing JSON.

use super::CliError;
use crate::config::{self, ModelCheck, Settings};
use crate::rollout::Prompts;
use crate::task::{Case, Scorer};
use std::path::Path;

/// Loads an experiment, or fails with all of its faults.
pub(super) fn load(
    config: &Path,
    sets: &[String],
    skip_bad_rows: bool,
    check: ModelCheck,
) -> Result<Settings, CliError> {
    config::load(config, sets, skip_bad_rows, check).map_err(CliError::bad_inputs)
}

/// Says the experiment's warnings on stderr.
pub(super) fn warn(settings: &Settings) {
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
}

/// Prints one JSON object on stdout.
pub(super) fn print_json(value: &serde_json::Value) {
    println!("{}", serde_json::to_string_pretty(value).expect("a JSON value can be written"));
}

/// The prompts in `file`, which must fit the experiment's graph; the seed prompts for `None` and for `seed`.
pub(super) fn prompts(settings: &Settings, file: Option<&Path>) -> Result<Prompts, CliError> {
    match file {
        Some(file) if file != Path::new("seed") => {
            let max_prompt_bytes = settings.options.propose.max_prompt_bytes;
            config::read_prompts(file, &settings.graph, max_prompt_bytes).map_err(CliError::bad_inputs)
        }
        _ => Ok(Prompts::seed(&settings.graph)),
    }
}

/// The labelled cases of a split with their scorer.
pub(super) fn labelled<'a>(settings: &'a Settings, split: &str) -> Result<(&'a [Case], &'a Scorer), CliError> {
    match (settings.split(split), &settings.scorer) {
        (Some(cases), Some(scorer)) => Ok((cases, scorer)),
        _ => {
            let file = settings.file.display();
            Err(CliError::bad_input(format!("{file} has no `data.{split}`: add it, or choose another `--split`")))
        }
    }
}
