//! The experiment of a run, read again from the command line that the run was started with.

use super::optimize;
use super::team::bundle_error;
use super::{Args, CliError, Command};
use crate::config::{ModelCheck, Settings};
use crate::journal;
use crate::remote::BaseUrl;
use clap::Parser;
use std::path::Path;

/// Returns the settings of the run in `dir`. Whether they are still those of the run is for the
/// caller to check by their digest.
pub(super) fn settings_of_run(dir: &Path) -> Result<Settings, CliError> {
    arguments(dir)?.settings(ModelCheck::Files)
}

/// Returns the URLs of servers that the experiment of the run in `dir` names. Faults are left to
/// [`settings_of_run`].
pub(super) fn endpoints(dir: &Path) -> Vec<BaseUrl> {
    arguments(dir).map(|args| args.experiment.endpoints()).unwrap_or_default()
}

fn arguments(dir: &Path) -> Result<optimize::Args, CliError> {
    let none = || CliError::bad_input(format!("no run has begun in {}", dir.display()));
    let record = journal::read(dir).map_err(|error| bundle_error(&error.into()))?.ok_or_else(none)?;
    let words = std::iter::once("maspo").chain(record.arguments.iter().map(String::as_str));
    match Args::try_parse_from(words).map(|args| args.command) {
        Ok(Command::Optimize(args)) => Ok(args),
        _ => Err(CliError::bad_input(format!(
            "the run in {} was not made by `maspo optimize` of this version, so its experiment cannot be read again",
            dir.display()
        ))),
    }
}
