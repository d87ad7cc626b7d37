//! `maspo generate`: Continue prompts with a local model.

use super::{CliError, Exit};

/// Continue prompts with a local model.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// A Hugging Face model folder, or `embedded:triage`.
    #[arg(long)]
    model: String,
    /// Requests, one JSON object a line; `-` is standard input.
    #[arg(long)]
    input: std::path::PathBuf,
    /// Where the answers go; default is standard output.
    #[arg(long)]
    output: Option<std::path::PathBuf>,
    /// Worker threads; default is the number of cores.
    #[arg(long)]
    threads: Option<usize>,
    /// Most new tokens where a line does not say.
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Let the chat template turn thinking on.
    #[arg(long)]
    thinking: bool,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: Args) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::RunFailed, "not built yet"))
}
