//! A typed reader of one table: it collects faults instead of stopping at the first, and in the end names the keys that
//! nobody asked for.

use super::error::{ConfigError, Place};
use super::fields::field_names;
use super::tree::{Entry, Mark, Node, Table, Value};
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The faults found so far, and what is needed to place them.
pub(super) struct Faults<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
    pub(super) flags: &'a [String],
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str, flags: &'a [String]) -> Self {
        Self { file, text, flags, errors: RefCell::default() }
    }

    pub(super) fn push(&self, error: ConfigError) {
        self.errors.borrow_mut().push(error);
    }

    pub(super) fn extend(&self, errors: impl IntoIterator<Item = ConfigError>) {
        self.errors.borrow_mut().extend(errors);
    }

    pub(super) fn count(&self) -> usize {
        self.errors.borrow().len()
    }

    /// All faults, in the order of the file, then those of flags and of other files.
    pub(super) fn into_sorted(self) -> Vec<ConfigError> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| match error.place() {
            Some(Place::Line { line, .. }) => *line,
            _ => usize::MAX,
        });
        errors
    }

    pub(super) fn place(&self, mark: Mark) -> Place {
        match mark {
            Mark::Byte(at) => Place::Line { file: self.file.to_path_buf(), line: line_column(self.text, at).0 },
            Mark::Flag(number) => Place::Flag(self.flags[number].clone()),
        }
    }
}

