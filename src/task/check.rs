//! Checks the file of a benchmark set before any model runs: its rows and fields, and what is wrong
//! with the set itself.

use super::code::{CodeJudge, Tests};
use super::compare::normalised;
use super::error::LoadError;
use super::lines::{Lines, MAX_LINE_BYTES, MAX_ROWS};
use super::row::{Fields, Gold, RowFault, find, parse_object, read};
use super::scorer::{Outcome, Scorer};
use super::suite::{Shape, Suite};
use crate::base::Digest;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The longest file that is checked, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// The most malformed rows that are listed one by one.
const LISTED_BAD_ROWS: usize = 20;

/// What a file of a benchmark set holds.
#[derive(Clone, PartialEq, Debug)]
pub struct SuiteFile {
    /// The number of rows.
    pub rows: usize,
    /// The BLAKE3 digest of the file's bytes, as `b3sum` prints it.
    pub digest: Digest,
    /// The form of the rows.
    pub shape: Shape,
    /// Every field, with the number of rows that have it.
    pub fields: BTreeMap<String, usize>,
    /// The parts that the set is divided into, with their numbers of rows.
    pub parts: BTreeMap<String, usize>,
    /// How the reference programs fared.
    pub references: References,
    /// What is wrong with the set, in the order of the rows.
    pub defects: Vec<Defect>,
}

/// How the reference programs of a set fared in their own tests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum References {
    /// The set has none, or the rows have none.
    None,
    /// They were not run, and why.
    NotRun(String),
    /// They were run.
    Run {
        /// How many passed.
        passed: usize,
        /// How many there are.
        all: usize,
    },
}

/// Something that is wrong with a row although the row can be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Defect {
    /// The line of the row, counted from 1.
    pub line: usize,
    /// The row's id, or its line where rows have none.
    pub id: String,
    /// The digest of the question's normalized text: the name of a question that is not shown.
    pub question: Digest,
    /// What is wrong.
    pub kind: DefectKind,
    /// What is wrong, in words. It holds no words of the row if the set is private.
    pub problem: String,
}

/// What can be wrong with a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DefectKind {
    /// No answer could ever equal the gold answer.
    UnscorableGold,
    /// The gold letter is none of the options.
    NoSuchOption,
    /// An earlier row has the same id.
    DuplicateId,
    /// An earlier row has the same text.
    DuplicateText,
    /// The reference program fails its own tests.
    FailingReference,
}

impl DefectKind {
    /// Returns the name as JSON has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnscorableGold => "unscorable-gold",
            Self::NoSuchOption => "no-such-option",
            Self::DuplicateId => "duplicate-id",
            Self::DuplicateText => "duplicate-text",
            Self::FailingReference => "failing-reference",
        }
    }
}

/// One row of the set.
struct Item {
    line: usize,
    id: String,
    question: Digest,
    gold: String,
    options: Option<usize>,
    reference: Option<String>,
}

