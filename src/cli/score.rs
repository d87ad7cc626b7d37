//! `maspo score`: Score answer texts as the next tokens.

use super::{CliError, Exit};

/// Score answer texts as the next tokens.
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
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(_args: Args) -> Result<Exit, CliError> {
    Err(CliError::new(Exit::RunFailed, "not built yet"))
}
