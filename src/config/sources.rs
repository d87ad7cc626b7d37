//! The files of an experiment: the experiment file, and those that it extends, read and merged into
//! one tree whose nodes remember which file they come from.

use super::error::{ConfigError, Excerpt, Place};
use super::load::reason;
use super::tree::{Entry, Mark, Node, Table, Value};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use toml::de::DeTable;

/// The format version that this program reads.
const SCHEMA: i64 = 1;
/// Longest experiment file in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// The most files that one experiment is read from; a file that is extended twice counts twice.
const MAX_FILES: usize = 64;
/// The key that names what a file extends.
const EXTENDS: &str = "extends";

/// The files, numbered as in [`Mark::Bytes`].
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    /// The path by which it can be opened.
    path: PathBuf,
    /// Its folder, relative to that of the experiment file; absolute where `extends` is.
    folder: PathBuf,
    text: String,
}

impl Sources {
    /// Reads the experiment file at `path` and all that it extends, and merges them.
    ///
    /// # Errors
    /// The first file that cannot be read, is no TOML, or is of another schema version; a circle of
    /// files that extend each other.
    pub(super) fn read(path: &Path) -> Result<(Self, Node), ConfigError> {
        let mut sources = Self::default();
        let table = sources.file_table(path, Path::new(""), &mut Vec::new(), None)?;
        Ok((sources, Node { mark: Mark::bytes(0, 0..0), value: Value::Table(table) }))
    }

    /// Returns the path of the experiment file.
    pub(super) fn file(&self) -> &Path {
        &self.0[0].path
    }

    /// Returns the number of the file at `path`; of one that is extended twice, the first.
    pub(super) fn number(&self, path: &Path) -> usize {
        self.0.iter().position(|source| source.path == path).unwrap_or(usize::MAX)
    }

    /// Returns where a path in the file is that is relative to it.
    pub(super) fn beside(&self, file: usize, path: &str) -> PathBuf {
        let path = self.0[file].path.parent().unwrap_or(Path::new("")).join(path);
        // Those of the experiment file are named as it has them.
        if file == 0 { path } else { shortened(&path, Path::new("")) }
    }

    /// Returns the same path relative to the folder of the experiment file.
    pub(super) fn path_from_first(&self, file: usize, path: &str) -> PathBuf {
        let first = self.file().parent().unwrap_or(Path::new(""));
        shortened(&self.0[file].folder.join(path), first)
    }

    /// Returns the place of the bytes `key` of a file. Its excerpt marks `value`, if that begins on
    /// the same line.
    pub(super) fn place(&self, file: usize, key: Range<usize>, value: Mark) -> Place {
        let Source { path, text, .. } = &self.0[file];
        let excerpt = match value {
            Mark::Bytes { file: of, start, end } if of == file => Excerpt::new(text, key.start, start..end),
            _ => None,
        };
        let line = line_column(text, key.start).0;
        Place::Line { file: path.clone(), line, excerpt: excerpt.or_else(|| Excerpt::new(text, key.start, key)) }
    }

    /// Reads the file at `path` with what it extends. `open` has the files that are being read,
    /// from the experiment file to the one that asks for this one at `asked`.
    fn file_table(
        &mut self,
        path: &Path,
        folder: &Path,
        open: &mut Vec<(PathBuf, PathBuf)>,
        asked: Option<&Place>,
    ) -> Result<Table, ConfigError> {
        let refused = |problem: String| match asked {
            Some(place) => ConfigError::BadValue { place: place.clone(), key: EXTENDS.to_string(), problem },
            None => ConfigError::Unreadable { file: path.to_path_buf(), reason: problem },
        };
        let named = |problem: String| if asked.is_some() { format!("{}: {problem}", path.display()) } else { problem };
        let text = read(path).map_err(|problem| {
            let cannot = if asked.is_some() { "cannot be read: " } else { "" };
            refused(format!("{cannot}{}", named(problem)))
        })?;
        // Two names of one file are the same file.
        let identity = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        if let Some(at) = open.iter().position(|(_, other)| *other == identity) {
            let circle: Vec<_> = open[at..].iter().map(|(path, _)| path.display().to_string()).collect();
            let problem = format!("goes in a circle: {} -> {}", circle.join(" -> "), path.display());
            return Err(refused(problem));
        }
        if self.0.len() == MAX_FILES {
            return Err(refused(format!("leads to more than {MAX_FILES} files, the most that are read")));
        }
        let number = self.0.len();
        self.0.push(Source { path: path.to_path_buf(), folder: folder.to_path_buf(), text });
        let Source { text, .. } = &self.0[number];
        // Only the first syntax error is reported: the reader's recovery makes up others.
        let document = DeTable::parse(text).map_err(|error| syntax(path, text, &error))?;
        let Value::Table(mut own) = Node::document(&document, number).value else { unreachable!("it is a table") };
        self.check_schema(number, &own)?;
        let mut table = Table::default();
        if let Some(entry) = own.take(EXTENDS) {
            open.push((path.to_path_buf(), identity));
            for (mark, name) in self.names(&entry)? {
                let asked = self.place_of(&entry, mark);
                let (path, folder) = (self.beside(number, &name), self.path_from_first(number, &name));
                let folder = folder.parent().unwrap_or(Path::new(""));
                table.merge(self.file_table(&path, folder, open, Some(&asked))?, &[]);
            }
            open.pop();
        }
        table.merge(own, &[]);
        Ok(table)
    }

