//! The errors of data files.

use super::lines::LineFault;
use super::row::RowFault;
use std::path::PathBuf;

/// Why a data file cannot be used, or what is wrong with one of its rows.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A line is not text.
    #[error("{}:{line}: {fault}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A row is not usable.
    #[error("{}:{line}: {fault}", file.display())]
    Row {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        fault: RowFault,
    },
    /// More bad rows than are listed one by one.
    #[error("{}: {more} more bad rows", file.display())]
    MoreBadRows {
        /// The file.
        file: PathBuf,
        /// The number of bad rows that are not listed.
        more: usize,
    },
    /// Two rows have one id.
    #[error("{}:{line}: the id `{id}` is already that of line {first_line}", file.display())]
    DuplicateId {
        /// The file.
        file: PathBuf,
        /// The second row's line.
        line: usize,
        /// The id.
        id: String,
        /// The first row's line.
        first_line: usize,
    },
    /// More rows than are ever read.
    #[error("{}: more than {limit} rows; `limit` takes a part of the file", file.display())]
    TooManyRows {
        /// The file.
        file: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The file is no JSONL at all.
    #[error("{} holds {found}; {hint}", file.display())]
    NotLines {
        /// The file.
        file: PathBuf,
        /// What it holds.
        found: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// The file has no rows.
    #[error("{} has no rows", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// Every row is bad, and bad rows are left out.
    #[error("{} has no usable row: all {bad} are bad", file.display())]
    NothingUsable {
        /// The file.
        file: PathBuf,
        /// The number of rows.
        bad: usize,
    },
    /// No row fulfils the conditions.
    #[error("{} has {rows} rows, and in none of them {conditions}", file.display())]
    NoMatch {
        /// The file.
        file: PathBuf,
        /// The number of rows.
        rows: usize,
        /// The conditions, in words.
        conditions: String,
    },
    /// `skip` leaves no rows.
    #[error("{} has {rows} rows, and `skip` leaves out {skip}", file.display())]
    AllSkipped {
        /// The file.
        file: PathBuf,
        /// The number of rows.
        rows: usize,
        /// The number of rows that `skip` leaves out.
        skip: usize,
    },
}

impl LoadError {
    /// Returns the error without the row's own words, for data that must not be printed.
    pub fn without_text(self) -> Self {
        match self {
            Self::Row { file, line, fault: RowFault::BadAnswer { .. } } => {
                Self::Row { file, line, fault: RowFault::BadPrivateAnswer }
            }
            other => other,
        }
    }

    /// Whether skipping one row would fix it.
    pub fn is_bad_row(&self) -> bool {
        match self {
            Self::Row { .. } => true,
            Self::Line { fault, .. } => *fault != LineFault::ByteOrderMark,
            _ => false,
        }
    }
}