/// Checks the file of a set.
///
/// # Errors
/// Returns why it cannot be read, or its malformed rows, at most 20 of them one by one.
pub fn check_suite(file: &Path, suite: Suite) -> Result<SuiteFile, Vec<LoadError>> {
    let bytes = bytes(file).map_err(|reason| vec![LoadError::Unreadable { file: file.to_path_buf(), reason }])?;
    let mut reader = Reader { suite, shape: None, fields: BTreeMap::new(), parts: BTreeMap::new() };
    let (mut items, mut faults, mut more) = (Vec::new(), Vec::new(), 0);
    let mut lines = Lines::new(Cursor::new(&bytes), MAX_LINE_BYTES);
    while let Some((line, text)) = lines.next().expect("reading from memory cannot fail") {
        if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
            continue;
        }
        if items.len() == MAX_ROWS {
            return Err(vec![LoadError::TooManyRows { file: file.to_path_buf(), limit: MAX_ROWS }]);
        }
        if let Some((found, hint)) = text
            .as_ref()
            .ok()
            .filter(|_| items.is_empty() && faults.is_empty())
            .and_then(|text| super::dataset::not_lines(text))
        {
            return Err(vec![LoadError::NotLines { file: file.to_path_buf(), found, hint }]);
        }
        let item = text.map_err(|fault| LoadError::Line { file: file.to_path_buf(), line, fault }).and_then(|text| {
            reader.item(line, &text).map_err(|fault| LoadError::Row { file: file.to_path_buf(), line, fault })
        });
        match item {
            Ok(item) => items.push(item),
            Err(fault) if faults.len() < LISTED_BAD_ROWS => faults.push(fault),
            Err(_) => more += 1,
        }
    }
    if more > 0 {
        faults.push(LoadError::MoreBadRows { file: file.to_path_buf(), more });
    }
    let Some(shape) = reader.shape.filter(|_| faults.is_empty() && !items.is_empty()) else {
        let is_empty = faults.is_empty();
        return Err(if is_empty { vec![LoadError::Empty { file: file.to_path_buf() }] } else { faults });
    };
    let mut defects = defects(suite, &items);
    let references = run_references(&items, &mut defects);
    defects.sort_by_key(|defect| (defect.line, defect.kind));
    let (fields, parts) = (reader.fields, reader.parts);
    Ok(SuiteFile { rows: items.len(), digest: Digest::of(&bytes), shape, fields, parts, references, defects })
}

fn bytes(file: &Path) -> Result<Vec<u8>, String> {
    let facts = std::fs::metadata(file).map_err(|error| super::dataset::reason(&error))?;
    if facts.is_dir() {
        return Err("it is a folder".to_string());
    }
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| super::dataset::reason(&error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!("it has more than {MAX_FILE_BYTES} bytes, the most that are read"));
    }
    Ok(bytes)
}

/// Reads rows, and counts what they have.
struct Reader {
    suite: Suite,
    /// The form of the first row that has one of the set's forms; the others must have it too.
    shape: Option<Shape>,
    fields: BTreeMap<String, usize>,
    parts: BTreeMap<String, usize>,
}

impl Reader {
    fn item(&mut self, line: usize, text: &str) -> Result<Item, RowFault> {
        let row = parse_object(text)?;
        let has_all = |shape: &&Shape| shape.fields().all(|field| find(&row, field).is_ok());
        let shapes = self.suite.shapes();
        // A row of no form is a fault of the published one.
        let shape = self.shape.or_else(|| shapes.iter().find(has_all).copied()).unwrap_or(shapes[0]);
        let is_code = matches!(self.suite.scorer(), Scorer::Code { .. });
        let gold = if is_code { Gold::Tests(shape.gold) } else { Gold::Field(shape.gold) };
        let question: Vec<String> = shape.question.iter().map(ToString::to_string).collect();
        let fields = Fields { id: shape.id, question: &question, answer: Some(gold), name_hint: None, conditions: &[] };
        let read = read(&row, &fields)?;
        self.shape = Some(shape);
        for name in row.as_object().into_iter().flat_map(|row| row.keys()) {
            *self.fields.entry(name.clone()).or_default() += 1;
        }
        if let Some(part) = shape.part {
            let value = find(&row, part).map_or("none".to_string(), ToString::to_string);
            *self.parts.entry(format!("{part} {value}")).or_default() += 1;
        }
        Ok(Item {
            line,
            id: read.id.unwrap_or_else(|| line.to_string()),
            question: Digest::of(normalised(&read.question).as_bytes()),
            gold: read.answer.expect("a row without one is a fault"),
            options: row.get("options").and_then(Value::as_array).map(Vec::len),
            reference: self.suite.reference(&row),
        })
    }
}

impl Item {
    fn defect(&self, kind: DefectKind, problem: String) -> Defect {
        Defect { line: self.line, id: self.id.clone(), question: self.question, kind, problem }
    }
}

