//! `maspo show`: Print a run again, finished or not. It needs the run's folder only: no model, no
//! experiment file.

use super::output::{colour, print};
use super::{CliError, Exit};
use crate::journal::{self, JournalError};
use crate::report::{Colour, Files, Progress, RunReport};
use crate::search::SearchResult;
use std::path::Path;

/// Print a run again, finished or not.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// The run's folder.
    run: std::path::PathBuf,
    /// Print one versioned JSON object on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    print(render(&args.run, args.json, colour())?)?;
    Ok(Exit::Ok)
}

fn render(dir: &Path, json: bool, colour: Colour) -> Result<String, CliError> {
    let Some(record) = journal::read(dir).map_err(|error| journal_fault(&error))? else {
        return Err(CliError::bad_input(format!("no run has begun in {}", dir.display())));
    };
    let Some(result) = record.result else {
        let so_far = SearchResult::from_events(&record.events);
        let progress = Progress::new(&record.name, so_far.as_ref(), record.calls, &record.resume_command);
        let progress = if record.private { progress.without_texts() } else { progress };
        return Ok(if json { progress.json() } else { progress.text(colour) });
    };
    let malformed = |reason| CliError::bad_input(format!("{} cannot be shown: {reason}", dir.display()));
    let mut report = RunReport::from_json(&result).map_err(malformed)?;
    if json {
        return Ok(result);
    }
    // The run may have been moved, and the recorded paths are relative to where it was made.
    report.files = Files::in_dir(dir);
    Ok(report.text(colour))
}

/// Returns the error, with its exit code, for a fault of a run's record.
pub(super) fn journal_fault(error: &JournalError) -> CliError {
    CliError::new(if error.is_environment() { Exit::Environment } else { Exit::BadInput }, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Digest;
    use crate::journal::{Journal, RunInfo};
    use crate::report::fixture;
    use crate::search::EventSink;
    use crate::store::Store;
    use expect_test::{Expect, expect};
    use futures::executor::block_on;
    use std::sync::Arc;

    fn begin(dir: &Path) -> Journal {
        let info = RunInfo {
            name: "tiny".into(),
            settings: Digest::of(b"settings"),
            arguments: vec!["optimize".into(), "tiny.toml".into()],
        };
        block_on(Journal::begin(Arc::new(Store::open(dir).unwrap()), &info)).unwrap()
    }

    #[track_caller]
    fn check(dir: &Path, expected: Expect) {
        let text = match render(dir, false, Colour::Off) {
            Ok(text) => text,
            Err(error) => format!("{error:?}"),
        };
        expected.assert_eq(&text.replace(&dir.display().to_string(), "DIR"));
    }

    #[test]
    fn a_finished_run_prints_the_same_report_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut report = fixture::report();
        report.files = Files::in_dir(dir.path());
        let journal = begin(dir.path());
        block_on(journal.finish(report.json())).unwrap();
        drop(journal);
        assert_eq!(render(dir.path(), false, Colour::Off).unwrap(), report.text(Colour::Off));
        assert_eq!(render(dir.path(), true, Colour::Off).unwrap(), report.json());
    }

    #[test]
    fn an_unfinished_run_says_how_far_it_is_and_how_to_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = begin(dir.path());
        check(
            dir.path(),
            expect![[r#"
                Run `tiny`, unfinished: the search has not begun
                cache     answered calls that are not asked again: 0

                Go on with: maspo optimize tiny.toml --resume
            "#]],
        );
        for event in &fixture::events()[..3] {
            block_on(journal.emit(event)).unwrap();
        }
        check(
            dir.path(),
            expect![[r#"
                Run `tiny`, seed 7, unfinished: 1 of 2 steps done
                model     triage (5540edfbd10f) in every role
                cache     answered calls that are not asked again: 0

                Prompts   [-before-] {+after+}
                  extract: not to be changed
                  assess: changed
                    Read the case {context}.
                    Decide who wrote it: a human or a scraper.{+ Many requests per second mean a scraper.+}
                    Answer in <answer></answer>.

                Steps
                  round 1, assess, step 1: 1 candidate tried, 1 rejected (too-long), best score +0.250, improved

                Go on with: maspo optimize tiny.toml --resume
            "#]],
        );
        let json: serde_json::Value = serde_json::from_str(&render(dir.path(), true, Colour::Off).unwrap()).unwrap();
        assert_eq!((&json["schema"], &json["finished"]), (&1.into(), &false.into()));
        assert_eq!(json["resume"], "maspo optimize tiny.toml --resume");
        assert_eq!(json["search"]["steps_done"], 1);
    }

    #[test]
    fn wrong_folders_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        check(
            dir.path(),
            expect![[r#"CliError { exit: BadInput, messages: ["there is no run in DIR (it has no run.sqlite)"] }"#]],
        );
        drop(Store::open(dir.path()).unwrap());
        check(dir.path(), expect![[r#"CliError { exit: BadInput, messages: ["no run has begun in DIR"] }"#]]);
        block_on(begin(dir.path()).finish(r#"{"schema": 7}"#.into())).unwrap();
        check(
            dir.path(),
            expect![[
                r#"CliError { exit: BadInput, messages: ["DIR cannot be shown: the result has schema 7, and this maspo reads schema 1"] }"#
            ]],
        );
        let connection = rusqlite::Connection::open(dir.path().join("run.sqlite")).unwrap();
        connection.execute("UPDATE meta SET value = '0' WHERE name = 'schema'", []).unwrap();
        check(
            dir.path(),
            expect![[
                r#"CliError { exit: BadInput, messages: ["DIR/run.sqlite has schema 0, and this maspo reads schema 1; start the run again in another folder (--out), or use the maspo that wrote it"] }"#
            ]],
        );
    }
}
