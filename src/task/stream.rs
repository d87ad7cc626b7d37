//! Reads queries one after the other, from a file or a pipe of any length. One line is kept in
//! memory at a time. Ids may repeat, because remembering them all would take memory for every row.

use super::dataset::{Query, not_lines, reason};
use super::error::LoadError;
use super::lines::{Lines, MAX_LINE_BYTES};
use super::row::{Fields, Row, parse_object, read};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::BufRead;
use std::path::PathBuf;

/// The field that a row's id is in where nothing says otherwise.
const OWN_ID: &str = "id";

/// The fields of a row that make a query.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RowFields {
    /// The field that holds a row's id. Without one, the id is that in the row's field `id`, or
    /// else the line number.
    pub id: Option<String>,
    /// The fields whose texts, joined by line breaks, form the question.
    pub question: Vec<String>,
    /// The field with the tests that show what a program's function has to be called.
    pub name_hint: Option<String>,
}

impl Default for RowFields {
    fn default() -> Self {
        Self { id: None, question: vec!["question".to_string()], name_hint: None }
    }
}

/// The queries of a JSONL stream, in order. Blank lines are passed over.
pub struct Queries<R> {
    lines: Lines<R>,
    file: PathBuf,
    fields: RowFields,
    /// Whether a row was seen, and whether reading has failed for good.
    begun: bool,
    ended: bool,
}

impl<R: BufRead> Queries<R> {
    /// The queries in `reader`; `file` is its name in faults.
    pub fn new(reader: R, file: PathBuf, fields: RowFields) -> Self {
        Self { lines: Lines::new(reader, MAX_LINE_BYTES), file, fields, begun: false, ended: false }
    }

    fn query(&self, line: usize, text: &str) -> Result<Query, LoadError> {
        let RowFields { id, question, name_hint } = &self.fields;
        let fields =
            Fields { id: id.as_deref(), question, answer: None, name_hint: name_hint.as_deref(), conditions: &[] };
        let query = |text: &str| {
            let row = parse_object(text)?;
            let own = || match row.get(OWN_ID)? {
                Value::String(id) if !id.trim().is_empty() => Some(id.clone()),
                Value::Number(id) => Some(id.to_string()),
                _ => None,
            };
            let Row { id, question, .. } = read(&row, &fields)?;
            Ok(Query { id: id.or_else(own).unwrap_or_else(|| line.to_string()), question, line })
        };
        query(text).map_err(|fault| LoadError::Row { file: self.file.clone(), line, fault })
    }
}

impl<R: BufRead> Iterator for Queries<R> {
    type Item = Result<Query, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let (line, text) = match self.lines.next() {
                Ok(next) => next?,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(LoadError::Unreadable { file: self.file.clone(), reason: reason(&error) }));
                }
            };
            match text {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    let first = !std::mem::replace(&mut self.begun, true);
                    if let Some((found, hint)) = first.then(|| not_lines(&text)).flatten() {
                        self.ended = true;
                        return Some(Err(LoadError::NotLines { file: self.file.clone(), found, hint }));
                    }
                    return Some(self.query(line, &text));
                }
                Err(fault) => return Some(Err(LoadError::Line { file: self.file.clone(), line, fault })),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, fields: RowFields) -> Vec<String> {
        let show = |query: Result<Query, LoadError>| match query {
            Ok(query) => format!("{} {} {}", query.line, query.id, query.question),
            Err(error) => error.to_string(),
        };
        Queries::new(text.as_bytes(), "F".into(), fields).map(show).collect()
    }

    #[test]
    fn rows_are_read_one_by_one_and_a_bad_one_does_not_end_the_stream() {
        let text = "{\"question\": \"one\"}\n\n[1]\n{\"question\": \"two\", \"k\": 7}\n";
        let bad = "F:3: the row is a list, not an object with fields; a JSONL file has one object a line";
        assert_eq!(read(text, RowFields::default()), ["1 1 one", bad, "4 4 two"]);
        let by_key = RowFields { id: Some("k".into()), ..RowFields::default() };
        assert_eq!(read("{\"question\": \"two\", \"k\": 7}", by_key), ["1 7 two"]);
        let own = "{\"question\": \"one\", \"id\": \"a\"}\n{\"question\": \"two\", \"id\": null}";
        assert_eq!(read(own, RowFields::default()), ["1 a one", "2 2 two"]);
    }

    #[test]
    fn what_is_no_jsonl_ends_at_once() {
        let found = read("[{\"question\": \"one\"},\n{\"question\": \"two\"}]", RowFields::default());
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("one JSON array"), "{found:?}");
    }
}
