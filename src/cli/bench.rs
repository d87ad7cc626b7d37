//! `maspo bench`: Measure prefill and decode speed.

use super::{CliError, Exit};

/// Measure prefill and decode speed.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A Hugging Face model folder, or `embedded:triage`.
    #[arg(long)]
    model: String,
    /// Random weights in the shape of the model's `config.json`; no other file is needed.
    #[arg(long)]
    random_weights: bool,
    /// Batch sizes.
    #[arg(long, value_delimiter = ',', default_value = "1,10,40")]
    batch: Vec<usize>,
    /// Prompt tokens per sequence.
    #[arg(long, default_value_t = 256)]
    prompt_tokens: usize,
    /// New tokens per sequence.
    #[arg(long, default_value_t = 64)]
    new_tokens: usize,
    /// Worker threads; default is the number of cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: Args) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::RunFailed, "not built yet"))
}
