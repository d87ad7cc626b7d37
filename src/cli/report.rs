//! `maspo report`: Write runs as one HTML page. It opens no model: what agents wrote is read from
//! the run's response cache, and questions and gold answers from the experiment's files.

use super::output::{print_line, print_message};
use super::show::journal_fault;
use super::{CliError, Exit, recorded};
use crate::config::ModelCheck;
use crate::html_report::{GENERATOR, Links, MAX_RUNS, PageError, Pages, RunInput, TracePage};
use crate::journal::{self, Record, write_file};
use crate::run::Evidence;
use crate::search::SearchResult;
use crate::store::Reader;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Write runs as one HTML page that opens offline.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The runs' folders; several are compared side by side.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The page to write. A file that is no report is never overwritten.
    #[arg(long, default_value = "report.html")]
    out: PathBuf,
    /// Write pages with all held-out cases into this folder, too, and link to them.
    #[arg(long, value_name = "DIR")]
    traces: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    if args.runs.len() > MAX_RUNS {
        return Err(CliError::bad_input(format!("{} runs are given, and a page holds {MAX_RUNS}", args.runs.len())));
    }
    check_target(&args.out)?;
    let inputs = args.runs.iter().map(|dir| read(dir)).collect::<Result<Vec<_>, _>>()?;
    let pages = Pages::new(&inputs).map_err(page_fault)?;
    let links = match &args.traces {
        Some(dir) => write_traces(&pages, dir, &args.out)?,
        None => Links::default(),
    };
    let html = pages.report(&links).map_err(page_fault)?;
    write_file(&args.out, &html).map_err(|error| journal_fault(&error))?;
    for input in &inputs {
        if let Err(reason) = &input.evidence {
            let dir = input.record.dir.display();
            print_message(format_args!("warning: {dir}: {reason}"));
        }
    }
    print_line(args.out.display())?;
    Ok(Exit::Ok)
}

/// Reads a run and looks for its data.
fn read(dir: &Path) -> Result<RunInput, CliError> {
    let Some(record) = journal::read(dir).map_err(|error| journal_fault(&error))? else {
        return Err(CliError::bad_input(format!("no run has begun in {}", dir.display())));
    };
    let evidence = evidence(&record);
    Ok(RunInput { record, evidence })
}

/// Returns the evidence of a run, or the reason why its data cannot be shown, as a sentence.
fn evidence(record: &Record) -> Result<Evidence, String> {
    if record.private {
        return Err("The data is private, so no questions and no traces are shown.".to_string());
    }
    let Some(result) = SearchResult::from_events(&record.events) else {
        return Err("The search has not begun, so there is nothing to show of its data.".to_string());
    };
    let settings = recorded::settings(record, ModelCheck::None).map_err(|reason| {
        format!("The experiment of this run cannot be read again, so no questions and no traces are shown: {reason}.")
    })?;
    if settings.private {
        return Err("The data is private, so no questions and no traces are shown.".to_string());
    }
    let reader = Reader::open(&record.dir).map_err(|error| format!("The run cannot be read again: {error}."))?;
    Ok(Evidence::new(settings, result.models.worker, Arc::new(reader)))
}

/// Checks that the page can be written without destroying anything but an earlier report.
fn check_target(out: &Path) -> Result<(), CliError> {
    let shown = out.display();
    if out.is_dir() {
        return Err(CliError::bad_input(format!("{shown} is a folder: name a file with --out")));
    }
    let Ok(file) = fs::File::open(out) else { return Ok(()) };
    let mut head = Vec::new();
    let mark = format!(r#"<meta name="generator" content="{GENERATOR}">"#);
    let read = file.take(2048).read_to_end(&mut head);
    if read.is_ok() && (head.is_empty() || String::from_utf8_lossy(&head).contains(&mark)) {
        return Ok(());
    }
    Err(CliError::bad_input(format!("{shown} exists and is no report of maspo: choose another file with --out")))
}

/// Writes the pages of all held-out cases and returns the links to them.
fn write_traces(pages: &Pages<'_>, dir: &Path, out: &Path) -> Result<Links, CliError> {
    let list: Vec<TracePage> = pages.trace_pages();
    if list.is_empty() {
        print_message("warning: --traces: there are no held-out cases whose data can be shown");
        return Ok(Links::default());
    }
    let failed = |error: std::io::Error| {
        CliError::new(Exit::Environment, format!("{} cannot be written: {error}", dir.display()))
    };
    fs::create_dir_all(dir).map_err(failed)?;
    for page in &list {
        let path = dir.join(&page.name);
        check_target(&path)?;
        write_file(&path, &pages.traces(page).map_err(page_fault)?).map_err(|error| journal_fault(&error))?;
    }
    let from = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (from, to) = (fs::canonicalize(from).map_err(failed)?, fs::canonicalize(dir).map_err(failed)?);
    Ok(Links::to(&address(&from, &to), &list))
}

/// Returns the address of the folder `to` as seen from a page in the folder `from`.
fn address(from: &Path, to: &Path) -> String {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..".to_string(), from.len() - shared);
    let down = to[shared..].iter().map(|part| encoded(&part.as_os_str().to_string_lossy()));
    let parts: Vec<String> = std::iter::once(".".to_string()).chain(up).chain(down).collect();
    parts.join("/")
}

/// Encodes a name for an address.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn page_fault(error: PageError) -> CliError {
    let exit = match error {
        PageError::Unreadable { .. } => Exit::BadInput,
        PageError::Template(_) => Exit::RunFailed,
    };
    CliError::new(exit, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_addressed_as_a_page_sees_them() {
        let check = |from: &str, to: &str, expected| assert_eq!(address(Path::new(from), Path::new(to)), expected);
        check("/a/b", "/a/b/traces", "./traces");
        check("/a/b", "/a/b", ".");
        check("/a/b", "/a/c d/#é", "./../c%20d/%23%C3%A9");
    }

    #[test]
    fn only_reports_are_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.html");
        assert!(check_target(&path).is_ok());
        fs::write(&path, "notes").unwrap();
        assert!(check_target(&path).is_err());
        fs::write(&path, format!(r#"<!doctype html><meta name="generator" content="{GENERATOR}">"#)).unwrap();
        assert!(check_target(&path).is_ok());
        assert!(check_target(dir.path()).is_err());
    }
}
