//! What the commands that read an experiment file share: loading it, printing its warnings and
//! figures.

use super::device::DeviceArgs;
use super::excerpt::with_excerpt;
use super::output::print_message;
use super::{CliError, Exit};
use crate::chat::{ChatError, LedgerLine};
use crate::config::{self, ModelCheck, Settings};
use crate::engine::Date;
use crate::eval::{Accuracy, Difference};
use crate::remote::BaseUrl;
use crate::rollout::Prompts;
use crate::task::{Case, CodeJudge, Scorer};
use std::path::{Path, PathBuf};

/// The flags of every command that reads an experiment file.
#[derive(clap::Args, Debug)]
pub(super) struct ExperimentArgs {
    /// The experiment file.
    pub(super) config: PathBuf,
    /// Change one setting, e.g. `--set search.rounds=2`; may be repeated.
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    pub(super) set: Vec<String>,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    /// Do not keep quantized weights on disk (`engine.weight_cache = false`).
    #[arg(long)]
    pub(super) no_weight_cache: bool,
    /// The date that chat templates see, as YYYY-MM-DD; default is the day on which the run begins.
    #[arg(long)]
    pub(super) date: Option<Date>,
    /// Leave malformed data rows out (they are counted) instead of stopping.
    #[arg(long)]
    pub(super) skip_bad_rows: bool,
    /// Run model-written programs although this machine cannot confine them. They can then do what
    /// you can do.
    #[arg(long)]
    pub(super) unsafe_exec: bool,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    pub(super) json: bool,
}

impl ExperimentArgs {
    /// Returns the URLs of servers that the experiment names. Faults of the file are left to
    /// [`load`](Self::load).
    pub(super) fn endpoints(&self) -> Vec<BaseUrl> {
        config::endpoints(&self.config, &self.set)
    }

    /// Loads the experiment and prints its warnings on stderr, or fails with all of its faults.
    pub(super) fn load(&self, check: ModelCheck) -> Result<Settings, CliError> {
        self.load_with(Vec::new(), check)
    }

    /// Does what [`load`](Self::load) does, with more settings that flags of their own stand for.
    pub(super) fn load_with(&self, more: Vec<String>, check: ModelCheck) -> Result<Settings, CliError> {
        let sets: Vec<String> = self.set.iter().cloned().chain(more).collect();
        let settings = config::load(&self.config, &sets, self.skip_bad_rows, check)
            .map_err(|faults| CliError::bad_inputs(faults.iter().map(with_excerpt)))?;
        Ok(self.applied(settings))
    }

    /// Does what [`load`](Self::load) does, without the data: the command has rows of its own.
    pub(super) fn load_team(&self, check: ModelCheck) -> Result<Settings, CliError> {
        let settings = config::load_team(&self.config, &self.set, check)
            .map_err(|faults| CliError::bad_inputs(faults.iter().map(with_excerpt)))?;
        Ok(self.applied(settings))
    }

    /// Returns the settings with what flags of their own say, and prints their warnings.
    pub(super) fn applied(&self, mut settings: Settings) -> Settings {
        settings.engine.weight_cache &= !self.no_weight_cache;
        self.device.apply(&mut settings.engine);
        settings.date = self.date;
        if let Some(Scorer::Code { unsafe_exec }) = &mut settings.scorer {
            *unsafe_exec = self.unsafe_exec;
        }
        for warning in &settings.warnings {
            print_message(format_args!("warning: {warning}"));
        }
        settings
    }

    /// Returns the experiment as one TOML file, as far as the file and `--set` make it.
    pub(super) fn merged(&self) -> Result<String, CliError> {
        config::merged(&self.config, &self.set).map_err(|faults| CliError::bad_inputs(faults.iter().map(with_excerpt)))
    }
}

/// Returns the prompts in `file`, which must fit the experiment's graph; the seed prompts for
/// `None` and for `seed`.
pub(super) fn prompts(settings: &Settings, file: Option<&Path>) -> Result<Prompts, CliError> {
    match file {
        Some(file) if file != Path::new("seed") => {
            let max_prompt_bytes = settings.options.propose.max_prompt_bytes;
            config::read_prompts(file, &settings.graph, max_prompt_bytes).map_err(CliError::bad_inputs)
        }
        _ => Ok(Prompts::seed(&settings.graph)),
    }
}