/// Returns what is wrong with the rows by themselves.
fn defects(suite: Suite, items: &[Item]) -> Vec<Defect> {
    let scorer = suite.scorer();
    let (mut by_id, mut by_text) = (HashMap::new(), HashMap::new());
    let mut defects = Vec::new();
    for item in items {
        match scorer.gold(&item.gold) {
            Ok(gold) => defects.extend(no_such_option(suite, item, &gold)),
            Err(_) if suite.is_private() => {
                let problem = "the gold answer is none that the scorer can give".to_string();
                defects.push(item.defect(DefectKind::UnscorableGold, problem));
            }
            Err(fault) => defects.push(item.defect(DefectKind::UnscorableGold, fault.to_string())),
        }
        if let Some(first) = by_id.insert(item.id.clone(), item.line) {
            by_id.insert(item.id.clone(), first);
            defects.push(item.defect(DefectKind::DuplicateId, format!("line {first} has the same id")));
        }
        if let Some(first) = by_text.insert(item.question, item.line) {
            by_text.insert(item.question, first);
            let problem = format!("line {first} has the same question {}", item.question.short());
            defects.push(item.defect(DefectKind::DuplicateText, problem));
        }
    }
    defects
}

/// Returns the defect of a gold letter beyond the row's options.
fn no_such_option(suite: Suite, item: &Item, gold: &str) -> Option<Defect> {
    let options = item.options.filter(|_| suite.scorer() == Scorer::Letter)?;
    let at = usize::from(gold.bytes().next()?.checked_sub(b'A')?);
    (at >= options).then(|| {
        let what = if suite.is_private() { "the gold letter".to_string() } else { format!("the gold letter {gold}") };
        item.defect(DefectKind::NoSuchOption, format!("{what} is none of the {options} options"))
    })
}

