//! The language of template files: plain text with slots (`{role}`) and sections
//! (`{#traces}…{/traces}`), filled in one pass.
//!
//! A section stands only if its slot is not empty, and once per entry if the slot is a list; inside
//! of it, the slots of the entry come before those around it. A line that has nothing but the
//! beginning or the end of a section is left out. Braces around anything but a word of small
//! letters are plain text. Values are texts and are never read as templates.

use crate::base::hint;
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The most sections within each other.
const MAX_DEPTH: usize = 8;

/// What a slot holds.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// A text; as a section, whether it is there.
    Text,
    /// Yes or no, for sections only.
    Flag,
    /// A list, for sections only, each of whose entries has these slots.
    List(&'static [SlotSpec]),
}

/// A slot that a template file may have.
#[derive(Clone, Copy, Debug)]
pub struct SlotSpec {
    /// The name between the braces.
    pub name: &'static str,
    /// What it holds.
    pub holds: Holds,
    /// Whether a file without it is refused.
    pub needed: bool,
    /// What it is filled with, for the documentation and for faults.
    pub about: &'static str,
}

/// What is wrong with a file of a template set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateFault {
    /// The file, relative to the set's folder.
    pub file: String,
    /// The line, counted from 1; `None` if the fault is that something is missing.
    pub line: Option<usize>,
    /// What is wrong.
    pub problem: String,
}

/// The value of a slot.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    Text { text: String, is_there: bool },
    Flag(bool),
    List(Vec<Scope>),
}

/// The values of slots: those of a file, or those of one entry of a list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope(Vec<(&'static str, Value)>);

impl Scope {
    /// Adds a text; an empty one leaves out its section.
    #[must_use]
    pub fn text(self, name: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        let is_there = !text.is_empty();
        self.optional(name, text, is_there)
    }

    /// Adds a text whose section stands if `is_there`.
    #[must_use]
    pub fn optional(self, name: &'static str, text: impl Into<String>, is_there: bool) -> Self {
        self.with(name, Value::Text { text: text.into(), is_there })
    }

    /// Adds a flag.
    #[must_use]
    pub fn flag(self, name: &'static str, flag: bool) -> Self {
        self.with(name, Value::Flag(flag))
    }

    /// Adds a list.
    #[must_use]
    pub fn list(self, name: &'static str, entries: impl IntoIterator<Item = Self>) -> Self {
        self.with(name, Value::List(entries.into_iter().collect()))
    }

    fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((name, value));
        self
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

/// A template file that was read and checked. Two are equal if their texts are.
#[derive(Clone, Debug)]
pub struct RequestTemplate(Arc<Parsed>);

#[derive(Debug)]
struct Parsed {
    source: String,
    pieces: Vec<Piece>,
    used: BTreeSet<String>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Slot(&'static str),
    Section(&'static str, Vec<Piece>),
}

impl PartialEq for RequestTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Serialize for RequestTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.source)
    }
}

impl RequestTemplate {
    /// Reads the text of `file`, which may have the slots `specs`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &str, source: &str, specs: &'static [SlotSpec]) -> Result<Self, Vec<TemplateFault>> {
        let mut reader = Reader {
            faults: Vec::new(),
            used: BTreeSet::new(),
            open: vec![Open {
                name: String::new(),
                line: 0,
                path: String::new(),
                specs,
                pieces: Vec::new(),
                slot: None,
            }],
        };
        for (index, line) in source.split_inclusive('\n').enumerate() {
            reader.line(index + 1, line);
        }
        let Reader { mut faults, used, mut open } = reader;
        let unclosed = open.split_off(1);
        faults.extend(unclosed.into_iter().map(|section| {
            let problem = format!("the section `{{#{0}}}` has no end: `{{/{0}}}` is missing", section.name);
            (Some(section.line), problem)
        }));
        add_missing(specs, "", &used, &mut faults);
        if faults.is_empty() {
            let pieces = open.pop().map(|whole| whole.pieces).unwrap_or_default();
            return Ok(Self(Arc::new(Parsed { source: source.to_string(), pieces, used })));
        }
        faults.sort_by_key(|(line, _)| line.unwrap_or(usize::MAX));
        Err(faults.into_iter().map(|(line, problem)| TemplateFault { file: file.to_string(), line, problem }).collect())
    }

    /// The text of the file.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether the template shows what a slot holds. The slot of a list's entry is named behind its
    /// list: `traces.trace.verdicts`.
    pub fn shows(&self, path: &str) -> bool {
        self.0.used.contains(path)
    }

    /// Fills the slots in a single pass: what looks like a slot in a value stays as it is.
    ///
    /// # Panics
    /// Panics if `values` lack a slot that the file may have.
    pub fn render(&self, values: &Scope) -> String {
        let mut out = String::with_capacity(2 * self.0.source.len());
        render(&self.0.pieces, &mut vec![values], &mut out);
        out
    }
}

