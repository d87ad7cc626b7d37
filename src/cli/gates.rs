//! What `maspo eval` does for a build: gates, a JUnit file, annotations. It opens no model.

use super::output::print_message;
use super::settings::prompts;
use super::show::journal_fault;
use super::{CliError, Exit};
use crate::config::Settings;
use crate::eval::{Accuracy, Difference, Evaluation, Gate};
use crate::journal::{self, write_file};
use crate::report::{Level, RunReport, ScoredBy, Suite, TestCase, annotation, junit};
use crate::rollout::Prompts;
use crate::task::Outcome;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The most annotations of cases; GitHub shows ten of a kind for a step.
const ANNOTATED_CASES: usize = 8;
/// The largest report that is read as a baseline.
const BASELINE_BYTES: u64 = 1 << 30;

/// The flags of `maspo eval` for builds.
#[derive(clap::Args, Debug)]
pub(super) struct GateArgs {
    /// Write a JUnit file with one test for every case and gate.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// End with exit code 1 if the accuracy (its point estimate) is below this.
    #[arg(long, value_name = "ACCURACY", value_parser = proportion)]
    fail_below: Option<f64>,
    /// End with exit code 1 if the accuracy is lower than that of RUN on the same cases, and
    /// McNemar's p below 0.05. RUN is the folder of a run, what `maspo eval --json` printed, a
    /// `prompts.json`, or `seed`; prompts are scored now.
    #[arg(long, value_name = "RUN")]
    fail_if_worse_than: Option<PathBuf>,
    /// Print annotations for GitHub Actions on stderr; on by itself where GITHUB_ACTIONS is `true`.
    #[arg(long)]
    github: bool,
}

fn proportion(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "a number from 0 to 1 is needed".to_string())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("it must be between 0 and 1".to_string()) }
}

/// What an evaluation is compared with.
pub(super) enum Baseline {
    /// An evaluation that was recorded.
    Recorded(Box<Evaluation>),
    /// Prompts to score on the same cases.
    Prompts(Prompts),
}

/// An evaluation that was made, and what reports say of it.
pub(super) struct Evaluated<'a> {
    pub(super) settings: &'a Settings,
    pub(super) split: &'a str,
    pub(super) evaluation: &'a Evaluation,
    /// Facts for the JUnit file: the model, the scorer, the prompts.
    pub(super) facts: Vec<(&'static str, String)>,
}

impl GateArgs {
    /// Checks, before anything is computed, that the JUnit file can be written.
    pub(super) fn check_output(&self) -> Result<(), CliError> {
        let Some(file) = &self.junit else { return Ok(()) };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
        let problem = match folder {
            Some(folder) if !folder.is_dir() => format!("there is no folder {}", folder.display()),
            _ if file.is_dir() => "it is a folder".to_string(),
            _ => return Ok(()),
        };
        Err(CliError::bad_input(format!("--junit {}: {problem}", file.display())))
    }

    /// Returns what the evaluation is to be compared with; `None` without that flag.
    pub(super) fn baseline(
        &self,
        settings: &Settings,
        (split, cases): (&str, &crate::base::Digest),
        scored_by: &ScoredBy,
    ) -> Result<Option<Baseline>, CliError> {
        let Some(path) = &self.fail_if_worse_than else { return Ok(None) };
        let fault =
            |problem: String| CliError::bad_input(format!("--fail-if-worse-than {}: {problem}", path.display()));
        let recorded = if path.is_dir() {
            if split != "test" {
                return Err(fault("a run is scored on `data.test`: leave out `--split`".to_string()));
            }
            Some(of_run(path, &fault)?)
        } else {
            of_report(path, split, &fault)?
        };
        let Some((evaluation, scorer, version)) = recorded else {
            return Ok(Some(Baseline::Prompts(prompts(settings, Some(path))?)));
        };
        if (scorer.as_str(), version) != (&scored_by.scorer, u64::from(scored_by.scorer_version)) {
            let ScoredBy { scorer: now, scorer_version, .. } = scored_by;
            return Err(fault(format!(
                "it was scored by `{scorer}` version {version}, and this is `{now}` version {scorer_version}: score \
                 it again"
            )));
        }
        if evaluation.cases.as_ref() != Some(cases) {
            return Err(fault(format!(
                "it was scored on other cases ({}) than `data.{split}` has now: score it again",
                evaluation.items.len()
            )));
        }
        Ok(Some(Baseline::Recorded(Box::new(evaluation))))
    }

    /// Decides the gates. `against` is the evaluation to compare with, and the gain over it.
    pub(super) fn decide(&self, accuracy: &Accuracy, against: Option<(&Accuracy, Difference)>) -> Vec<Gate> {
        let below = self.fail_below.map(|least| Gate::fail_below(least, accuracy));
        let name = self.fail_if_worse_than.as_ref().map(|path| path.display().to_string());
        let worse = name.zip(against).map(|(name, (of, difference))| Gate::fail_if_worse_than(name, of, difference));
        below.into_iter().chain(worse).collect()
    }

    /// Writes the JUnit file and the annotations, and says which gates failed.
    ///
    /// # Errors
    /// The JUnit file cannot be written.
    pub(super) fn report(
        &self,
        evaluated: &Evaluated<'_>,
        gates: &[Gate],
        before: Option<&Evaluation>,
    ) -> Result<Exit, CliError> {
        if let Some(file) = &self.junit {
            let suites = suites(evaluated, gates);
            write_file(file, &junit("maspo eval", &suites)).map_err(|error| journal_fault(&error))?;
        }
        if self.github || std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
            annotate(evaluated, gates, before);
        }
        let failed: Vec<&Gate> = gates.iter().filter(|gate| !gate.passed()).collect();
        for gate in &failed {
            print_message(format_args!("error: gate {}: {}", gate.name(), gate.finding()));
        }
        Ok(if failed.is_empty() { Exit::Ok } else { Exit::RunFailed })
    }
}