/// Line and column, both counted from 1; columns in characters.
pub(super) fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// One table being read.
pub(super) struct Section<'a> {
    /// The dotted path; empty at the top.
    pub(super) path: String,
    pub(super) mark: Mark,
    table: &'a Table,
    pub(super) faults: &'a Faults<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The document itself.
    pub(super) fn root(table: &'a Table, faults: &'a Faults<'a>) -> Self {
        Self { path: String::new(), mark: Mark::Byte(0), table, faults, asked: RefCell::default() }
    }

    /// The entry, which is thereby known.
    pub(super) fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// The value of `key`; `None` when it is not there, or wrong, which is then a fault.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        let entry = self.entry(key)?;
        self.convert(key, &entry.node)
    }

    /// The same for a key that must be there.
    pub(super) fn require<T: DeserializeOwned>(&self, key: &'static str, hint: &str) -> Option<T> {
        if self.entry(key).is_none() {
            self.missing(key, hint);
        }
        self.get(key)
    }

    /// A non-empty text that must be there.
    pub(super) fn require_text(&self, key: &'static str, hint: &str) -> Option<String> {
        let text: String = self.require(key, hint)?;
        if text.trim().is_empty() {
            self.fault(key, "is empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn convert<T: DeserializeOwned>(&self, key: &str, node: &Node) -> Option<T> {
        match node
            .value
            .json()
            .ok_or_else(String::new)
            .and_then(|v| serde_json::from_value(v).map_err(|e| e.to_string()))
        {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault_at(node.mark, key, &problem(&message, &node.value));
                None
            }
        }
    }

    /// A path; in the file it is relative to the file, in a flag to the working directory (as shells complete it).
    pub(super) fn resolve(&self, key: &'static str, path: &str) -> PathBuf {
        match self.table.get(key).map(|entry| entry.node.mark) {
            Some(Mark::Flag(_)) => PathBuf::from(path),
            _ => self.faults.file.parent().unwrap_or(Path::new("")).join(path),
        }
    }

    /// The table at `key`.
    pub(super) fn section(&self, key: &'static str) -> Option<Self> {
        let entry = self.entry(key)?;
        self.open(self.full(key), &entry.node, entry.mark)
    }

    /// The tables of the list at `key`, each with its `name`, or else its position counted from 1, in the path.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Self> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Value::List(items) = &entry.node.value else {
            self.fault(key, &format!("is {}; a list of tables is needed: [[{key}]]", entry.node.value.describe()));
            return Vec::new();
        };
        let open = |(at, node): (usize, &'a Node)| {
            let name = node.name().map_or_else(|| (at + 1).to_string(), str::to_string);
            self.open(format!("{}.{name}", self.full(key)), node, node.mark)
        };
        items.iter().enumerate().filter_map(open).collect()
    }

    fn open(&self, path: String, node: &'a Node, mark: Mark) -> Option<Self> {
        match &node.value {
            Value::Table(table) => Some(Self { path, mark, table, faults: self.faults, asked: RefCell::default() }),
            other => {
                let problem = format!("is {}; a table is needed", other.describe());
                self.faults.push(ConfigError::BadValue { place: self.faults.place(mark), key: path, problem });
                None
            }
        }
    }

    /// The whole table as the options struct `T`: every wrong or unknown key is a fault of its own, and right ones are taken.
    pub(super) fn options<T: DeserializeOwned + Default>(&self) -> T {
        let mut taken = serde_json::Map::new();
        for name in field_names::<T>() {
            let Some(entry) = self.entry(name) else { continue };
            let Some(value) = entry.node.value.json() else {
                self.fault(name, &problem("", &entry.node.value));
                continue;
            };
            let alone = serde_json::Map::from_iter([((*name).to_string(), value.clone())]);
            match serde_json::from_value::<T>(alone.into()) {
                Ok(_) => drop(taken.insert((*name).to_string(), value)),
                Err(error) => self.fault(name, &problem(&error.to_string(), &entry.node.value)),
            }
        }
        self.finish();
        serde_json::from_value(taken.into()).unwrap_or_default()
    }

    /// Names every key that nobody asked for. To be called after all reading.
    pub(super) fn finish(&self) {
        let mut known = self.asked.borrow().clone();
        known.sort_unstable();
        known.dedup();
        for entry in self.table.0.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let place = self.faults.place(entry.mark);
            let hint = hint(&entry.key, known.iter().copied());
            self.faults.push(ConfigError::UnknownKey { place, key: self.full(&entry.key), hint });
        }
    }

    /// A fault of the value of `key`, placed at the key, or at the section when the key is not there.
    pub(super) fn fault(&self, key: &str, problem: &str) {
        let mark = self.table.get(key).map_or(self.mark, |entry| entry.mark);
        self.fault_at(mark, key, problem);
    }

    fn fault_at(&self, mark: Mark, key: &str, problem: &str) {
        let place = self.faults.place(mark);
        self.faults.push(ConfigError::BadValue { place, key: self.full(key), problem: problem.to_string() });
    }

    pub(super) fn missing(&self, key: &str, hint: &str) {
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        self.faults.push(ConfigError::MissingKey { place: self.faults.place(self.mark), key: self.full(key), hint });
    }

    /// The place of `key`, or of the section when it is not there.
    pub(super) fn place(&self, key: &str) -> Place {
        self.faults.place(self.table.get(key).map_or(self.mark, |entry| entry.mark))
    }

    /// The place of the first of the keys that is there.
    pub(super) fn first_place(&self, keys: &[&str]) -> Place {
        let found = keys.iter().find_map(|key| self.table.get(key));
        self.faults.place(found.map_or(self.mark, |entry| entry.mark))
    }

    pub(super) fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

/// The nearest of the known names, or all of them.
pub(super) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    // A third of the letters may differ, two at least.
    let allowed = (name.chars().count() / 3).max(2);
    let near = known.iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    match near.min().filter(|(distance, _)| *distance <= allowed) {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none".to_string(),
        None => format!("known are {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// What serde's message means for a person.
fn problem(message: &str, value: &Value) -> String {
    if let Some((_, names)) =
        message.split_once("unknown variant ").and_then(|(_, rest)| rest.split_once(", expected "))
    {
        let names: Vec<_> = names.split('`').skip(1).step_by(2).collect();
        let Value::Text(text) = value else { return format!("is {}", value.describe()) };
        return match hint(text, names.iter().copied()) {
            near if near.starts_with("did") => format!("is {text:?}; {near}"),
            _ => format!("is {text:?}; it can be {}", listed(&names)),
        };
    }
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    let needed = match expected {
        Some("usize" | "u64" | "u32") => "a whole number of 0 or more",
        Some("f64") => "a number",
        Some("a string" | "string or map") => "text",
        Some("a boolean") => "true or false",
        Some("a sequence") => "a list",
        Some(other) => other,
        None => return format!("is {}", value.describe()),
    };
    format!("is {}; {needed} is needed", value.describe())
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