fn render<'a>(pieces: &[Piece], scopes: &mut Vec<&'a Scope>, out: &mut String) {
    let value = |scopes: &[&'a Scope], name: &str| {
        let value = scopes.iter().rev().find_map(|scope| scope.get(name));
        value.unwrap_or_else(|| panic!("the slot {{{name}}} has a value"))
    };
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Slot(name) => match value(scopes, name) {
                Value::Text { text, .. } => out.push_str(text),
                other => panic!("the slot {{{name}}} is a text, not {other:?}"),
            },
            Piece::Section(name, pieces) => match value(scopes, name) {
                Value::Text { is_there, .. } | Value::Flag(is_there) => {
                    if *is_there {
                        render(pieces, scopes, out);
                    }
                }
                Value::List(entries) => {
                    for entry in entries {
                        scopes.push(entry);
                        render(pieces, scopes, out);
                        scopes.pop();
                    }
                }
            },
        }
    }
}

/// Adds a fault for every slot that is needed and not used: at the top, and in the lists that are.
fn add_missing(specs: &[SlotSpec], path: &str, used: &BTreeSet<String>, faults: &mut Vec<(Option<usize>, String)>) {
    for spec in specs {
        let own = format!("{path}{}", spec.name);
        let is_used = used.contains(&own);
        if spec.needed && !is_used {
            let mark = if matches!(spec.holds, Holds::Text) { "" } else { "#" };
            faults.push((None, format!("the slot `{{{mark}{}}}` is missing: {}", spec.name, spec.about)));
        }
        if let (true, Holds::List(inner)) = (is_used, spec.holds) {
            add_missing(inner, &format!("{own}."), used, faults);
        }
    }
}

/// A section whose end is not read yet, or the whole file.
struct Open {
    name: String,
    line: usize,
    /// The path of the slots in it, with a full stop at its end.
    path: String,
    /// The slots that it adds to those around it.
    specs: &'static [SlotSpec],
    pieces: Vec<Piece>,
    /// The slot of the section; `None` if there is none of that name.
    slot: Option<&'static str>,
}

struct Reader {
    faults: Vec<(Option<usize>, String)>,
    used: BTreeSet<String>,
    /// The file and the sections that are open, from the outermost on.
    open: Vec<Open>,
}

