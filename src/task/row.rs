//! Parses one row of a data file: JSON text in, the requested fields out.

use super::code::Tests;
use super::compare::spaced;
use super::condition::Condition;
use serde_json::Value;
use std::sync::Arc;

/// The deepest nesting of a row, which is the JSON parser's own limit.
const MAX_DEPTH: usize = 128;

/// The fields of a row to read. A name may be a dotted path into nested objects; a key that itself
/// contains dots wins.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fields<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) question: &'a [String],
    pub(super) answer: Option<Gold<'a>>,
    /// The field with the tests that show what a program's function has to be called. The question
    /// then says so; nothing else of them is read.
    pub(super) name_hint: Option<&'a str>,
    /// What a row must be to be taken.
    pub(super) conditions: &'a [Condition],
}

/// Where the gold answer of a row is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gold<'a> {
    /// A field with a text or a number.
    Field(&'a str),
    /// A field with the tests of a program, one text or a list. The fields `test_imports` (or
    /// `imports`) and `entry_point` belong to them.
    Tests(&'a str),
}

/// The fields of one row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) id: Option<String>,
    pub(super) question: Arc<str>,
    pub(super) answer: Option<String>,
}

/// Why a row cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RowFault {
    /// It is not JSON.
    #[error("not JSON: {problem} (column {column})")]
    Json {
        /// The message of the JSON parser.
        problem: String,
        /// The column, counted from 1.
        column: usize,
    },
    /// It is nested too deeply.
    #[error("the row is nested more than {limit} levels deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// It is not an object.
    #[error("the row is {found}, not an object with fields; a JSONL file has one object a line")]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// A field is missing.
    #[error("the row has no field `{field}`; it has {present}")]
    MissingField {
        /// The field's name.
        field: String,
        /// The fields that the row has.
        present: String,
    },
    /// A field has an unusable type.
    #[error("the field `{field}` is {found}; {wanted} is needed")]
    WrongType {
        /// The field's name.
        field: String,
        /// What it is instead.
        found: &'static str,
        /// The types that can be used.
        wanted: &'static str,
    },
    /// A field has no text.
    #[error("the field `{field}` is empty")]
    EmptyField {
        /// The field's name.
        field: String,
    },
    /// The gold answer, which is not to be printed, is one that the scorer can never give.
    #[error("the answer is none that the scorer can give (the data is private, so it is not shown)")]
    BadPrivateAnswer,
    /// The gold answer is one that the scorer can never give.
    #[error("the answer {answer:?} is {problem}")]
    BadAnswer {
        /// The gold answer.
        answer: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// Parses one row as an object.
pub(super) fn parse_object(line: &str) -> Result<Value, RowFault> {
    let row: Value = serde_json::from_str(line).map_err(|error| json_fault(&error))?;
    if row.is_object() { Ok(row) } else { Err(RowFault::NotAnObject { found: kind(&row) }) }
}

/// Parses one row; `None` if it does not fulfil the conditions.
pub(super) fn parse(line: &str, fields: &Fields<'_>) -> Result<Option<Row>, RowFault> {
    let row = parse_object(line)?;
    if fields.conditions.iter().any(|condition| !condition.holds(&row)) {
        return Ok(None);
    }
    read(&row, fields).map(Some)
}

/// Reads the fields of a row.
pub(super) fn read(row: &Value, fields: &Fields<'_>) -> Result<Row, RowFault> {
    let id = fields.id.map(|field| scalar(row, field, "text or a number")).transpose()?;
    let mut question = Vec::new();
    for field in fields.question {
        question.push(text(row, field)?);
    }
    let mut question = question.join("\n");
    if spaced(&question).is_empty() {
        return Err(RowFault::EmptyField { field: fields.question.join("`, `") });
    }
    if let Some(field) = fields.name_hint
        && let Some(hint) = tests(row, field)?.hint()
    {
        question = format!("{question}\n{hint}");
    }
    let gold = |gold| match gold {
        Gold::Field(field) => scalar(row, field, "text or a number"),
        Gold::Tests(field) => Ok(serde_json::to_string(&tests(row, field)?).expect("tests are plain data")),
    };
    let answer = fields.answer.map(gold).transpose()?;
    Ok(Row { id, question: question.into(), answer })
}

fn json_fault(error: &serde_json::Error) -> RowFault {
    let text = error.to_string();
    if text.starts_with("recursion limit") {
        return RowFault::TooDeep { limit: MAX_DEPTH };
    }
    let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem).to_string();
    RowFault::Json { problem, column: error.column() }
}

/// Returns the field, which may be a dotted path.
pub(super) fn find<'a>(row: &'a Value, field: &str) -> Result<&'a Value, RowFault> {
    let found = row.get(field).or_else(|| field.split('.').try_fold(row, |value, key| value.get(key)));
    found.ok_or_else(|| {
        let names: Vec<_> = row.as_object().into_iter().flat_map(|map| map.keys()).take(12).collect();
        let present = match names.as_slice() {
            [] => "none".to_string(),
            _ => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        RowFault::MissingField { field: field.to_string(), present }
    })
}

