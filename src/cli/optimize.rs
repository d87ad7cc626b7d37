//! `maspo optimize`: the search, the held-out evaluation, and the files of the run.

use super::output::{colour, print, print_message};
use super::progress::Progress;
use super::settings::{ExperimentArgs, check_scorer, prompts};
use super::{CliError, Exit, lock};
use crate::config::{ModelCheck, Settings};
use crate::journal::resume_command;
use crate::run::{RecordedRun, RunError, Start};
use crate::search::SearchError;
use std::path::{Path, PathBuf};

/// Optimize the prompts of an agent graph
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) experiment: ExperimentArgs,
    /// Where the run's files go; default `runs/<config name>-<seed>`.
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// Go on with an unfinished run.
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Start again in a folder that has a run; answered model calls are used again.
    #[arg(long)]
    force: bool,
    /// The most model calls before the evaluation, cached ones included (`budget.calls`).
    #[arg(long, value_name = "N")]
    max_calls: Option<usize>,
    /// The most tokens read and written before the evaluation (`budget.tokens`).
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Begin no step after so many seconds (`budget.seconds`).
    #[arg(long, value_name = "SECONDS")]
    max_seconds: Option<f64>,
    /// Begin no step once this file exists (`budget.stop_file`).
    #[arg(long, value_name = "FILE")]
    stop_file: Option<PathBuf>,
    /// The run's seed; default is the experiment file's.
    #[arg(long)]
    seed: Option<u64>,
    /// Start from these prompts instead of the experiment file's: a `prompts.json`, a bundle, or
    /// the folder of a finished run.
    #[arg(long, value_name = "FILE")]
    pub(super) prompts: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let mut progress = Progress::new()?;
    let settings = args.settings(ModelCheck::Files)?;
    if let (Some(_), Some(scorer)) = (&settings.test, &settings.scorer) {
        check_scorer(scorer)?;
    }
    let default_dir = || Path::new("runs").join(format!("{}-{}", settings.name, settings.seed.0));
    let dir = args.out.clone().unwrap_or_else(default_dir);
    let given = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let arguments = started_with(given, args.out.is_none().then_some(&dir));
    let start = match (args.force, args.resume) {
        (true, _) => Start::Replace,
        (_, true) => Start::Resume,
        _ => Start::Begin,
    };
    let run =
        RecordedRun { settings: &settings, dir: &dir, start, arguments: &arguments, egress_lock: lock::read_back };
    match run.carry_out(&mut progress) {
        Ok(report) if args.experiment.json => print(report.json())?,
        Ok(report) => print(report.text(colour()))?,
        Err(RunError::Search(SearchError::Cancelled)) => {
            let command = resume_command(&arguments);
            print_message(format_args!("stopped; everything done so far is kept. Go on with:\n  {command}"));
            return Ok(Exit::Interrupted);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Exit::Ok)
}

impl Args {
    /// Loads the experiment, with what flags of their own change in it.
    pub(super) fn settings(&self, check: ModelCheck) -> Result<Settings, CliError> {
        let settings = self.experiment.load_with(self.sets(), check)?;
        self.starting(settings)
    }

    /// Does what [`settings`](Self::settings) does, and prints nothing.
    pub(super) fn settings_quietly(&self, check: ModelCheck) -> Result<Settings, CliError> {
        let settings = self.experiment.load_quietly(self.sets(), check)?;
        self.starting(settings)
    }

    fn starting(&self, settings: Settings) -> Result<Settings, CliError> {
        match &self.prompts {
            None => Ok(settings),
            Some(_) => {
                let prompts = prompts(&settings, self.prompts.as_deref())?;
                Ok(settings.starting_from(&prompts))
            }
        }
    }

    /// Returns the settings that flags of their own stand for.
    fn sets(&self) -> Vec<String> {
        let file = self.stop_file.as_ref().map(|file| format!("budget.stop_file={:?}", file.to_string_lossy()));
        [
            self.seed.map(|seed| format!("seed={seed}")),
            self.max_calls.map(|calls| format!("budget.calls={calls}")),
            self.max_tokens.map(|tokens| format!("budget.tokens={tokens}")),
            self.max_seconds.map(|seconds| format!("budget.seconds={seconds:?}")),
            file,
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Returns the arguments that a run is recorded with, so that it can be resumed: those given
/// without `--resume` and `--force`, and with the run folder if it was not among them.
fn started_with(given: impl Iterator<Item = String>, dir: Option<&PathBuf>) -> Vec<String> {
    let mut arguments: Vec<String> = given.collect();
    // Arguments after `--` are no flags.
    let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let rest = arguments.split_off(end);
    arguments.retain(|argument| argument != "--force" && argument != "--resume");
    if let Some(dir) = dir {
        arguments.extend(["--out".to_string(), dir.display().to_string()]);
    }
    arguments.extend(rest);
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, dir: Option<&str>, expected: &str) {
        let given = given.split(' ').map(str::to_string);
        assert_eq!(started_with(given, dir.map(PathBuf::from).as_ref()).join(" "), expected);
    }

    #[test]
    fn arguments_are_kept_as_they_were_given() {
        check("optimize a.toml --fast --out here", None, "optimize a.toml --fast --out here");
        check(
            "optimize a.toml --no-weight-cache",
            Some("runs/a-1"),
            "optimize a.toml --no-weight-cache --out runs/a-1",
        );
    }

    #[test]
    fn what_becomes_of_an_earlier_run_is_not_kept() {
        check("optimize --force a.toml --out x", None, "optimize a.toml --out x");
        check("optimize a.toml --out x --resume --json", None, "optimize a.toml --out x --json");
        check("optimize --resume -- --force", Some("x"), "optimize --out x -- --force");
    }
}
