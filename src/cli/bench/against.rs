//! `maspo bench --against DTYPE`: what a number format changes in a model's logits.

use super::super::{CliError, Exit};
use super::{Args, SEED, headline, open, print_json, print_table_line};
use crate::engine::qwen3::{Dtype, KvDtype};
use crate::engine::{EngineOptions, ModelSource, logit_divergence};
use serde_json::json;

/// The number of compared sequences, with 64 positions each.
const SEQUENCES: usize = 8;

pub(super) fn run(args: &Args, reference: Dtype) -> Result<Exit, CliError> {
    let source = ModelSource::parse(&args.model).map_err(CliError::bad_input)?;
    let options = EngineOptions { threads: args.threads, kv_tokens: Some(1024), ..EngineOptions::default() };
    let options = args.device.with(options);
    let floats = EngineOptions { kv_dtype: KvDtype::Auto, ..options.clone() };
    let reference = open(args, &source, reference, &floats)?;
    let opened = open(args, &source, args.dtype[0], &options)?;
    let found = logit_divergence(&reference, &opened, SEQUENCES, SEED)
        .map_err(|error| CliError::new(Exit::RunFailed, error))?;
    print_table_line(args, &format!("{}, beside {}", headline(args, &source, &opened), reference.resolved.dtype))?;
    for (rows, found) in [("tokens of prompts", found.prompts), ("generated tokens", found.generated)] {
        print_table_line(args, &format!("{rows}, {} positions", found.positions))?;
        print_table_line(args, &format!("  same greedy token    {:.1} %", 100.0 * found.greedy))?;
        print_table_line(
            args,
            &format!("  error of logits      {:.4} of their standard deviation", found.relative_error),
        )?;
        print_table_line(args, &format!("  KL divergence        {:.6} nats", found.divergence))?;
    }
    print_json(
        args,
        &source,
        &opened,
        json!({ "against": reference.resolved.dtype, "kv_dtype": options.kv_dtype, "agreement": found }),
    )?;
    Ok(Exit::Ok)
}
