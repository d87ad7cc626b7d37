//! The faults that an experiment file can have, each with its place.

use crate::graph::GraphError;
use crate::task::LoadError;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// Where a setting comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A line of the experiment file, counted from 1.
    Line {
        /// The file.
        file: PathBuf,
        /// The line.
        line: usize,
        /// The line's text; `None` where something is missing at the top of the file.
        excerpt: Option<Box<Excerpt>>,
    },
    /// A `--set` flag, as it was given.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line, .. } => write!(f, "{}:{line}", file.display()),
            Self::Flag(flag) => write!(f, "--set {flag}"),
        }
    }
}

/// One line of the experiment file, and the part of it that a fault is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt {
    /// The line, without its line break.
    pub line: String,
    /// The bytes of the line that the fault is about; never empty.
    pub marked: Range<usize>,
}

impl Excerpt {
    /// Returns the line of `text` that has the byte `at`, and marks the part of `range` that is on
    /// this line. Returns `None` if there is none.
    pub(super) fn new(text: &str, at: usize, range: Range<usize>) -> Option<Box<Self>> {
        let at = text.floor_char_boundary(at);
        let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        let inside = |at: usize| line.floor_char_boundary(at.saturating_sub(start).min(line.len()));
        let marked = inside(range.start)..inside(range.end);
        (range.start >= start && !marked.is_empty()).then(|| Box::new(Self { line: line.to_string(), marked }))
    }
}

impl ConfigError {
    /// Returns the number of the line that the fault is on, and the line itself.
    pub fn excerpt(&self) -> Option<(usize, &Excerpt)> {
        match (self, self.place()) {
            (Self::Syntax { line, excerpt, .. }, _) => Some((*line, excerpt.as_deref()?)),
            (_, Some(Place::Line { line, excerpt, .. })) => Some((*line, excerpt.as_deref()?)),
            _ => None,
        }
    }

    /// Returns where in the experiment file or among the flags the fault is, if it is there.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Schema { place, .. }
            | Self::UnknownKey { place, .. }
            | Self::MissingKey { place, .. }
            | Self::BadValue { place, .. }
            | Self::Graph { place, .. }
            | Self::DataFile { place, .. } => Some(place),
            _ => None,
        }
    }
}

/// One fault of an experiment file or of what it names.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConfigError {
    /// The experiment file cannot be read.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The reason, in the system's words.
        reason: String,
    },
    /// The experiment file is not TOML.
    #[error("{}:{line}:{column}: {problem}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line of the fault, counted from 1.
        line: usize,
        /// The column of the fault in characters, counted from 1.
        column: usize,
        /// What the TOML reader says.
        problem: String,
        /// The line's text; `None` at the end of the file.
        excerpt: Option<Box<Excerpt>>,
    },
    /// A `--set` flag that names nothing that can be set.
    #[error("--set {flag}: {problem}")]
    Flag {
        /// The flag's text.
        flag: String,
        /// What is wrong.
        problem: String,
    },
    /// The file is of another format version.
    #[error("{place}: the schema is {found}; this program reads `schema = 1`")]
    Schema {
        /// Where.
        place: Place,
        /// The file's version.
        found: String,
    },
    /// A key that nothing reads.
    #[error("{place}: unknown key `{key}`; {hint}")]
    UnknownKey {
        /// Where.
        place: Place,
        /// The dotted path.
        key: String,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A key that must be there.
    #[error("{place}: `{key}` is missing{hint}")]
    MissingKey {
        /// Where it should be.
        place: Place,
        /// The dotted path.
        key: String,
        /// What it is for.
        hint: String,
    },
    /// A value of the wrong type or outside its range.
    #[error("{place}: `{key}` {problem}")]
    BadValue {
        /// Where.
        place: Place,
        /// The dotted path.
        key: String,
        /// What is wrong.
        problem: String,
    },
    /// The agents and edges do not form a usable graph.
    #[error("{place}: {fault}")]
    Graph {
        /// Where.
        place: Place,
        /// What is wrong.
        fault: GraphError,
    },
    /// A data file that cannot be used.
    #[error("{fault}")]
    Data {
        /// The key that names the file.
        key: String,
        /// What is wrong.
        fault: Box<LoadError>,
    },
    /// A data file that cannot be found or used as a whole.
    #[error("{place}: `{key}`: {fault}{hint}")]
    DataFile {
        /// Where the file is named.
        place: Place,
        /// The key that names it.
        key: String,
        /// What is wrong.
        fault: Box<LoadError>,
        /// Where to get the file, if it is absent and the experiment says so.
        hint: String,
    },
    /// Two data sets share rows that they must not share.
    #[error("`data.{first}` and `data.{second}` share {count} {}: {listed}", if *count == 1 { "row" } else { "rows" })]
    Overlap {
        /// The one set.
        first: &'static str,
        /// The other set.
        second: &'static str,
        /// The number of shared rows.
        count: usize,
        /// The first few, by file, line and id.
        listed: String,
    },
}
