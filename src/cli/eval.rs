//! `maspo eval`: Score prompts on labelled cases.

use super::choice::Split;
use super::gates::{Baseline, Evaluated, GateArgs};
use super::output::{print, print_json};
use super::progress::Progress;
use super::settings::{
    ExperimentArgs, accuracy_line, bill_line, chat_error, check_scorer, estimate_line, labelled, prompts,
};
use super::verdicts::verdicts_text;
use super::{CliError, Exit};
use crate::chat::{Decoding, ModelRole};
use crate::config::{ModelCheck, Settings};
use crate::eval::{Evaluation, Gate, SampleOptions, Samples, compare, digest_of_cases};
use crate::rollout::Prompts;
use crate::run::{LabelledRun, scored_by};
use serde_json::{Value, json};

/// Score prompts on labelled cases.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) experiment: ExperimentArgs,
    /// Prompts to score (a `prompts.json`); default is the experiment file's seed prompts.
    #[arg(long)]
    prompts: Option<std::path::PathBuf>,
    /// Which labelled cases.
    #[arg(long, value_enum, default_value_t)]
    split: Split,
    /// Choose a threshold with at most this rate of false positives (`eval.max_fpr`); it needs
    /// `eval.verdicts`.
    #[arg(long, value_name = "RATE")]
    max_fpr: Option<f64>,
    #[command(flatten)]
    gates: GateArgs,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    args.gates.check_output()?;
    let max_fpr = args.max_fpr.map(|rate| format!("eval.max_fpr={rate:?}"));
    let settings = args.experiment.load_with(max_fpr.into_iter().collect(), ModelCheck::Files)?;
    let split = args.split.name();
    let labelled = labelled(&settings, split)?;
    check_scorer(labelled.1)?;
    let (scored_by, cases) = (scored_by(labelled.1), digest_of_cases(labelled.0));
    let prompts = prompts(&settings, args.prompts.as_deref())?;
    let baseline = args.gates.baseline(&settings, (split, &cases), &scored_by)?;
    let run = LabelledRun::open(&settings, labelled, &mut Progress::new()?)?;
    let score = |prompts: &Prompts| -> Result<(Evaluation, Option<Samples>), CliError> {
        match &settings.samples {
            None => run.score(prompts).map(|evaluation| (evaluation, None)),
            Some(options) => run.score_samples(prompts, options).map(|(first, samples)| (first, Some(samples))),
        }
        .map_err(chat_error)
    };
    let (evaluation, samples, verdicts) = match &settings.verdicts {
        None => score(&prompts).map(|(evaluation, samples)| (evaluation, samples, None))?,
        Some(options) => {
            let (evaluation, verdicts) = run.score_verdicts(&prompts, options, split).map_err(chat_error)?;
            (evaluation, None, Some(verdicts))
        }
    };
    let samples = samples.zip(settings.samples.as_ref().map(|options| decoding(&settings, options)));
    let before = match baseline {
        None => None,
        Some(Baseline::Recorded(before)) => Some(*before),
        Some(Baseline::Prompts(before)) => Some(score(&before)?.0),
    };
    let against = before.as_ref().map(|before| (&before.accuracy, compare(before, &evaluation, settings.seed)));
    let gates = args.gates.decide(&evaluation.accuracy, against);

    let file = args.prompts.map_or("seed".to_string(), |file| file.display().to_string());
    let (identity, bill) = (run.identity(), run.bill());
    if args.experiment.json {
        let mut report = json!({
            "schema": 1,
            "command": "eval",
            "name": settings.name,
            "split": split,
            "prompts": file,
            "model": identity,
            "scorer": scored_by.scorer,
            "scorer_version": scored_by.scorer_version,
            "convention": scored_by.convention,
            "accuracy": evaluation.accuracy,
            "items": evaluation.items,
            "cases": evaluation.cases,
            "ledger": {"worker": bill},
        });
        if let Some(verdicts) = &verdicts {
            report["verdicts"] = json!(verdicts);
        }
        if !gates.is_empty() {
            report["gates"] = json!(gates);
        }
        if let Some((samples, decoding)) = samples {
            report["samples"] = samples_json(&samples, &decoding);
        }
        print_json(&report)?;
    } else {
        let mut text = format!("{}: `{}` cases with prompts {file}", settings.name, split);
        text += &format!(" on {}\naccuracy   {}", identity.name, accuracy_line(&evaluation.accuracy));
        match samples {
            None => text.push('\n'),
            Some((samples, decoding)) => text += &samples_text(&samples, &decoding),
        }
        if let Some(verdicts) = &verdicts {
            text += &verdicts_text(verdicts, split);
        }
        for gate in &gates {
            text += &gate_line(gate);
        }
        text += &format!("scorer     {}\nworker     {}\n", scored_by.text(11), bill_line(&bill));
        print(text)?;
    }
    let facts = vec![
        ("prompts", file),
        ("model", identity.name.clone()),
        ("model digest", identity.digest.to_string()),
        ("scorer", format!("{} version {}", scored_by.scorer, scored_by.scorer_version)),
    ];
    let evaluated = Evaluated { settings: &settings, split, evaluation: &evaluation, facts };
    args.gates.report(&evaluated, &gates, before.as_ref())
}

/// Returns the line of a gate.
fn gate_line(gate: &Gate) -> String {
    let word = if gate.passed() { "passed" } else { "FAILED" };
    format!("gate       {word}: {} ({})\n", gate.finding(), gate.name())
}

/// Returns how samples are decoded.
fn decoding(settings: &Settings, options: &SampleOptions) -> Decoding {
    options.decoding(settings.model(ModelRole::Worker).decoding)
}

/// Returns how the samples were drawn, their estimates, and the samples of every case.
fn samples_json(samples: &Samples, decoding: &Decoding) -> Value {
    json!({
        "samples": samples.samples,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": decoding.top_k,
        "pass_at": samples.pass_at,
        "majority": samples.majority,
        "items": samples.items,
    })
}

/// Returns the lines of the estimates, after that of the accuracy.
fn samples_text(samples: &Samples, decoding: &Decoding) -> String {
    let n = samples.items.len();
    let mut text = ", the first sample of each case\n".to_string();
    for pass in &samples.pass_at {
        text += &format!("{:<11}{}\n", format!("pass@{}", pass.k), estimate_line(pass.value, n, pass.ci95));
    }
    match &samples.majority {
        Some(majority) => {
            let none = match majority.unparsable {
                0 => String::new(),
                cases => format!(", {cases} without an answer"),
            };
            let line = estimate_line(majority.accuracy, n, majority.ci95);
            text += &format!("{:<11}{line}{none}\n", format!("majority@{}", majority.k));
        }
        None => text += "majority   none: programs cannot be compared\n",
    }
    text += &format!("samples    {} of each case at temperature ", samples.samples);
    text += &decoding.temperature.map_or_else(String::new, |temperature| temperature.to_string());
    if let Some(top_p) = decoding.top_p {
        text += &format!(", top_p {top_p}");
    }
    if let Some(top_k) = decoding.top_k {
        text += &format!(", top_k {top_k}");
    }
    text + "\n"
}
