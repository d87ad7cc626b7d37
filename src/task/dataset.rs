//! Loads data sets: JSONL files as lists of queries, with or without gold answers.

use super::condition::Condition;
use super::error::LoadError;
use super::lines::{Lines, MAX_LINE_BYTES, MAX_ROWS};
use super::row::{Fields, Gold, Row, parse};
use super::scorer::Scorer;
use crate::base::Placeholder;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most bad rows that are listed one by one.
const LISTED_BAD_ROWS: usize = 20;

/// The file of a data set, and how its rows are read.
#[derive(Clone, PartialEq, Debug)]
pub struct Source {
    /// The JSONL file.
    pub file: PathBuf,
    /// The field that holds a row's id. Without one, the id is the line number.
    pub id: Option<String>,
    /// The fields whose texts, joined by line breaks, form the question.
    pub question: Vec<String>,
    /// The field with the tests that show what a program's function has to be called, which the
    /// question then says.
    pub name_hint: Option<String>,
    /// What a row must be to be taken; other rows are as if they were not there.
    pub conditions: Vec<Condition>,
    /// The number of rows to skip at the start.
    pub skip: usize,
    /// The most rows to take after that.
    pub limit: Option<usize>,
    /// Whether bad rows are skipped and counted; otherwise the file is rejected.
    pub skip_bad_rows: bool,
}

/// One query, without a gold answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query {
    /// Its id, unique in the data set.
    pub id: String,
    /// The text of the query.
    pub question: Arc<str>,
    /// Its line in the file, counted from 1.
    pub line: usize,
}

/// One query with its gold answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    /// The query.
    pub query: Query,
    /// The gold answer as it is in the file.
    pub answer: String,
}

/// The rows of a data file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dataset<T> {
    /// The usable rows, in the order of the file; never empty.
    pub rows: Vec<T>,
    /// The first 20 bad rows that were skipped.
    pub bad: Vec<LoadError>,
    /// The number of bad rows that were skipped.
    pub bad_count: usize,
}

/// Loads queries. Answers in the file are not read.
///
/// # Errors
/// Returns all faults of the file, at most 20 bad rows one by one.
pub fn load_queries(source: &Source) -> Result<Dataset<Query>, Vec<LoadError>> {
    load(source, None, |query, _| Ok(query))
}

/// Loads queries with the gold answers in the field `answer`. Each must be an answer that `scorer`
/// can give.
///
/// # Errors
/// Returns all faults of the file, at most 20 bad rows one by one.
pub fn load_cases(source: &Source, answer: &str, scorer: &Scorer) -> Result<Dataset<Case>, Vec<LoadError>> {
    let gold = match scorer {
        Scorer::Code { .. } => Gold::Tests(answer),
        _ => Gold::Field(answer),
    };
    load(source, Some(gold), |query, gold| {
        let answer = gold.expect("the answer was asked for, so a row without one is a fault");
        scorer.gold(&answer)?;
        Ok(Case { query, answer })
    })
}

