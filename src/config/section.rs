//! A typed reader of one table. It collects faults instead of stopping at the first, and at the end
//! it reports the keys that were not read.

use super::deserialize::{Entries, Problem, ValueError};
use super::error::{ConfigError, Place};
use super::sources::Sources;
use super::tree::{Entry, Mark, Node, Table, Value};
use crate::base::Rule;
pub(super) use crate::base::hint;
use serde::de::DeserializeOwned;
use serde::de::value::MapAccessDeserializer;
use std::cell::RefCell;
use std::path::PathBuf;

/// The faults found so far, and what is needed to place them.
pub(super) struct Faults<'a> {
    pub(super) sources: &'a Sources,
    pub(super) flags: &'a [String],
    errors: RefCell<Vec<ConfigError>>,
}

impl<'a> Faults<'a> {
    pub(super) fn new(sources: &'a Sources, flags: &'a [String]) -> Self {
        Self { sources, flags, errors: RefCell::default() }
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

    /// Returns all faults: those of the experiment file in its order, those of the files that it
    /// extends, and then those of flags and of other files.
    pub(super) fn into_sorted(self) -> Vec<ConfigError> {
        let mut errors = self.errors.into_inner();
        errors.sort_by_key(|error| match error.place() {
            Some(Place::Line { file, line, .. }) => (self.sources.number(file), *line),
            _ => (usize::MAX, usize::MAX),
        });
        errors
    }

    pub(super) fn place(&self, mark: Mark) -> Place {
        self.place_of(mark, mark)
    }

    /// Returns the place of `key`. Its excerpt marks `value`, if that begins on the same line.
    fn place_of(&self, key: Mark, value: Mark) -> Place {
        match key {
            Mark::Flag(number) => Place::Flag(self.flags[number].clone()),
            Mark::Bytes { file, start, end } => self.sources.place(file, start..end, value),
        }
    }
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
    /// The table at the top of the document.
    pub(super) fn root(table: &'a Table, faults: &'a Faults<'a>) -> Self {
        Self { path: String::new(), mark: Mark::bytes(0, 0..0), table, faults, asked: RefCell::default() }
    }

    /// Returns the entry of `key`, which is a known key from now on.
    pub(super) fn entry(&self, key: &'static str) -> Option<&'a Entry> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// Returns whether the table has the key, without marking it as known.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Returns the value of `key`. It is `None` if the key is not there, or if its value is wrong,
    /// which is a fault.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        let entry = self.entry(key)?;
        self.convert(key, &entry.node)
    }

    /// Returns the value of a key that must be there.
    pub(super) fn require<T: DeserializeOwned>(&self, key: &'static str, hint: &str) -> Option<T> {
        if self.entry(key).is_none() {
            self.missing(key, hint);
        }
        self.get(key)
    }

    /// Returns a text that must be there and not be empty.
    pub(super) fn require_text(&self, key: &'static str, hint: &str) -> Option<String> {
        let text: String = self.require(key, hint)?;
        if text.trim().is_empty() {
            self.fault(key, "is empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn convert<T: DeserializeOwned>(&self, key: &str, node: &Node) -> Option<T> {
        T::deserialize(node).map_err(|error| self.refuse(key, node, &error)).ok()
    }

    /// Returns a whole number that must be within `rule`.
    pub(super) fn number(&self, key: &'static str, rule: Rule) -> Option<usize> {
        let number: usize = self.get(key)?;
        if !rule.allows(number.into()) {
            self.fault(key, &format!("is {number}; it must {rule}"));
        }
        Some(number)
    }

    /// Returns a real number that must be within `rule`.
    pub(super) fn real(&self, key: &'static str, rule: Rule) -> Option<f64> {
        let number: f64 = self.get(key)?;
        if !rule.allows(number.into()) {
            self.fault(key, &format!("is {number}; it must {rule}"));
        }
        Some(number)
    }

    /// Reports that `node`, the value of `key`, is not what it should be.
    fn refuse(&self, key: &str, node: &Node, error: &ValueError) {
        let whole = (node.mark, node.value.describe());
        let (mark, problem) = match &error.node {
            // Something inside the value is wrong.
            Some(inner) if *inner != whole => (inner.0, problem("holds", &error.problem, &inner.1)),
            _ => (whole.0, problem("is", &error.problem, &whole.1)),
        };
        self.fault_at(mark, mark, key, &problem);
    }

    /// Resolves the path at `key`. In a file it is relative to that file; in a flag it is relative
    /// to the working directory, as shells complete it.
    pub(super) fn resolve(&self, key: &'static str, path: &str) -> PathBuf {
        match self.table.get(key).map(|entry| entry.node.mark) {
            Some(Mark::Flag(_)) => PathBuf::from(path),
            Some(Mark::Bytes { file, .. }) => self.faults.sources.beside(file, path),
            None => self.faults.sources.beside(0, path),
        }
    }

    /// Returns the table at `key`.
    pub(super) fn section(&self, key: &'static str) -> Option<Self> {
        let entry = self.entry(key)?;
        self.open(self.full(key), &entry.node, entry.mark)
    }

    /// Returns the tables of the list at `key`. In its path, each has its `name`, or without one
    /// its position counted from 1.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Self> {
        let Some(entry) = self.entry(key) else { return Vec::new() };
        let Value::List(items) = &entry.node.value else {
            let (found, path) = (entry.node.value.describe(), self.full(key));
            self.fault(key, &format!("is {found}; a list of tables is needed: [[{path}]]"));
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

    /// Reads the whole table as the options struct `T`. Every wrong or unknown key is a fault of
    /// its own, and the others are taken. The table is read once, and once more for every fault.
    pub(super) fn options<T: DeserializeOwned + Default>(&self) -> T {
        let mut wrong: Vec<&str> = Vec::new();
        loop {
            let right = self.table.0.iter().filter(|entry| !wrong.contains(&entry.key.as_str()));
            let error = match T::deserialize(MapAccessDeserializer::new(Entries::new(right))) {
                Ok(options) => return options,
                Err(error) => error,
            };
            let Some(entry) = error.key.as_deref().and_then(|key| self.table.get(key)) else {
                let problem = problem("is", &error.problem, "a table");
                self.faults.push(ConfigError::BadValue {
                    place: self.faults.place(self.mark),
                    key: self.path.clone(),
                    problem,
                });
                return T::default();
            };
            match &error.problem {
                Problem::UnknownKey(known) => self.unknown(entry, known.to_vec()),
                _ => self.refuse(&entry.key, &entry.node, &error),
            }
            wrong.push(&entry.key);
        }
    }

    /// Reports every key that was not read. To be called after all reading.
    pub(super) fn finish(&self) {
        let known = self.asked.borrow();
        for entry in self.table.0.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            self.unknown(entry, known.clone());
        }
    }

    fn unknown(&self, entry: &Entry, mut known: Vec<&str>) {
        known.sort_unstable();
        known.dedup();
        let hint = hint(&entry.key, known.into_iter());
        let place = self.faults.place(entry.mark);
        self.faults.push(ConfigError::UnknownKey { place, key: self.full(&entry.key), hint });
    }

    /// Reports a fault of the value of `key`, at the key, or at the section if the key is not
    /// there.
    pub(super) fn fault(&self, key: &str, problem: &str) {
        let (mark, value) = self.table.get(key).map_or((self.mark, self.mark), |entry| (entry.mark, entry.node.mark));
        self.fault_at(mark, value, key, problem);
    }

    fn fault_at(&self, mark: Mark, value: Mark, key: &str, problem: &str) {
        let place = self.faults.place_of(mark, value);
        self.faults.push(ConfigError::BadValue { place, key: self.full(key), problem: problem.to_string() });
    }

    pub(super) fn missing(&self, key: &str, hint: &str) {
        let hint = if hint.is_empty() { String::new() } else { format!("; {hint}") };
        self.faults.push(ConfigError::MissingKey { place: self.faults.place(self.mark), key: self.full(key), hint });
    }

    /// Returns the place of `key`, or of the section if the key is not there.
    pub(super) fn place(&self, key: &str) -> Place {
        match self.table.get(key) {
            Some(entry) => self.faults.place_of(entry.mark, entry.node.mark),
            None => self.faults.place(self.mark),
        }
    }

    /// Returns the place of the first of the keys that is there.
    pub(super) fn first_place(&self, keys: &[&str]) -> Place {
        let found = keys.iter().find_map(|key| self.table.get(key));
        self.faults.place(found.map_or(self.mark, |entry| entry.mark))
    }

    pub(super) fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

/// Returns the problem of a value in words. `verb` says whether it is the value itself or something
/// in it.
fn problem(verb: &str, problem: &Problem, found: &str) -> String {
    match problem {
        Problem::Needed(kind) => format!("{verb} {found}; {kind} is needed"),
        Problem::NotOneOf(names, text) => match hint(text, names.iter().copied()) {
            near if near.starts_with("did") => format!("{verb} {text:?}; {near}"),
            _ => format!("{verb} {text:?}; it can be {}", listed(names)),
        },
        Problem::UnknownKey(names) => format!("{verb} {found} with a key that is none of {}", listed(names)),
        Problem::Odd => format!("{verb} {found}"),
        Problem::Refused(words) => format!("{verb} {found}: {words}"),
    }
}

fn listed(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
