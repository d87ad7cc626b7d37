//! `maspo init`: Write a first experiment that runs at once.
//!
//! The files are templates beside this one. Nothing that exists is overwritten, and nothing is
//! written unless everything can be.

use super::output::{print, print_json};
use super::{CliError, Exit};
use crate::config::check_model;
use crate::engine::ModelSource;
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Sessions of the embedded model's world in `pool.jsonl` and `test.jsonl`: enough to see a
/// difference, few enough for seconds.
const EMBEDDED_POOL_ROWS: usize = 40;
const EMBEDDED_TEST_ROWS: usize = 60;

/// Write a first experiment that runs at once.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The folder for `experiment.toml`, `pool.jsonl` and `test.jsonl`; it is made where it does
    /// not exist.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The model that the experiment runs on: a Hugging Face folder, a `.gguf` file, or
    /// `embedded:triage`.
    #[arg(long, value_name = "PATH", default_value = "embedded:triage")]
    model: String,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let model = model(&args.model)?;
    let files: Vec<File> = contents(&model).into_iter().map(|(name, text)| (args.dir.join(name), text)).collect();
    refuse_existing(&files)?;
    fs::create_dir_all(&args.dir).map_err(|error| unwritable(&args.dir, &error))?;
    write_all(&files)?;
    report(&args, &model)?;
    Ok(Exit::Ok)
}

/// A file's path and its text.
type File = (PathBuf, String);

/// Returns the model as the experiment names it. A relative path becomes absolute, because paths in
/// an experiment file are relative to that file.
fn model(text: &str) -> Result<String, CliError> {
    let fault = |problem: String| CliError::bad_input(format!("--model {problem}"));
    let source = ModelSource::parse(text).map_err(|error| fault(format!("is {text:?}: {error}")))?;
    check_model(&source).map_err(fault)?;
    if matches!(source, ModelSource::Embedded(_)) {
        return Ok(text.to_string());
    }
    let path = std::path::absolute(text).map_err(|error| fault(format!("{text}: {error}")))?;
    path.into_os_string().into_string().map_err(|path| fault(format!("is not UTF-8: {}", path.display())))
}

/// The names and texts of the files.
fn contents(model: &str) -> [(&'static str, String); 3] {
    let (experiment, pool, test) = if model.starts_with("embedded:") {
        (
            include_str!("init/embedded.toml").to_string(),
            first_lines(include_str!("../../models/triage/pool.jsonl"), EMBEDDED_POOL_ROWS),
            first_lines(include_str!("../../models/triage/test.jsonl"), EMBEDDED_TEST_ROWS),
        )
    } else {
        (
            include_str!("init/own.toml").replacen("MODEL_PATH", &toml::Value::from(model).to_string(), 1),
            include_str!("init/own-pool.jsonl").to_string(),
            include_str!("init/own-test.jsonl").to_string(),
        )
    };
    [("experiment.toml", experiment), ("pool.jsonl", pool), ("test.jsonl", test)]
}

fn first_lines(text: &str, lines: usize) -> String {
    text.split_inclusive('\n').take(lines).collect()
}

/// Names every file that is there already, also one that is only a broken link.
fn refuse_existing(files: &[File]) -> Result<(), CliError> {
    let existing: Vec<_> = files.iter().filter(|(path, _)| path.symlink_metadata().is_ok()).map(existing).collect();
    if existing.is_empty() { Ok(()) } else { Err(CliError::bad_inputs(existing)) }
}

fn existing((path, _): &File) -> String {
    format!("{} exists already and is not overwritten: choose another folder, or move it away", path.display())
}

/// Writes all files, or leaves none of them behind.
fn write_all(files: &[File]) -> Result<(), CliError> {
    for (done, file) in files.iter().enumerate() {
        if let Err(error) = write_new(file) {
            let theirs = error.kind() == io::ErrorKind::AlreadyExists;
            for (path, _) in &files[..done + usize::from(!theirs)] {
                // The fault that is reported is the first one. A file that stays behind is named
                // when `init` is tried again.
                let _ = fs::remove_file(path);
            }
            return Err(if theirs { CliError::bad_input(existing(file)) } else { unwritable(&file.0, &error) });
        }
    }
    Ok(())
}

fn write_new((path, text): &File) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// Returns the error of a path that cannot be written. A file where a folder should be is the
/// user's mistake; everything else is the environment's.
fn unwritable(path: &Path, error: &io::Error) -> CliError {
    use io::ErrorKind::{AlreadyExists, NotADirectory};
    let exit = if matches!(error.kind(), AlreadyExists | NotADirectory) { Exit::BadInput } else { Exit::Environment };
    CliError::new(exit, format!("{} cannot be written: {error}", path.display()))
}

fn report(args: &Args, model: &str) -> Result<(), CliError> {
    let names = ["experiment.toml", "pool.jsonl", "test.jsonl"];
    let files = names.map(|name| args.dir.join(name).display().to_string());
    if args.json {
        return print_json(&json!({ "schema": 1, "command": "init", "model": model, "files": files }));
    }
    let mut text = format!("Wrote an experiment on {model}:\n");
    for (file, what) in files.iter().zip(["agents, prompts, search", "unlabelled queries", "labelled cases"]) {
        text += &format!("  {file}  ({what})\n");
    }
    print(text + &format!("Run it:\n  maspo optimize {}\n", files[0]))
}
