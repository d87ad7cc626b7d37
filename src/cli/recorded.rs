//! The experiment of a run, read again from the arguments that the run was started with.

use super::optimize;
use crate::config::{ModelCheck, Settings};
use crate::journal::{self, Record};
use crate::remote::BaseUrl;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Returns the settings of a run, without warnings. They count only if they are exactly those that
/// it was started with.
///
/// # Errors
/// Returns, as a fragment, why they cannot be read.
pub(super) fn settings(record: &Record, check: ModelCheck) -> Result<Settings, String> {
    let mut reason = "the journal has no arguments".to_string();
    for base in [None, base(record)] {
        match settings_below(record, base.as_deref(), check) {
            Ok(settings) if settings.digest().to_string() == record.settings => return Ok(settings),
            Ok(_) => reason = "the experiment or its data is another one now".to_string(),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}

/// Returns the URLs of servers that the experiment of the run in `dir` names. Faults are left to
/// [`settings`].
pub(super) fn endpoints(dir: &Path) -> Vec<BaseUrl> {
    let record = journal::read(dir).ok().flatten();
    let args = record.and_then(|record| parsed(&record.arguments).ok());
    args.map(|args| args.experiment.endpoints()).unwrap_or_default()
}

/// Reads the settings again; relative files are those below `base`.
fn settings_below(record: &Record, base: Option<&Path>, check: ModelCheck) -> Result<Settings, String> {
    let mut args = parsed(&record.arguments)?;
    if let Some(base) = base {
        // An absolute path stays as it is.
        args.experiment.config = base.join(&args.experiment.config);
        args.prompts = args.prompts.map(|file| base.join(file));
    }
    args.settings_quietly(check).map_err(|error| error.first())
}

/// Returns the folder that the run was started in, if the run's folder tells it: a run that was
/// written to `runs/a-1` and is now at `/x/runs/a-1` was started in `/x`.
fn base(record: &Record) -> Option<PathBuf> {
    let out = parsed(&record.arguments).ok()?.out?;
    let dir = fs::canonicalize(&record.dir).ok()?;
    let plain = out.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let tail: PathBuf = out.components().filter(|part| *part != Component::CurDir).collect();
    if !plain || !dir.ends_with(&tail) {
        return None;
    }
    dir.ancestors().nth(tail.components().count()).map(Path::to_path_buf)
}

/// Parses the arguments of a run.
fn parsed(arguments: &[String]) -> Result<optimize::Args, String> {
    #[derive(clap::Parser)]
    struct Started {
        #[command(flatten)]
        args: optimize::Args,
    }
    match arguments.split_first() {
        Some((command, _)) if command == "optimize" => {
            let started = <Started as clap::Parser>::try_parse_from(arguments);
            started.map(|started| started.args).map_err(|_| "its arguments are none of this version".to_string())
        }
        Some((command, _)) => {
            Err(format!("it was made by `maspo {}`, and not by `maspo optimize`", command.escape_debug()))
        }
        None => Err("the journal has no arguments".to_string()),
    }
}