/// Returns the tests in `field` with what belongs to them.
fn tests(row: &Value, field: &str) -> Result<Tests, RowFault> {
    const WANTED: &str = "text or a list of texts";
    let list = |field: &str, value: &Value| match value {
        Value::String(text) => Ok(vec![text.clone()]),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            Ok(items.iter().filter_map(Value::as_str).map(str::to_string).collect())
        }
        _ => Err(RowFault::WrongType { field: field.to_string(), found: kind(value), wanted: WANTED }),
    };
    let given = |names: &[&'static str]| {
        names.iter().find_map(|name| row.get(name).filter(|value| !value.is_null()).map(|value| (*name, value)))
    };
    let tests = list(field, find(row, field)?)?;
    if tests.iter().all(|test| test.trim().is_empty()) {
        return Err(RowFault::EmptyField { field: field.to_string() });
    }
    let imports = given(&["test_imports", "imports"]).map_or(Ok(Vec::new()), |(name, value)| list(name, value))?;
    let entry_point = given(&["entry_point"]).map(|_| scalar(row, "entry_point", "text")).transpose()?;
    Ok(Tests { tests, imports, entry_point })
}

fn scalar(row: &Value, field: &str, wanted: &'static str) -> Result<String, RowFault> {
    let value = find(row, field)?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return Err(RowFault::WrongType { field: field.to_string(), found: kind(value), wanted }),
    };
    if spaced(&text).is_empty() {
        return Err(RowFault::EmptyField { field: field.to_string() });
    }
    Ok(text)
}

/// Returns text, a number, or a list of those (answer options, say), one per line.
fn text(row: &Value, field: &str) -> Result<String, RowFault> {
    const WANTED: &str = "text or a list of texts";
    let value = find(row, field)?;
    let wrong = |value: &Value| RowFault::WrongType { field: field.to_string(), found: kind(value), wanted: WANTED };
    let item = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(wrong(value)),
    };
    match value {
        Value::Array(items) => Ok(items.iter().map(item).collect::<Result<Vec<_>, _>>()?.join("\n")),
        _ => item(value),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Result<(Option<&str>, &str, Option<&str>), &str>) {
        let question = ["q".to_string(), "meta.options".to_string()];
        let got = parse(
            line,
            &Fields {
                id: Some("meta.id"),
                question: &question,
                answer: Some(Gold::Field("gold")),
                name_hint: None,
                conditions: &[],
            },
        );
        let got = got.map(|row| row.expect("no condition")).map_err(|fault| fault.to_string());
        let got = got.as_ref().map(|row| (row.id.as_deref(), &*row.question, row.answer.as_deref()));
        assert_eq!(got.map_err(String::as_str), expected, "{line}");
    }

    #[test]
    fn fields_are_found_and_joined() {
        check(
            r#"{"q": "why?", "meta": {"id": 7, "options": ["A)x", "B)y"]}, "gold": "B"}"#,
            Ok((Some("7"), "why?\nA)x\nB)y", Some("B"))),
        );
        check(
            r#"{"q": "a", "meta.id": "k", "meta": {"id": "l", "options": 3}, "gold": 4.5}"#,
            Ok((Some("k"), "a\n3", Some("4.5"))),
        );
    }

    #[test]
    fn every_fault_of_a_row_is_reported() {
        check(r#"{"q": "a""#, Err("not JSON: EOF while parsing an object (column 9)"));
        check(r#"["q"]"#, Err("the row is a list, not an object with fields; a JSONL file has one object a line"));
        check(r#"{"q": "a", "gold": "A"}"#, Err("the row has no field `meta.id`; it has `q`, `gold`"));
        check("{}", Err("the row has no field `meta.id`; it has none"));
        check(r#"{"q": {}, "meta": {"id": 1}}"#, Err("the field `q` is an object; text or a list of texts is needed"));
        check(r#"{"q": " ", "meta": {"id": 1, "options": []}}"#, Err("the field `q`, `meta.options` is empty"));
        check(
            r#"{"q": "a", "meta": {"id": 1, "options": []}, "gold": []}"#,
            Err("the field `gold` is a list; text or a number is needed"),
        );
        check(r#"{"q": null, "meta": {"id": 1}}"#, Err("the field `q` is null; text or a list of texts is needed"));
        check(
            r#"{"q": "a", "meta": {"id": 1, "options": null}}"#,
            Err("the field `meta.options` is null; text or a list of texts is needed"),
        );
        check(
            r#"{"q": "a", "meta": {"id": 1, "options": []}, "gold": null}"#,
            Err("the field `gold` is null; text or a number is needed"),
        );
        check(r#"{"q": "a", "meta": null}"#, Err("the row has no field `meta.id`; it has `q`, `meta`"));
        check(
            "{\"q\": \"\u{200b} \", \"meta\": {\"id\": 1, \"options\": []}}",
            Err("the field `q`, `meta.options` is empty"),
        );
        let deep = format!("{{\"q\": {}1{}}}", "[".repeat(200), "]".repeat(200));
        check(&deep, Err("the row is nested more than 128 levels deep"));
    }
}