    /// Returns the files that `extends` names, one text or a list of texts.
    fn names(&self, entry: &Entry) -> Result<Vec<(Mark, String)>, ConfigError> {
        let wrong = |mark: Mark, problem: String| {
            Err(ConfigError::BadValue { place: self.place_of(entry, mark), key: EXTENDS.to_string(), problem })
        };
        let name = |node: &Node| match &node.value {
            Value::Text(name) if name.trim().is_empty() => wrong(node.mark, "is empty".to_string()),
            Value::Text(name) => Ok((node.mark, name.clone())),
            other => wrong(node.mark, format!("is {}; the path of an experiment file is needed", other.describe())),
        };
        match &entry.node.value {
            Value::List(items) => items.iter().map(name).collect(),
            _ => Ok(vec![name(&entry.node)?]),
        }
    }

    /// Returns the place of `extends`, or of one of the items of its list.
    fn place_of(&self, entry: &Entry, value: Mark) -> Place {
        let is_list = matches!(entry.node.value, Value::List(_));
        match if is_list { value } else { entry.mark } {
            Mark::Bytes { file, start, end } => self.place(file, start..end, value),
            Mark::Flag(_) => unreachable!("flags come later"),
        }
    }

    /// Refuses a file of another schema version. That of the experiment may be in a file that it
    /// extends.
    fn check_schema(&self, number: usize, table: &Table) -> Result<(), ConfigError> {
        let Some(entry) = table.get("schema") else { return Ok(()) };
        let Some(found) = alien_schema(&entry.node.value) else { return Ok(()) };
        let Mark::Bytes { start, end, .. } = entry.mark else { unreachable!("flags come later") };
        Err(ConfigError::Schema { place: self.place(number, start..end, entry.node.mark), found })
    }
}

/// Returns the path without `NAME/..`, unless `NAME` is a link in `folder`, whose parent is
/// elsewhere.
fn shortened(path: &Path, folder: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for component in path.components() {
        let is_plain = || {
            let last = short.components().next_back();
            matches!(last, Some(Component::Normal(_))) && !folder.join(&short).is_symlink()
        };
        match component {
            Component::CurDir => {}
            Component::ParentDir if is_plain() => {
                short.pop();
            }
            other => short.push(other),
        }
    }
    short
}

/// Returns the line and the column of a byte, both counted from 1; columns are characters.
fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Returns what a schema version is that this program does not read.
pub(super) fn alien_schema(value: &Value) -> Option<String> {
    match value {
        Value::Integer(SCHEMA) => None,
        Value::Integer(number) => Some(number.to_string()),
        other => Some(other.describe()),
    }
}

/// Reads the text of a file.
fn read(path: &Path) -> Result<String, String> {
    let facts = std::fs::metadata(path).map_err(|error| reason(&error))?;
    if facts.is_dir() {
        return Err("it is a folder; an experiment file is needed".into());
    }
    if facts.len() > MAX_FILE_BYTES {
        return Err(format!("it has {} bytes; at most {MAX_FILE_BYTES} are read", facts.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| reason(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8")
    })
}

fn syntax(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or(0..0);
    let (line, column) = line_column(text, span.start);
    let problem = error.message().replace('\n', ", ");
    // What is missing at the end of a line is marked at its last character.
    let marked = span.start..span.end.max(span.start + 1);
    let excerpt = Excerpt::new(text, span.start, marked)
        .or_else(|| Excerpt::new(text, span.start, span.start.checked_sub(1)?..span.start));
    ConfigError::Syntax { file: file.to_path_buf(), line, column, problem, excerpt }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shortened() {
        let short = |path: &str| shortened(Path::new(path), Path::new("/nowhere")).display().to_string();
        assert_eq!(short("base/../data/x.jsonl"), "data/x.jsonl");
        assert_eq!(short("../a/./b/../../x"), "../x");
        assert_eq!(short("/a/../x"), "/x");
    }
}
