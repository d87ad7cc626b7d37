//! Writes an experiment as one TOML file: the tree that its files were merged into, with paths that
//! are right beside the experiment file.

use super::sources::Sources;
use super::tree::{Entry, Mark, Node, Table, Value};
use crate::engine::ModelSource;
use crate::templates::BuiltIn;
use std::fmt::Write;
use std::path::PathBuf;

/// Returns the file's text.
pub(super) fn text(tree: &Node, sources: &Sources) -> String {
    let Value::Table(table) = &tree.value else { unreachable!("a document is a table") };
    let mut writer = Writer { sources, text: String::new() };
    // Without a name the experiment has that of its file, and this is another file.
    if table.get("name").is_none()
        && let Some(stem) = sources.file().file_stem()
    {
        writer.line(&format!("name = {}", quoted(&stem.to_string_lossy())));
    }
    writer.table(table, &mut Vec::new());
    writer.text
}

struct Writer<'a> {
    sources: &'a Sources,
    text: String,
}

impl Writer<'_> {
    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("writing to a text cannot fail");
    }

    /// Writes a table: first the keys with values, and then the tables in it, which have headers.
    fn table<'a>(&mut self, table: &'a Table, path: &mut Vec<&'a str>) {
        let (tables, values): (Vec<&Entry>, Vec<&Entry>) = table.0.iter().partition(|entry| has_header(&entry.node));
        for Entry { key, node, .. } in values {
            path.push(key);
            let value = self.value(node, path);
            path.pop();
            self.line(&format!("{} = {value}", bare_or_quoted(key)));
        }
        for Entry { key, node, .. } in tables {
            path.push(key);
            let header = path.iter().map(|key| bare_or_quoted(key)).collect::<Vec<_>>().join(".");
            match &node.value {
                Value::Table(inner) => {
                    // A table of tables only needs no header of its own.
                    if inner.0.is_empty() || inner.0.iter().any(|entry| !has_header(&entry.node)) {
                        self.line(&format!("\n[{header}]"));
                    }
                    self.table(inner, path);
                }
                Value::List(items) => {
                    for item in items {
                        self.line(&format!("\n[[{header}]]"));
                        let Value::Table(inner) = &item.value else { unreachable!("it has a header") };
                        self.table(inner, path);
                    }
                }
                _ => unreachable!("it has a header"),
            }
            path.pop();
        }
    }

    /// Returns a value on one line, or a text that has several lines on several.
    fn value<'a>(&self, node: &'a Node, path: &mut Vec<&'a str>) -> String {
        match &node.value {
            Value::Text(text) => self.text_value(text, node.mark, path),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Truth(truth) => truth.to_string(),
            Value::Odd(what) => quoted(what),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.value(item, path)).collect();
                format!("[{}]", items.join(", "))
            }
            Value::Table(table) => {
                let mut entries = Vec::new();
                for Entry { key, node, .. } in &table.0 {
                    path.push(key);
                    entries.push(format!("{} = {}", bare_or_quoted(key), self.value(node, path)));
                    path.pop();
                }
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }

    fn text_value(&self, text: &str, mark: Mark, path: &[&str]) -> String {
        if is_path(path, text) {
            return quoted(&self.beside_first(text, mark).to_string_lossy());
        }
        if text.contains('\n') { several_lines(text) } else { quoted(text) }
    }

    /// Returns a path of one of the files, or of a flag, as it is beside the experiment file.
    fn beside_first(&self, path: &str, mark: Mark) -> PathBuf {
        match mark {
            // Without a working directory there is nothing that the path could be relative to.
            Mark::Flag(_) => std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)),
            Mark::Bytes { file: 0, .. } => PathBuf::from(path),
            Mark::Bytes { file, .. } => self.sources.path_from_first(file, path),
        }
    }
}

/// Whether the text at `path` names a file or a folder.
fn is_path(path: &[&str], text: &str) -> bool {
    match path {
        ["model", "path"] | ["model", _, "path"] => !matches!(ModelSource::parse(text), Ok(ModelSource::Embedded(_))),
        ["data", _, "file"] | ["agent", "prompt", "file"] => true,
        ["templates", "set"] => BuiltIn::ALL.iter().all(|set| set.name != text),
        _ => false,
    }
}

/// Whether a value is written below a header of its own.
fn has_header(node: &Node) -> bool {
    match &node.value {
        Value::Table(_) => true,
        Value::List(items) => !items.is_empty() && items.iter().all(|item| matches!(item.value, Value::Table(_))),
        _ => false,
    }
}

fn bare_or_quoted(key: &str) -> String {
    let is_bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if is_bare { key.to_string() } else { quoted(key) }
}

/// Returns the text as TOML writes it on one line.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => push_escaped(&mut out, other),
        }
    }
    out.push('"');
    out
}

/// Returns the text as TOML writes it on several lines.
fn several_lines(text: &str) -> String {
    let mut out = String::from("\"\"\"\n");
    for c in text.chars() {
        match c {
            // Three of them would end the text.
            '"' if out.ends_with('"') => out.push_str("\\\""),
            '\n' => out.push('\n'),
            other => push_escaped(&mut out, other),
        }
    }
    out.push_str("\"\"\"");
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push('\t'),
        c if c.is_control() => write!(out, "\\u{:04X}", u32::from(c)).expect("writing to a text cannot fail"),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn every_text_is_read_back(text in "[\"\\\\ntr\n\r\t\u{0}\u{7f}\u{85}aü ]{0,12}") {
            for written in [quoted(&text), several_lines(&text)] {
                let value: toml::Table = toml::from_str(&format!("x = {written}\n")).expect("TOML");
                proptest::prop_assert_eq!(value["x"].as_str(), Some(text.as_str()));
            }
        }
    }
}
