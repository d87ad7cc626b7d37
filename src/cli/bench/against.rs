//! `maspo bench --against DTYPE`: what a number format changes in a model's logits.

use super::super::{CliError, Exit};
use super::{Args, SEED, headline, open, print_json, say};
use crate::engine::qwen3::{Dtype, KvDtype};
use crate::engine::{EngineOptions, ModelSource, agreement};
use serde_json::json;

/// Sequences that are compared, 64 positions each.
const SEQUENCES: usize = 8;

pub(super) fn run(args: &Args, reference: Dtype) -> Result<Exit, CliError> {
    let source = ModelSource::parse(&args.model).map_err(CliError::bad_input)?;
    let options = EngineOptions { threads: args.threads, kv_tokens: Some(1024), ..EngineOptions::default() };
    let options = args.device.with(options);
    let floats = EngineOptions { kv_dtype: KvDtype::Auto, ..options.clone() };
    let reference = open(args, &source, reference, &floats)?;
    let opened = open(args, &source, args.dtype[0], &options)?;
    let found =
        agreement(&reference, &opened, SEQUENCES, SEED).map_err(|error| CliError::new(Exit::RunFailed, error))?;
    say(args, &format!("{}, beside {}", headline(args, &source, &opened), reference.settled.dtype))?;
    for (rows, found) in [("tokens of prompts", found.prompts), ("generated tokens", found.generated)] {
        say(args, &format!("{rows}, {} positions", found.positions))?;
        say(args, &format!("  same greedy token    {:.1} %", 100.0 * found.greedy))?;
        say(args, &format!("  error of logits      {:.4} of their standard deviation", found.relative_error))?;
        say(args, &format!("  KL divergence        {:.6} nats", found.divergence))?;
    }
    print_json(
        args,
        &source,
        &opened,
        json!({ "against": reference.settled.dtype, "kv_dtype": options.kv_dtype, "agreement": found }),
    )?;
    Ok(Exit::Ok)
}