/// Runs the reference programs in their own tests.
fn run_references(items: &[Item], defects: &mut Vec<Defect>) -> References {
    let with_reference = |item: &'_ Item| Some((item.reference.clone()?, Tests::read(&item.gold).ok()?));
    let programs: Vec<_> = items.iter().filter_map(|item| Some((item, with_reference(item)?))).collect();
    if programs.is_empty() {
        return References::None;
    }
    // As a model's output would have it.
    let outputs: Vec<String> = programs.iter().map(|(_, (code, _))| format!("```python\n{code}\n```")).collect();
    let pairs: Vec<_> = outputs.iter().map(String::as_str).zip(programs.iter().map(|(_, (_, tests))| tests)).collect();
    let scored = match CodeJudge::new(false).and_then(|judge| judge.score_all(&pairs)) {
        Ok(scored) => scored,
        Err(error) => return References::NotRun(error.to_string()),
    };
    let mut passed = 0;
    for ((item, _), scored) in programs.iter().zip(scored) {
        match scored.outcome {
            Outcome::Correct => passed += 1,
            other => {
                let problem = format!("the reference program does not pass its own tests: {}", other.name());
                defects.push(item.defect(DefectKind::FailingReference, problem));
            }
        }
    }
    References::Run { passed, all: programs.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::io::Write;

    #[track_caller]
    fn check(suite: Suite, rows: &str, expected: Expect) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(rows.as_bytes()).unwrap();
        let shown = match check_suite(file.path(), suite) {
            Ok(found) => {
                let of = |defect: &Defect| format!("{}: {}: {}\n", defect.line, defect.kind.name(), defect.problem);
                let defects: String = found.defects.iter().map(of).collect();
                format!("{} rows, {:?}\n{defects}", found.rows, found.references)
            }
            Err(faults) => faults.iter().map(|fault| format!("{fault}\n")).collect(),
        };
        expected.assert_eq(&shown.replace(&file.path().display().to_string(), "FILE"));
    }

    #[test]
    fn sound_sets_have_no_defects() {
        check(
            Suite::Math500,
            "{\"problem\": \"1+1\", \"answer\": \"2\", \"unique_id\": \"a\"}\n\
             {\"problem\": \"x\", \"answer\": \"\\\\frac12\", \"unique_id\": \"b\"}\n",
            expect![[r#"
                2 rows, None
            "#]],
        );
        check(
            Suite::Aqua,
            "{\"question\": \"q\", \"options\": [\"A)1\", \"B)2\"], \"correct\": \"B\"}\n",
            expect![[r#"
                1 rows, None
            "#]],
        );
        check(
            Suite::Aqua,
            "{\"problem\": \"q A)1 B)2\", \"answer\": \"B\"}\n",
            expect![[r#"
                1 rows, None
            "#]],
        );
    }

    #[test]
    fn defects_are_named_by_row() {
        check(
            Suite::Math500,
            "{\"problem\": \"1+1\", \"answer\": \"2\", \"unique_id\": \"a\"}\n\
             {\"problem\": \" 1+1\", \"answer\": \"\\\\foo{\", \"unique_id\": \"a\"}\n",
            expect![[r#"
                2 rows, None
                2: unscorable-gold: the answer "\\foo{" is not an answer that can be read as mathematics
                2: duplicate-id: line 1 has the same id
                2: duplicate-text: line 1 has the same question de6f8edf3df3
            "#]],
        );
        check(
            Suite::Aqua,
            "{\"question\": \"q\", \"options\": [\"A)1\", \"B)2\"], \"correct\": \"C\"}\n\
             {\"question\": \"r\", \"options\": [\"A)1\", \"B)2\"], \"correct\": \"both\"}\n",
            expect![[r#"
                2 rows, None
                1: no-such-option: the gold letter C is none of the 2 options
                2: unscorable-gold: the answer "both" is not a letter from A to J
            "#]],
        );
    }

    #[test]
    fn private_rows_leave_no_words() {
        check(
            Suite::GpqaDiamond,
            "{\"question\": \"secret\", \"answer\": \"A\"}\n{\"question\": \"Secret\", \"answer\": \"hidden\"}\n",
            expect![[r#"
                2 rows, None
                2: unscorable-gold: the gold answer is none that the scorer can give
                2: duplicate-text: line 1 has the same question 5fbf08af2b11
            "#]],
        );
    }

    #[test]
    fn malformed_rows_are_named_by_line() {
        check(
            Suite::Mbpp,
            "{\"task_id\": 1, \"prompt\": \"p\", \"test_list\": [\"assert f(1)\"]}\n\
             {\"task_id\": 2, \"prompt\": \"p\", \"test_list\": []}\n\
             {\"task_id\": 3, \"prompt\": \"p\"}\n\
             {\"task_id\": 4,\n\
             {\"task_id\": 5, \"prompt\": 7, \"test_list\": [1]}\n",
            expect![[r#"
                FILE:2: the field `test_list` is empty
                FILE:3: the row has no field `test_list`; it has `task_id`, `prompt`
                FILE:4: not JSON: EOF while parsing a value (column 14)
                FILE:5: the field `test_list` is a list; text or a list of texts is needed
            "#]],
        );
        check(
            Suite::Mbpp,
            "\n",
            expect![[r#"
            FILE has no rows
        "#]],
        );
        check(
            Suite::Mbpp,
            "[{\"task_id\": 1}]",
            expect![[r#"
            FILE holds one JSON array; a JSONL file has one object a line: convert it, e.g. with `jq -c '.[]'`
        "#]],
        );
    }

    #[test]
    fn references_are_run_in_their_own_tests() {
        check(
            Suite::Mbpp,
            "{\"task_id\": 1, \"prompt\": \"p\", \"code\": \"def f(x): return x\", \
              \"test_list\": [\"assert f(1) == 1\"]}\n\
             {\"task_id\": 2, \"prompt\": \"r\", \"code\": \"def f(x): return 0\", \
              \"test_list\": [\"assert f(1) == 1\"]}\n",
            expect![[r#"
                2 rows, Run { passed: 1, all: 2 }
                2: failing-reference: the reference program does not pass its own tests: wrong
            "#]],
        );
        check(
            Suite::HumanevalEt,
            "{\"task_id\": \"h/0\", \"prompt\": \"def f(x):\\n\", \"canonical_solution\": \"    return x\\n\", \
             \"entry_point\": \"f\", \"test_case_list\": [\"assert f(1) == 1\"]}\n",
            expect![[r#"
                1 rows, Run { passed: 1, all: 1 }
            "#]],
        );
    }
}
