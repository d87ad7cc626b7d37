//! `maspo eval`: Score prompts on labelled cases.

use super::choice::Split;
use super::output::{print, print_json};
use super::progress::Progress;
use super::settings::{ExperimentArgs, accuracy_line, bill_line, chat_error, labelled, prompts};
use super::{CliError, Exit};
use crate::config::ModelCheck;
use crate::run::LabelledRun;
use serde_json::json;

/// Score prompts on labelled cases.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Prompts to score (a `prompts.json`); default is the experiment file's seed prompts.
    #[arg(long)]
    prompts: Option<std::path::PathBuf>,
    /// Which labelled cases.
    #[arg(long, value_enum, default_value_t)]
    split: Split,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::Files)?;
    let labelled = labelled(&settings, args.split.name())?;
    let prompts = prompts(&settings, args.prompts.as_deref())?;
    let run = LabelledRun::open(&settings, labelled, &mut Progress::new()?)?;
    let evaluation = run.score(&prompts).map_err(chat_error)?;

    let file = args.prompts.map_or("seed".to_string(), |file| file.display().to_string());
    let (identity, bill) = (run.identity(), run.bill());
    if args.experiment.json {
        print_json(&json!({
            "schema": 1,
            "command": "eval",
            "name": settings.name,
            "split": args.split.name(),
            "prompts": file,
            "model": identity,
            "accuracy": evaluation.accuracy,
            "items": evaluation.items,
            "ledger": {"worker": bill},
        }))?;
    } else {
        let head = format!("{}: `{}` cases with prompts {file}", settings.name, args.split.name());
        print(format_args!(
            "{head} on {}\naccuracy   {}\nworker     {}\n",
            identity.name,
            accuracy_line(&evaluation.accuracy),
            bill_line(&bill)
        ))?;
    }
    Ok(Exit::Ok)
}
