//! `maspo compare`: Compare two sets of prompts on the same labelled cases.

use super::choice::Split;
use super::output::{print, print_json};
use super::progress::Progress;
use super::settings::{
    ExperimentArgs, accuracy_line, bill_line, chat_error, check_scorer, difference_line, labelled, prompts,
};
use super::{CliError, Exit};
use crate::config::ModelCheck;
use crate::eval::compare;
use crate::run::{LabelledRun, scored_by};
use serde_json::json;
use std::path::Path;

/// Compare two sets of prompts on the same labelled cases.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) experiment: ExperimentArgs,
    /// The first `prompts.json`, or `seed` for the experiment file's prompts.
    a: String,
    /// The second.
    b: String,
    /// Which labelled cases.
    #[arg(long, value_enum, default_value_t)]
    split: Split,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::Files)?;
    let labelled = labelled(&settings, args.split.name())?;
    check_scorer(labelled.1)?;
    let first = prompts(&settings, Some(Path::new(&args.a)))?;
    let second = prompts(&settings, Some(Path::new(&args.b)))?;
    let run = LabelledRun::open(&settings, labelled, &mut Progress::new()?)?;
    let one = run.score(&first).map_err(chat_error)?;
    // Decoding is greedy, so equal prompts have equal outputs.
    let two = if first == second { one.clone() } else { run.score(&second).map_err(chat_error)? };
    let difference = compare(&one, &two, settings.seed);

    let (identity, bill, scored_by) = (run.identity(), run.bill(), scored_by(labelled.1));
    if args.experiment.json {
        print_json(&json!({
            "schema": 1,
            "command": "compare",
            "name": settings.name,
            "split": args.split.name(),
            "model": identity,
            "scorer": scored_by.scorer,
            "scorer_version": scored_by.scorer_version,
            "convention": scored_by.convention,
            "a": {"prompts": args.a, "accuracy": one.accuracy, "items": one.items},
            "b": {"prompts": args.b, "accuracy": two.accuracy, "items": two.items},
            "difference": difference,
            "ledger": {"worker": bill},
        }))?;
    } else {
        let mut text = format!("{}: `{}` cases on {}\n", settings.name, args.split.name(), identity.name);
        text += &format!("A  {:<24} {}\n", args.a, accuracy_line(&one.accuracy));
        text += &format!("B  {:<24} {}\n", args.b, accuracy_line(&two.accuracy));
        text += &format!("B - A  {}\n", difference_line(&difference));
        text += &format!("scorer {}\n", scored_by.text(7));
        text += &format!("worker {}\n", bill_line(&bill));
        print(text)?;
    }
    Ok(Exit::Ok)
}