fn load<T>(
    source: &Source,
    answer: Option<Gold<'_>>,
    finish: impl Fn(Query, Option<String>) -> Result<T, super::RowFault>,
) -> Result<Dataset<T>, Vec<LoadError>> {
    let file = &source.file;
    let unreadable = |error: std::io::Error| vec![LoadError::Unreadable { file: file.clone(), reason: reason(&error) }];
    if file.is_dir() {
        return Err(vec![LoadError::Unreadable { file: file.clone(), reason: "it is a folder".into() }]);
    }
    let mut lines = Lines::new(BufReader::new(File::open(file).map_err(unreadable)?), MAX_LINE_BYTES);
    let fields = Fields {
        id: source.id.as_deref(),
        question: &source.question,
        answer,
        name_hint: source.name_hint.as_deref(),
        conditions: &source.conditions,
    };
    let end = source.limit.map_or(usize::MAX, |limit| source.skip.saturating_add(limit));
    let mut loading = Loading::default();
    while loading.taken < end {
        let Some((line, text)) = lines.next().map_err(unreadable)? else { break };
        if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
            continue;
        }
        loading.seen += 1;
        if let Some((found, hint)) = text.as_ref().ok().filter(|_| loading.seen == 1).and_then(|text| not_lines(text)) {
            return Err(vec![LoadError::NotLines { file: file.clone(), found, hint }]);
        }
        if loading.seen > MAX_ROWS {
            loading.errors.push(LoadError::TooManyRows { file: file.clone(), limit: MAX_ROWS });
            break;
        }
        let is_skipped = loading.taken < source.skip;
        // Rows that are skipped are not read, unless that says whether they count.
        if is_skipped && text.is_ok() && source.conditions.is_empty() {
            loading.taken += 1;
            continue;
        }
        let row_fault = |fault| LoadError::Row { file: file.clone(), line, fault };
        let row = text
            .map_err(|fault| LoadError::Line { file: file.clone(), line, fault })
            .and_then(|text| parse(&text, &fields).map_err(row_fault));
        let row = match row {
            Ok(None) => continue,
            Ok(Some(_)) if is_skipped => {
                loading.taken += 1;
                continue;
            }
            Ok(Some(row)) => Ok(row),
            Err(error) => Err(error),
        };
        loading.taken += 1;
        match row.and_then(|row| loading.query(row, file, line)) {
            Ok((query, gold)) => match finish(query, gold) {
                Ok(row) => loading.rows.push(row),
                Err(fault) => loading.record_bad(row_fault(fault)),
            },
            Err(error) if error.is_bad_row() => loading.record_bad(error),
            Err(error) => loading.errors.push(error),
        }
    }
    loading.finish(source)
}

/// Returns what a file with this first row holds where it is no JSONL, and what to do about it.
pub(super) fn not_lines(first: &str) -> Option<(&'static str, &'static str)> {
    const HINT: &str = "a JSONL file has one object a line: convert it, e.g. with `jq -c '.[]'`";
    let text = first.trim();
    let whole = || serde_json::from_str::<serde_json::Value>(text).ok();
    match text.chars().next() {
        // A row that is a list is bad; a list of rows is the whole file.
        Some('[') if whole().is_none_or(|list| list.get(0).is_some_and(serde_json::Value::is_object)) => {
            Some(("one JSON array", HINT))
        }
        Some('{') if text == "{" => Some((
            "a JSON object over several lines",
            "a JSONL file has one object a line: convert it, e.g. with `jq -c .`",
        )),
        _ => Placeholder::find(first.as_bytes()).map(|found| (found.name, found.hint)),
    }
}

/// The state of loading a file.
struct Loading<T> {
    rows: Vec<T>,
    /// The first bad rows; `bad_count` counts all of them.
    bad: Vec<LoadError>,
    bad_count: usize,
    errors: Vec<LoadError>,
    lines_by_id: HashMap<String, usize>,
    /// The number of rows so far, and of those among them that fulfil the conditions.
    seen: usize,
    taken: usize,
}

impl<T> Default for Loading<T> {
    fn default() -> Self {
        Self { rows: vec![], bad: vec![], bad_count: 0, errors: vec![], lines_by_id: HashMap::new(), seen: 0, taken: 0 }
    }
}

impl<T> Loading<T> {
    fn query(&mut self, row: Row, file: &Path, line: usize) -> Result<(Query, Option<String>), LoadError> {
        let id = row.id.unwrap_or_else(|| line.to_string());
        if let Some(&first_line) = self.lines_by_id.get(&id) {
            return Err(LoadError::DuplicateId { file: file.to_path_buf(), line, id, first_line });
        }
        self.lines_by_id.insert(id.clone(), line);
        Ok((Query { id, question: row.question, line }, row.answer))
    }

    fn record_bad(&mut self, error: LoadError) {
        self.bad_count += 1;
        if self.bad.len() < LISTED_BAD_ROWS {
            self.bad.push(error);
        }
    }

    fn finish(mut self, source: &Source) -> Result<Dataset<T>, Vec<LoadError>> {
        let file = || source.file.clone();
        let bad_count = self.bad_count;
        let unlisted = bad_count - self.bad.len();
        if !source.skip_bad_rows {
            self.errors.splice(0..0, self.bad.drain(..));
            if unlisted > 0 {
                self.errors.push(LoadError::MoreBadRows { file: file(), more: unlisted });
            }
        }
        if self.rows.is_empty() && self.errors.is_empty() {
            self.errors.push(match self.taken {
                0 if self.seen > 0 => {
                    let conditions: Vec<_> = source.conditions.iter().map(ToString::to_string).collect();
                    LoadError::NoMatch { file: file(), rows: self.seen, conditions: conditions.join(" and ") }
                }
                0 => LoadError::Empty { file: file() },
                rows if bad_count == 0 => LoadError::AllSkipped { file: file(), rows, skip: source.skip },
                _ => LoadError::NothingUsable { file: file(), bad: bad_count },
            });
        }
        if self.errors.is_empty() {
            Ok(Dataset { rows: self.rows, bad: self.bad, bad_count })
        } else {
            Err(self.errors)
        }
    }
}

