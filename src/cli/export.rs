//! `maspo export`: Write the team of a finished run or of a bundle as files that other programs
//! load.

use super::exported::open;
use super::output::print;
use super::show::journal_fault;
use super::{CliError, Exit};
use crate::export::Format;
use crate::journal::write_file;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::PathBuf;

/// Write the team of a finished run or of a bundle in a form that other programs load.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The run's folder, or a bundle.
    run: PathBuf,
    /// The form: plain JSON, Markdown, a DSPy program, OpenAI's messages, or a promptfoo
    /// configuration.
    #[arg(long, value_parser = format())]
    format: Format,
    /// Write this file; default is standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long, requires = "out")]
    force: bool,
}

fn format() -> impl TypedValueParser<Value = Format> {
    let named = |name: String| Format::ALL.into_iter().find(|format| format.name() == name).ok_or("no such format");
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(named)
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    if let Some(out) = &args.out {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let problem = match folder {
            Some(folder) if !folder.is_dir() => format!("there is no folder {}", folder.display()),
            _ if out.is_dir() => "it is a folder".to_string(),
            _ if out.exists() && !args.force => "it is there already; --force replaces it".to_string(),
            _ => String::new(),
        };
        if !problem.is_empty() {
            return Err(CliError::bad_input(format!("--out {}: {problem}", out.display())));
        }
    }
    let text = open(&args.run)?
        .text(args.format)
        .map_err(|problem| CliError::bad_input(format!("{} cannot be exported: {problem}", args.run.display())))?;
    match &args.out {
        Some(out) => write_file(out, &text).map_err(|error| journal_fault(&error))?,
        None => print(text)?,
    }
    Ok(Exit::Ok)
}