/// The evaluation of a baseline with its scorer and the scorer's version.
type Recorded = (Evaluation, String, u64);

/// Returns the evaluation of the system that a run ended with.
fn of_run(dir: &Path, fault: &dyn Fn(String) -> CliError) -> Result<Recorded, CliError> {
    let record = journal::read(dir).map_err(|error| journal_fault(&error))?;
    let record = record.ok_or_else(|| fault("no run has begun there".to_string()))?;
    let result = record
        .result
        .ok_or_else(|| fault(format!("the run is not finished; go on with: {}", record.resume_command)))?;
    let report = RunReport::from_json(&result).map_err(fault)?;
    let evaluation = record.evaluations.get("optimized").zip(report.scored_by);
    let (json, scored_by) = evaluation.ok_or_else(|| fault("the run has no `data.test`".to_string()))?;
    let evaluation = serde_json::from_str(json).map_err(|error| fault(error.to_string()))?;
    Ok((evaluation, scored_by.scorer, scored_by.scorer_version.into()))
}

/// Returns the evaluation in a file that `maspo eval --json` printed; `None` if it is another file,
/// or none.
fn of_report(path: &Path, split: &str, fault: &dyn Fn(String) -> CliError) -> Result<Option<Recorded>, CliError> {
    if std::fs::metadata(path).is_ok_and(|facts| facts.len() > BASELINE_BYTES) {
        return Err(fault("the file is larger than 1 GiB".to_string()));
    }
    let Ok(text) = std::fs::read_to_string(path) else { return Ok(None) };
    let Ok(report) = serde_json::from_str::<Value>(&text) else { return Ok(None) };
    if report["command"] != "eval" || !report["items"].is_array() {
        return Ok(None);
    }
    if report["split"] != split {
        return Err(fault(format!("it is of {}, not of `data.{split}`", report["split"])));
    }
    let (scorer, version) = (report["scorer"].as_str().unwrap_or_default().to_string(), &report["scorer_version"]);
    let version = version.as_u64().unwrap_or_default();
    let evaluation = serde_json::from_value(report).map_err(|error| fault(error.to_string()))?;
    Ok(Some((evaluation, scorer, version)))
}

/// Returns what the JUnit file holds: a suite of the cases, and one of the gates.
fn suites(evaluated: &Evaluated<'_>, gates: &[Gate]) -> Vec<Suite> {
    let Evaluated { settings, split, evaluation, facts } = evaluated;
    let accuracy = &evaluation.accuracy;
    let mut properties = facts.clone();
    properties.push(("accuracy", accuracy.accuracy.to_string()));
    properties.push(("accuracy 95 % interval", format!("{} to {}", accuracy.ci95.0, accuracy.ci95.1)));
    let cases = evaluation.items.iter().map(|item| {
        // Answers may quote the data.
        let answer = item.answer.as_ref().filter(|_| !settings.private);
        let said = answer.map_or(String::new(), |answer| format!(": the answer was {answer:?}"));
        let failure = match item.outcome {
            Outcome::Correct => None,
            Outcome::Unparsable if item.overflow => Some(format!("a prompt was longer than the model can read{said}")),
            Outcome::Unparsable if item.cut_in_reasoning => Some(format!("an output ended in its reasoning{said}")),
            Outcome::Unparsable => Some("the output holds no answer".to_string()),
            Outcome::Wrong => Some(format!("wrong{said}")),
            Outcome::Timeout => Some("the program used up its time".to_string()),
            Outcome::Refused => Some("the program was not judged to the end".to_string()),
        };
        TestCase { name: item.id.clone(), failure: failure.map(|message| (item.outcome.name(), message)) }
    });
    let cases = Suite { name: format!("{}.{split}", settings.name), properties, cases: cases.collect() };
    if gates.is_empty() {
        return vec![cases];
    }
    let gate =
        |gate: &Gate| TestCase { name: gate.name(), failure: (!gate.passed()).then(|| ("gate", gate.finding())) };
    let gates = gates.iter().map(gate).collect();
    vec![cases, Suite { name: format!("{}.gates", settings.name), properties: vec![], cases: gates }]
}

/// Prints the annotations: the accuracy, the gates, and the cases that the baseline had right.
fn annotate(evaluated: &Evaluated<'_>, gates: &[Gate], before: Option<&Evaluation>) {
    let Evaluated { settings, split, evaluation, .. } = evaluated;
    let title = format!("maspo eval {}", settings.name);
    let summary = format!("`{split}`: accuracy {}", super::settings::accuracy_line(&evaluation.accuracy));
    print_message(annotation(Level::Notice, &title, &summary));
    for gate in gates {
        let level = if gate.passed() { Level::Notice } else { Level::Error };
        let word = if gate.passed() { "passed" } else { "failed" };
        let message = format!("gate {} {word}: {}", gate.name(), gate.finding());
        print_message(annotation(level, &title, &message));
    }
    let Some(before) = before else { return };
    let lost = before.items.iter().zip(&evaluation.items).filter(|(one, two)| one.is_correct() && !two.is_correct());
    for (_, item) in lost.take(ANNOTATED_CASES) {
        let message = format!("case {}: right before, now {}", item.id, item.outcome.name());
        print_message(annotation(Level::Warning, &title, &message));
    }
}
