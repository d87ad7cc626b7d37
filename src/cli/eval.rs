//! `maspo eval`: Score prompts on labelled cases.

use super::interrupt::cancel_on_ctrl_c;
use super::models::open_models;
use super::settings::{ExperimentArgs, accuracy_line, bill_line, chat_error, labelled, print_json, prompts};
use super::{CliError, Exit};
use crate::chat::{Ledger, Metered, ModelRole};
use crate::config::ModelCheck;
use crate::eval::evaluate;
use crate::rollout::Runner;
use futures::executor::block_on;
use serde_json::json;
use std::sync::Arc;

/// Score prompts on labelled cases.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Prompts to score (a `prompts.json`); default is the experiment file's seed prompts.
    #[arg(long)]
    prompts: Option<std::path::PathBuf>,
    /// Which labelled cases.
    #[arg(long, default_value = "test", value_parser = ["train", "test"])]
    split: String,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::Files)?;
    let (cases, scorer) = labelled(&settings, &args.split)?;
    let prompts = prompts(&settings, args.prompts.as_deref())?;
    let model = open_models(&settings, &[ModelRole::Worker], None)?.role(&settings, ModelRole::Worker);
    let identity = model.identity();
    let ledger = Ledger::new();
    let worker = Metered::new(model, ModelRole::Worker, ledger.clone(), cancel_on_ctrl_c()?);
    let runner = Runner::new(settings.graph.clone(), Arc::new(worker), settings.options.rollout.clone());
    let evaluation = block_on(evaluate(&runner, &prompts, cases, scorer)).map_err(chat_error)?;

    let file = args.prompts.map_or("seed".to_string(), |file| file.display().to_string());
    let bill = ledger.line(ModelRole::Worker);
    if args.experiment.json {
        print_json(&json!({
            "schema": 1,
            "command": "eval",
            "name": settings.name,
            "split": args.split,
            "prompts": file,
            "model": identity,
            "accuracy": evaluation.accuracy,
            "items": evaluation.items,
            "ledger": {"worker": bill},
        }));
    } else {
        println!("{}: `{}` cases with prompts {file} on {}", settings.name, args.split, identity.name);
        println!("accuracy   {}", accuracy_line(&evaluation.accuracy));
        println!("worker     {}", bill_line(&bill));
    }
    Ok(Exit::Ok)
}
