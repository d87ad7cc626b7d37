//! `maspo compare`: Compare two sets of prompts on the same labelled cases.

use super::interrupt::cancel_on_ctrl_c;
use super::models::open_models;
use super::settings::{
    ExperimentArgs, accuracy_line, bill_line, chat_error, difference_line, labelled, print_json, prompts,
};
use super::{CliError, Exit};
use crate::chat::{Ledger, Metered, ModelRole};
use crate::config::ModelCheck;
use crate::eval::{compare, evaluate};
use crate::rollout::Runner;
use futures::executor::block_on;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

/// Compare two sets of prompts on the same labelled cases.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The first `prompts.json`, or `seed` for the experiment file's prompts.
    a: String,
    /// The second.
    b: String,
    /// Which labelled cases.
    #[arg(long, default_value = "test", value_parser = ["train", "test"])]
    split: String,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let settings = args.experiment.load(ModelCheck::Files)?;
    let (cases, scorer) = labelled(&settings, &args.split)?;
    let first = prompts(&settings, Some(Path::new(&args.a)))?;
    let second = prompts(&settings, Some(Path::new(&args.b)))?;
    let model = open_models(&settings, &[ModelRole::Worker], None)?.role(&settings, ModelRole::Worker);
    let identity = model.identity();
    let ledger = Ledger::new();
    let worker = Metered::new(model, ModelRole::Worker, ledger.clone(), cancel_on_ctrl_c()?);
    let runner = Runner::new(settings.graph.clone(), Arc::new(worker), settings.options.rollout.clone());
    let one = block_on(evaluate(&runner, &first, cases, scorer)).map_err(chat_error)?;
    // Decoding is greedy, so equal prompts have equal outputs.
    let two = if first == second {
        one.clone()
    } else {
        block_on(evaluate(&runner, &second, cases, scorer)).map_err(chat_error)?
    };
    let difference = compare(&one, &two, settings.seed);

    let bill = ledger.line(ModelRole::Worker);
    if args.experiment.json {
        print_json(&json!({
            "schema": 1,
            "command": "compare",
            "name": settings.name,
            "split": args.split,
            "model": identity,
            "a": {"prompts": args.a, "accuracy": one.accuracy, "items": one.items},
            "b": {"prompts": args.b, "accuracy": two.accuracy, "items": two.items},
            "difference": difference,
            "ledger": {"worker": bill},
        }));
    } else {
        println!("{}: `{}` cases on {}", settings.name, args.split, identity.name);
        println!("A  {:<24} {}", args.a, accuracy_line(&one.accuracy));
        println!("B  {:<24} {}", args.b, accuracy_line(&two.accuracy));
        println!("B - A  {}", difference_line(&difference));
        println!("worker {}", bill_line(&bill));
    }
    Ok(Exit::Ok)
}
