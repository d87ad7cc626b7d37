//! The TOML document as a tree whose nodes remember where they come from, so that `--set` can
//! change it and every fault still has its place.

use super::error::ConfigError;
use super::models::replaced_by;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a node comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    /// The bytes from `start` to before `end` of the file with the number `file`, or none where the
    /// file says nothing. The experiment file is number 0; those that it extends follow.
    Bytes { file: usize, start: usize, end: usize },
    /// The `--set` flag with this number, counted from 0.
    Flag(usize),
}

impl Mark {
    pub(super) fn bytes(file: usize, range: Range<usize>) -> Self {
        Self::Bytes { file, start: range.start, end: range.end }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) value: Value,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Truth(bool),
    /// Something that no setting takes, such as a date or a number out of range.
    Odd(String),
    List(Vec<Node>),
    Table(Table),
}

/// A table's entries in the order of the file. The mark of an entry is that of its key.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Table(pub(super) Vec<Entry>);

#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) mark: Mark,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    /// Returns the text at `name` if this is a table that has one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.value {
            Value::Table(table) => match &table.get("name")?.node.value {
                Value::Text(name) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// Converts the parsed document of the file with the number `file`.
    pub(super) fn document(table: &Spanned<DeTable<'_>>, file: usize) -> Self {
        let mark = |range| Mark::bytes(file, range);
        Self { mark: mark(0..0), value: Value::Table(convert_table(table.get_ref(), &mark)) }
    }

    /// Puts the value of the flag `key.path=value` where the path says, and makes tables on the
    /// way.
    pub(super) fn set(&mut self, flag: &str, number: usize) -> Result<(), ConfigError> {
        let wrong = |problem: String| ConfigError::Flag { flag: flag.to_string(), problem };
        let form = || wrong("the form is KEY.PATH=VALUE, e.g. search.rounds=2".into());
        let (path, text) = flag.split_once('=').ok_or_else(form)?;
        let keys: Vec<_> = path.split('.').map(str::trim).collect();
        if keys.iter().any(|key| key.is_empty()) {
            return Err(form());
        }
        let mark = Mark::Flag(number);
        let mut place = self;
        for (depth, key) in keys.iter().enumerate() {
            let parent = if depth == 0 { "the file".to_string() } else { format!("`{}`", keys[..depth].join(".")) };
            place = match &mut place.value {
                Value::Table(table) => {
                    let is_last = depth + 1 == keys.len();
                    if is_last {
                        replaced_by(&keys[..depth], key).iter().for_each(|other| drop(table.take(other)));
                    }
                    table.entry(key, mark, is_last)
                }
                Value::List(items) => item(items, key).ok_or_else(|| wrong(format!("{parent} has no `{key}`")))?,
                _ => return Err(wrong(format!("{parent} is no table, so it has no `{key}`"))),
            };
        }
        *place = Self { mark, value: flag_value(text.trim(), mark) };
        Ok(())
    }
}

impl Table {
    /// Puts the entries of `over` over its own, all at `path`: tables are merged, and everything
    /// else is replaced, also by a key that cannot stand beside it.
    pub(super) fn merge(&mut self, over: Self, path: &[&str]) {
        let replaced = over.0.iter().flat_map(|entry| replaced_by(path, &entry.key));
        replaced.for_each(|other| drop(self.take(other)));
        for entry in over.0 {
            let Some(own) = self.0.iter_mut().find(|own| own.key == entry.key) else {
                self.0.push(entry);
                continue;
            };
            match (&mut own.node.value, entry.node.value) {
                (Value::Table(own_table), Value::Table(table)) => {
                    own_table.merge(table, &[path, &[entry.key.as_str()]].concat());
                    (own.mark, own.node.mark) = (entry.mark, entry.node.mark);
                }
                (_, value) => {
                    own.mark = entry.mark;
                    own.node = Node { mark: entry.node.mark, value };
                }
            }
        }
    }

    /// Takes the entry of `key` out.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.0.iter().position(|entry| entry.key == key)?;
        Some(self.0.remove(at))
    }

    /// Returns the entry of `key`, which is made if it is not there. It takes the mark if it is new
    /// or about to be overwritten.
    fn entry(&mut self, key: &str, mark: Mark, overwrite: bool) -> &mut Node {
        if let Some(at) = self.0.iter().position(|entry| entry.key == key) {
            if overwrite {
                self.0[at].mark = mark;
            }
            return &mut self.0[at].node;
        }
        let node = Node { mark, value: Value::Table(Self::default()) };
        self.0.push(Entry { key: key.to_string(), mark, node });
        &mut self.0.last_mut().expect("an entry was just pushed").node
    }
}

/// Returns an item of a list of tables, by its `name` or by its position counted from 1.
fn item<'a>(items: &'a mut [Node], key: &str) -> Option<&'a mut Node> {
    let at =
        items.iter().position(|node| node.name() == Some(key)).or_else(|| key.parse::<usize>().ok()?.checked_sub(1))?;
    items.get_mut(at)
}

/// Reads the value of a flag: as TOML, or as plain text where it is not TOML.
fn flag_value(text: &str, mark: Mark) -> Value {
    match DeValue::parse(text) {
        Ok(value) => match convert(value.get_ref(), &|_| mark) {
            Value::Odd(_) => Value::Text(text.to_string()),
            value => value,
        },
        Err(_) => Value::Text(text.to_string()),
    }
}

fn convert_table(table: &DeTable<'_>, mark: &impl Fn(Range<usize>) -> Mark) -> Table {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
        key: std::borrow::Cow::<str>::to_string(key.get_ref()),
        mark: mark(key.span()),
        node: node(value, mark),
    };
    Table(entries.into_iter().map(entry).collect())
}

fn node(value: &Spanned<DeValue<'_>>, mark: &impl Fn(Range<usize>) -> Mark) -> Node {
    Node { mark: mark(value.span()), value: convert(value.get_ref(), mark) }
}

fn convert(value: &DeValue<'_>, mark: &impl Fn(Range<usize>) -> Mark) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(truth) => Value::Truth(*truth),
        DeValue::Datetime(date) => Value::Odd(format!("the date {date}, which no setting takes")),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(item, mark)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(table, mark)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Odd(format!("the number {number}, which does not fit 64 bits")),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(value) if value.is_finite() => Value::Float(value),
            _ => Value::Odd(format!("the number {number}, which is not finite")),
        },
    }
}

impl Value {
    /// Says what the value is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("the text {:?}", crate::prompt::clip(text, 60)),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Truth(truth) => truth.to_string(),
            Self::Odd(what) => what.clone(),
            Self::List(_) => "a list".to_string(),
            Self::Table(_) => "a table".to_string(),
        }
    }
}
