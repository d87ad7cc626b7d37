//! A valid experiment in a folder of its own, and how its faults are shown.

use super::super::{ConfigError, ModelCheck, Settings, load};
use expect_test::Expect;
use std::fs;

/// A valid experiment, four lines of which tests change.
pub(super) const GOOD: &str = r#"schema = 1
name = "triage"
seed = 7
[model]
path = "embedded:triage"
[graph]
topology = "sequential"
[[agent]]
name = "extract"
role = "Lists the signals."
prompt = "List the signals of {question}"
[[agent]]
name = "decide"
role = "Decides."
prompt = { file = "decide.txt" }
max_new_tokens = 16
frozen = ["<answer>"]
[data]
pool = { file = "pool.jsonl" }
test = { file = "test.jsonl", answer = "gold", id = "id" }
[eval]
scorer = "label"
labels = ["human", "scraper"]
[search]
batch = 2
"#;

pub(super) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("decide.txt", "Given {context}, is {question} <answer>human</answer> or <answer>scraper</answer>?\n");
    write("pool.jsonl", "{\"question\": \"one\"}\n{\"question\": \"two\"}\n");
    write("train.jsonl", "{\"id\": 5, \"question\": \"five\", \"gold\": \"human\"}\n");
    write(
        "test.jsonl",
        "{\"id\": 3, \"question\": \"three\", \"gold\": \"human\"}\n\
        {\"id\": 4, \"question\": \"four\", \"gold\": \"scraper\"}\n",
    );
    write(
        "twice.jsonl",
        "{\"id\": \"k\", \"question\": \"a\", \"gold\": \"human\"}\n\
        {\"id\": \"k\", \"question\": \"b\", \"gold\": \"human\"}\n",
    );
    folder
}

pub(super) fn load_text(folder: &tempfile::TempDir, text: &str, sets: &[&str]) -> Result<Settings, Vec<ConfigError>> {
    let path = folder.path().join("x.toml");
    fs::write(&path, text).unwrap();
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    load(&path, &sets, false, ModelCheck::Files)
}

pub(super) fn shown(folder: &tempfile::TempDir, outcome: Result<Settings, Vec<ConfigError>>) -> String {
    let text: String = match outcome {
        Ok(settings) => settings.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    };
    text.replace(&format!("{}/", folder.path().display()), "")
}

/// Compares the faults of the valid experiment, after replacing one text by another and with flags,
/// with `expected`.
#[track_caller]
pub(super) fn check(from: &str, to: &str, sets: &[&str], expected: Expect) {
    assert!(GOOD.contains(from), "{from}");
    let folder = folder();
    let outcome = load_text(&folder, &GOOD.replacen(from, to, 1), sets);
    expected.assert_eq(&shown(&folder, outcome));
}