pub(super) fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_string(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_string(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::io::Write;

    fn source(bytes: &[u8]) -> (tempfile::NamedTempFile, Source) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = Source {
            file: file.path().to_path_buf(),
            id: None,
            question: vec!["q".into()],
            name_hint: None,
            conditions: vec![],
            skip: 0,
            limit: None,
            skip_bad_rows: false,
        };
        (file, source)
    }

    /// Loads cases and returns the result as text, with the file's name as FILE.
    #[track_caller]
    fn check(text: &str, change: impl Fn(&mut Source), expected: Expect) {
        let (file, mut source) = source(text.as_bytes());
        change(&mut source);
        let shown = match load_cases(&source, "a", &Scorer::Letter) {
            Ok(set) => {
                let rows = set.rows.iter().map(|c| format!("{} {} {}\n", c.query.id, c.query.question, c.answer));
                let bad = set.bad.iter().map(|error| format!("left out: {error}\n"));
                rows.chain(bad).collect::<String>()
            }
            Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
        };
        expected.assert_eq(&shown.replace(&file.path().display().to_string(), "FILE"));
    }

    const GOOD: &str = "{\"q\": \"one\", \"a\": \"A\", \"k\": 5}\n\n{\"q\": \"two\", \"a\": \"(b)\", \"k\": \"x\"}\r\n";
    const BAD: &str = "{\"q\": \"one\", \"a\": \"A\"}\n{\"q\": 1\n{\"q\": \"three\", \"a\": \"Z\"}\n{\"a\": \"C\"}\n";

    #[test]
    fn rows_are_read_in_order() {
        check(
            GOOD,
            |_| {},
            expect![[r#"
            1 one A
            3 two (b)
        "#]],
        );
        check(
            GOOD,
            |s| s.id = Some("k".into()),
            expect![[r#"
            5 one A
            x two (b)
        "#]],
        );
        check(
            GOOD,
            |s| s.skip = 1,
            expect![[r#"
            3 two (b)
        "#]],
        );
        check(
            GOOD,
            |s| s.limit = Some(1),
            expect![[r#"
            1 one A
        "#]],
        );
    }

    #[test]
    fn bad_rows_are_named_and_skipped_only_on_request() {
        check(
            BAD,
            |_| {},
            expect![[r#"
            FILE:2: not JSON: EOF while parsing an object (column 7)
            FILE:3: the answer "Z" is not a letter from A to J
            FILE:4: the row has no field `q`; it has `a`
        "#]],
        );
        check(
            BAD,
            |s| s.skip_bad_rows = true,
            expect![[r#"
            1 one A
            left out: FILE:2: not JSON: EOF while parsing an object (column 7)
            left out: FILE:3: the answer "Z" is not a letter from A to J
            left out: FILE:4: the row has no field `q`; it has `a`
        "#]],
        );
        check(
            "{}\n",
            |s| s.skip_bad_rows = true,
            expect![[r#"
            FILE has no usable row: all 1 are bad
        "#]],
        );
        let many = "[]\n".repeat(23);
        let (_file, source) = source(many.as_bytes());
        let errors = load_queries(&source).unwrap_err();
        assert_eq!(errors.len(), 21);
        assert!(errors[20].to_string().ends_with(": 3 more bad rows"), "{}", errors[20]);
    }

    #[test]
    fn files_without_rows_are_refused() {
        check(
            "",
            |_| {},
            expect![[r#"
            FILE has no rows
        "#]],
        );
        check(
            "\n  \n",
            |_| {},
            expect![[r#"
            FILE has no rows
        "#]],
        );
        check(
            GOOD,
            |s| s.skip = 2,
            expect![[r#"
            FILE has 2 rows, and `skip` leaves out 2
        "#]],
        );
        check(
            GOOD,
            |s| s.file = "/nowhere/x.jsonl".into(),
            expect![[r#"
            cannot read /nowhere/x.jsonl: no such file
        "#]],
        );
        check(
            GOOD,
            |s| s.file = "/".into(),
            expect![[r#"
            cannot read /: it is a folder
        "#]],
        );
    }

    #[test]
    fn files_that_are_no_jsonl_are_called_what_they_are() {
        let array = "[{\"q\": \"one\", \"a\": \"A\"},{\"q\": \"two\", \"a\": \"B\"}]";
        for text in [
            array.to_string(),
            format!("{array}\n"),
            format!("\n  {array}"),
            array.replace("},", "},\n"),
            array.replacen('[', "[\n", 1),
        ] {
            for skip_bad_rows in [false, true] {
                check(
                    &text,
                    |s| s.skip_bad_rows = skip_bad_rows,
                    expect![[r#"
                        FILE holds one JSON array; a JSONL file has one object a line: convert it, e.g. with `jq -c '.[]'`
                    "#]],
                );
            }
        }
        check(
            "{\n  \"q\": \"one\",\n  \"a\": \"A\"\n}\n",
            |_| {},
            expect![[r#"
                FILE holds a JSON object over several lines; a JSONL file has one object a line: convert it, e.g. with `jq -c .`
            "#]],
        );
        check(
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
            |_| {},
            expect![[r#"
                FILE holds a Git LFS pointer; run `git lfs pull` in its folder, or download the file
            "#]],
        );
        check(
            "<!DOCTYPE html><html><title>404</title></html>\n",
            |s| s.skip_bad_rows = true,
            expect![[r#"
                FILE holds an HTML page; download the file again
            "#]],
        );
        // A row that is a list is one bad row.
        check(
            "[\"q\"]\n{\"q\": \"two\", \"a\": null}\n",
            |_| {},
            expect![[r#"
                FILE:1: the row is a list, not an object with fields; a JSONL file has one object a line
                FILE:2: the field `a` is null; text or a number is needed
            "#]],
        );
    }

    #[test]
    fn duplicate_ids_are_refused_even_if_bad_rows_are_skipped() {
        let twice = "{\"q\": \"one\", \"a\": \"A\", \"k\": 5}\n{\"q\": \"two\", \"a\": \"B\", \"k\": \"5\"}\n";
        let change = |s: &mut Source| {
            s.id = Some("k".into());
            s.skip_bad_rows = true;
        };
        check(
            twice,
            change,
            expect![[r#"
            FILE:2: the id `5` is already that of line 1
        "#]],
        );
    }

    #[test]
    fn text_that_is_not_utf_8_is_named() {
        let (_file, source) = source(b"{\"q\": \"a\"}\n{\"q\": \"\xe4\"}\n");
        let errors = load_queries(&source).unwrap_err();
        assert!(errors[0].to_string().contains(":2: the line is not UTF-8 (byte 8 of the line)"), "{}", errors[0]);
        let mut source = source;
        source.skip_bad_rows = true;
        let set = load_queries(&source).unwrap();
        assert_eq!((set.rows.len(), set.bad_count), (1, 1));
    }

    #[test]
    fn a_byte_order_mark_is_named_and_never_skipped() {
        let (_file, mut source) = source(b"\xef\xbb\xbf{\"q\": \"a\"}\n{\"q\": \"b\"}\n");
        source.skip_bad_rows = true;
        let errors = load_queries(&source).unwrap_err();
        let expected = ":1: the file starts with a byte-order mark; save it as UTF-8 without one";
        assert!(errors[0].to_string().ends_with(expected), "{}", errors[0]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]
        #[test]
        fn no_file_makes_it_panic(bytes in proptest::collection::vec(0u8..=255, 0..120), cut in 0usize..90) {
            // Random bytes, and a valid file with random bytes in the middle.
            let (_file, source_of_noise) = source(&bytes);
            let _ = load_queries(&source_of_noise);
            let mixed = [&GOOD.as_bytes()[..cut.min(GOOD.len())], &bytes, GOOD.as_bytes()].concat();
            let (_file, source_of_both) = source(&mixed);
            let _ = load_cases(&source_of_both, "a", &Scorer::Letter);
        }
    }
}