/// What stands between braces.
#[derive(Clone, Copy)]
enum Mark {
    Slot,
    Begin,
    End,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        let trimmed = line.trim();
        if let Some((0, end, mark @ (Mark::Begin | Mark::End), name)) = next_mark(trimmed)
            && end == trimmed.len()
        {
            return self.mark(number, mark, name);
        }
        let mut rest = line;
        while let Some((start, end, mark, name)) = next_mark(rest) {
            self.push(Piece::Text(rest[..start].to_string()));
            self.mark(number, mark, name);
            rest = &rest[end..];
        }
        self.push(Piece::Text(rest.to_string()));
    }

    fn mark(&mut self, line: usize, mark: Mark, name: &str) {
        match mark {
            Mark::Slot => self.slot(line, name),
            Mark::Begin => self.begin(line, name),
            Mark::End => self.end(line, name),
        }
    }

    fn slot(&mut self, line: usize, name: &str) {
        let Some((spec, path)) = self.find(line, name) else { return };
        if matches!(spec.holds, Holds::Text) {
            self.used.insert(path);
            self.push(Piece::Slot(spec.name));
        } else {
            let kind = if matches!(spec.holds, Holds::Flag) { "says yes or no" } else { "is a list" };
            self.fault(line, format!("`{{{name}}}` {kind}, so it can only begin a section: `{{#{name}}}…{{/{name}}}`"));
        }
    }

    fn begin(&mut self, line: usize, name: &str) {
        let found = self.find(line, name);
        let (specs, path): (&[SlotSpec], String) = match &found {
            Some((SlotSpec { holds: Holds::List(inner), .. }, path)) => (inner, format!("{path}.")),
            _ => (&[], String::new()),
        };
        if let Some((SlotSpec { holds: Holds::List(_) | Holds::Flag, .. }, path)) = &found {
            self.used.insert(path.clone());
        }
        if self.open.len() > MAX_DEPTH {
            self.fault(
                line,
                format!("`{{#{name}}}` is the {}th section within another; {MAX_DEPTH} can be", MAX_DEPTH + 1),
            );
        }
        let slot = found.map(|(spec, _)| spec.name);
        self.open.push(Open { name: name.to_string(), line, path, specs, pieces: Vec::new(), slot });
    }

    fn end(&mut self, line: usize, name: &str) {
        match self.open.last() {
            Some(section) if self.open.len() > 1 && section.name == name => {
                let section = self.open.pop().expect("it is open");
                if let Some(slot) = section.slot {
                    self.push(Piece::Section(slot, section.pieces));
                }
            }
            Some(section) if self.open.len() > 1 => {
                let problem = format!("`{{/{name}}}` ends a section, but `{{#{}}}` is open", section.name);
                self.fault(line, problem);
            }
            _ => self.fault(line, format!("`{{/{name}}}` ends a section that was not begun")),
        }
    }

    /// Returns the slot and its path, or reports that there is none.
    fn find(&mut self, line: usize, name: &str) -> Option<(&'static SlotSpec, String)> {
        for scope in self.open.iter().rev() {
            if let Some(spec) = scope.specs.iter().find(|spec| spec.name == name) {
                return Some((spec, format!("{}{name}", scope.path)));
            }
        }
        let known = self.open.iter().rev().flat_map(|scope| scope.specs).map(|spec| spec.name);
        let hint = hint(name, known);
        self.fault(line, format!("unknown slot `{{{name}}}`; {hint}"));
        None
    }

    fn fault(&mut self, line: usize, problem: String) {
        self.faults.push((Some(line), problem));
    }

    /// Adds a piece to the innermost section; neighbouring texts become one.
    fn push(&mut self, piece: Piece) {
        let pieces = &mut self.open.last_mut().expect("the file itself stays open").pieces;
        match (pieces.last_mut(), piece) {
            (_, Piece::Text(text)) if text.is_empty() => {}
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => pieces.push(piece),
        }
    }
}

/// Returns the first slot, beginning or end of a section: its bytes, what it is, and the name.
fn next_mark(text: &str) -> Option<(usize, usize, Mark, &str)> {
    text.match_indices('{').find_map(|(start, _)| {
        let inner = &text[start + 1..];
        let (mark, skipped) = match inner.as_bytes().first()? {
            b'#' => (Mark::Begin, 1),
            b'/' => (Mark::End, 1),
            _ => (Mark::Slot, 0),
        };
        let name = &inner[skipped..];
        let length = name.bytes().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'_').count();
        let is_name = length > 0 && name.as_bytes().get(length) == Some(&b'}');
        is_name.then(|| (start, start + 1 + skipped + length + 1, mark, &name[..length]))
    })
}