/// Returns the labelled cases of a split with their scorer.
pub(super) fn labelled<'a>(settings: &'a Settings, split: &str) -> Result<(&'a [Case], &'a Scorer), CliError> {
    match (settings.split(split), &settings.scorer) {
        (Some(cases), Some(scorer)) => Ok((cases, scorer)),
        _ => {
            let file = settings.file.display();
            Err(CliError::bad_input(format!("{file} has no `data.{split}`: add it, or choose another `--split`")))
        }
    }
}

/// Checks, before any model is opened, that this machine can score with the scorer, and says aloud
/// what does not confine model-written programs.
pub(super) fn check_scorer(scorer: &Scorer) -> Result<(), CliError> {
    let Scorer::Code { unsafe_exec } = *scorer else { return Ok(()) };
    let judge = CodeJudge::new(unsafe_exec).map_err(|error| CliError::new(Exit::Environment, error))?;
    if !judge.missing().is_empty() {
        let missing = judge.missing().join("; ");
        print_message(format_args!("warning: model-written programs are not confined: {missing}"));
    }
    Ok(())
}

/// Gives the error of a failed model call its exit code.
pub(super) fn chat_error(error: ChatError) -> CliError {
    let exit = match error {
        ChatError::Cancelled => Exit::Interrupted,
        ChatError::Storage(_) | ChatError::Unavailable(_) => Exit::Environment,
        ChatError::Overflow { .. } | ChatError::Budget | ChatError::Model(_) => Exit::RunFailed,
    };
    CliError::new(exit, error)
}

/// Formats an accuracy as `0.812 (n 64, correct 52, 95 % interval 0.700 to 0.889)`, and adds what
/// could not be scored.
pub(super) fn accuracy_line(accuracy: &Accuracy) -> String {
    let Accuracy { n, correct, accuracy, ci95: (lo, hi), unparsable, timeout, refused, overflow, cut_in_reasoning } =
        accuracy;
    let mut text = format!("{accuracy:.3} (n {n}, correct {correct}, 95 % interval {lo:.3} to {hi:.3})");
    if *unparsable > 0 {
        text.push_str(&format!(", {unparsable} without an answer"));
    }
    if *timeout > 0 {
        text.push_str(&format!(", {timeout} out of time"));
    }
    if *refused > 0 {
        text.push_str(&format!(", {refused} not judged to the end"));
    }
    if *overflow > 0 {
        text.push_str(&format!(", {overflow} longer than the model can read"));
    }
    if *cut_in_reasoning > 0 {
        text.push_str(&format!(", {cut_in_reasoning} cut off in the reasoning"));
    }
    text
}

/// Formats an estimate over several samples as `0.458 (n 4, 95 % interval 0.137 to 0.819)`.
pub(super) fn estimate_line(value: f64, n: usize, (lo, hi): (f64, f64)) -> String {
    format!("{value:.3} (n {n}, 95 % interval {lo:.3} to {hi:.3})")
}

/// Formats a difference as `+0.125 (n 64, 95 % interval +0.031 to +0.219, McNemar p 0.021)`, and
/// says whether it is within noise.
pub(super) fn difference_line(difference: &Difference) -> String {
    let Difference { n, value, ci95: (lo, hi), mcnemar_p, only_first, only_second } = difference;
    let noise = if *lo <= 0.0 && *hi >= 0.0 { "; within noise" } else { "" };
    format!(
        "{value:+.3} (n {n}, 95 % interval {lo:+.3} to {hi:+.3}, McNemar p {mcnemar_p:.4}; \
         right only in A {only_first}, only in B {only_second}){noise}"
    )
}

/// Formats what a role cost.
pub(super) fn bill_line(line: &LedgerLine) -> String {
    format!(
        "{} calls, {} prefilled + {} reused + {} decoded tokens, {:.1} s",
        line.calls, line.prefilled_tokens, line.reused_tokens, line.decoded_tokens, line.seconds
    )
}
