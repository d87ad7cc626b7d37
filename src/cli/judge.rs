//! `maspo judge`: Check what an experiment's judge is worth before a search pays for it.

use super::jsonl::Input;
use super::output::{print, print_json};
use super::progress::Progress;
use super::settings::{ExperimentArgs, bill_line};
use super::{CliError, Exit};
use crate::config::{ModelCheck, Settings};
use crate::judge::JudgeMode;
use crate::judge_check::{Damage, JudgeCheck, Known, KnownPair, Pair, Share};
use crate::run::{CheckedJudge, check_judge};
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Check what the judge is worth before a search pays for it.
///
/// It runs the seed prompts on queries of the pool, twice, and has the judge compare: each output
/// with itself, with another sample, and with a damaged copy; on labelled training cases the gold
/// answer with a wrong one; and the pairs of --labels.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) experiment: ExperimentArgs,
    /// Pairs whose better answer is known, one JSON object a line: `question`, `better`, `worse`,
    /// and optionally `agent` (default: the last one) and `context`.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// The most queries of the pool, and labelled training cases, to use.
    #[arg(long, default_value_t = 20, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    queries: usize,
}

/// A line of `--labels`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    question: String,
    better: String,
    worse: String,
    agent: Option<String>,
    context: Option<String>,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::Files)?;
    if settings.options.judge.mode == JudgeMode::Coin {
        return Err(CliError::bad_input("`judge.mode` is \"coin\", which asks no model: there is nothing to check"));
    }
    let labelled = args.labels.as_deref().map(|file| read_labels(file, &settings)).transpose()?.unwrap_or_default();
    let checked = check_judge(&settings, args.queries, labelled, &mut Progress::new()?)?;
    if args.experiment.json {
        print_json(&json!({
            "schema": 1,
            "command": "judge",
            "name": settings.name,
            "model": checked.model,
            "mode": settings.options.judge.mode,
            "queries": checked.queries,
            "check": checked.check,
            "warnings": checked.check.warnings(),
            "ledger": {"worker": checked.worker, "judge": checked.judge},
        }))?;
    } else {
        print(text(&settings, &checked))?;
    }
    Ok(Exit::Ok)
}

fn read_labels(file: &Path, settings: &Settings) -> Result<Vec<KnownPair>, CliError> {
    let graph = &settings.graph;
    let read = |line: &str| -> Result<KnownPair, String> {
        let label: Label = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let agent = match &label.agent {
            None => graph.terminal(),
            Some(name) => graph.find(name).ok_or_else(|| format!("there is no agent `{name}`"))?,
        };
        if label.better == label.worse {
            return Err("`better` and `worse` are the same text".to_string());
        }
        let answers = [label.better, label.worse];
        let pair = Pair { agent, question: label.question, context: label.context, answers };
        Ok(KnownPair { pair, known: Known::Labelled })
    };
    let mut faults = Vec::new();
    let pairs = Input::open(file)?.read_all(read, &mut faults)?;
    if !faults.is_empty() {
        return Err(CliError::bad_inputs(faults));
    }
    if pairs.is_empty() {
        return Err(CliError::bad_input(format!("{} has no pairs", file.display())));
    }
    Ok(pairs)
}

fn text(settings: &Settings, checked: &CheckedJudge) -> String {
    let CheckedJudge { model, queries, check, worker, judge } = checked;
    let mode = match settings.options.judge.mode {
        JudgeMode::Logit => "log-probabilities of the letters",
        JudgeMode::Text => "written choice",
        JudgeMode::Coin => unreachable!("a coin is refused"),
    };
    let mut text = format!("Judge of {}: {}, {mode}, on {queries} queries\n", settings.name, model.name);
    text += &line("orders", "both orders agree", &check.consistency, "pairs");
    text += &line("position", "the answer shown first wins", &check.first_shown, "replies on equal answers");
    text += &line("ties", "no answer is better", &check.ties, "pairs of two samples");
    text += &line("unparsable", "no answer in the reply", &check.unparsable, "replies");
    if let Some(mass) = check.letter_mass {
        text += &format!("{:<11}{mass:.4} is the mean probability of the two letters together\n", "letters");
    }
    if let Some(agreement) = &check.rubric_agreement {
        text += &line("rubrics", "all rubrics prefer the same answer", agreement, "pairs");
    }
    if let Some(agreement) = &check.model_agreement {
        text += &line("models", "all models prefer the same answer", agreement, "pairs");
    }
    for model in &check.models {
        text += &format!("  {}\n", model.model);
        let shares = [("orders", &model.consistency), ("unparsable", &model.unparsable)];
        let known = [("damaged", &model.damaged), ("labelled", &model.labelled)];
        for (name, share) in shares.into_iter().chain(known).filter(|(_, share)| share.n > 0) {
            text += &format!("    {name:<11}{}\n", figures(share));
        }
    }
    text += &known(check);
    if let Some(slope) = check.slope {
        text += &format!(
            "{:<11}judge.margin_slope = {:.3}, fitted on {} pairs: log loss {:.3}, a coin has 0.693\n",
            "margin", slope.slope, slope.n, slope.log_loss
        );
    }
    text += &format!("{:<11}{}\n{:<11}{}\n", "worker", bill_line(worker), "judge", bill_line(judge));
    for warning in check.warnings() {
        text += &format!("{:<11}{warning}\n", "warning");
    }
    text
}

/// Returns the lines of the pairs of known order.
fn known(check: &JudgeCheck) -> String {
    let mut text = line("damaged", "the better answer wins", &check.damaged, "verdicts that name one");
    let (damaged, labelled): (Vec<_>, Vec<_>) =
        check.known.iter().partition(|line| matches!(line.known, Known::Damaged(_)));
    let rows = |lines: &[&crate::judge_check::KnownLine]| -> String {
        lines
            .iter()
            .map(|row| {
                let name = format!("{}, {}", row.agent, reason(row.known));
                format!("  {name:<40} {}, {} ties\n", figures(&row.right), row.ties)
            })
            .collect()
    };
    text += &rows(&damaged);
    if !labelled.is_empty() {
        text += &line("labelled", "the better answer wins", &check.labelled, "verdicts that name one");
        text += &rows(&labelled);
    }
    text
}

fn reason(known: Known) -> &'static str {
    match known {
        Known::Damaged(Damage::Cut) => "cut in half",
        Known::Damaged(Damage::Scrambled) => "words scrambled",
        Known::Damaged(Damage::Swapped) => "answer to another query",
        Known::Gold => "gold answer against a wrong one",
        Known::Labelled => "labelled by a person",
    }
}

fn line(name: &str, what: &str, share: &Share, of: &str) -> String {
    format!("{name:<11}{what}: {} {of}\n", figures(share))
}

fn figures(share: &Share) -> String {
    let Share { count, n, share, ci95: (low, high) } = share;
    match share {
        Some(share) => format!("{share:.3} ({count} of {n}; 95 % interval {low:.3} to {high:.3})"),
        None => "none of 0".to_string(),
    }
}
