//! The reading side: everything that a run directory says about its run, without the model and the
//! configuration.

use super::{JournalError, resume_command};
use crate::search::Event;
use crate::store::Reader;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) const NAME: &str = "name";
pub(super) const SETTINGS: &str = "settings";
pub(super) const ARGUMENTS: &str = "arguments";
/// Older journals hold the whole command as text, and no `arguments`.
const COMMAND: &str = "resume_command";
pub(super) const DTYPES: &str = "model_dtypes";
pub(super) const BACKEND: &str = "model_backend";
pub(super) const DATE: &str = "date";
pub(super) const PRIVATE: &str = "private";
pub(super) const RESULT: &str = "result";
pub(super) const TEAM: &str = "team";
pub(super) const EVALUATION: &str = "evaluation.";
pub(super) const KERNELS: &str = "kernels";
/// What had been spent by an event; its number follows with as many digits as sort well.
pub(super) const SPENT: &str = "spent.";

/// What a run had taken by the time of an event. Calls and tokens count whether a model or the
/// cache answered, so they are equal on every machine; seconds are not.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SpentSoFar {
    /// The number of calls of all roles.
    pub calls: u64,
    /// The tokens read and written by worker, optimizer and judge.
    pub tokens: [u64; 3],
    /// The wall-clock seconds of all processes that worked on the run.
    pub seconds: f64,
}

/// A run as its directory records it.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// The run directory.
    pub dir: PathBuf,
    /// The experiment's name.
    pub name: String,
    /// Whether the words of its data must not be shown.
    pub private: bool,
    /// The exact shell command that resumes the run.
    pub resume_command: String,
    /// The arguments that the program was started with; empty in older journals.
    pub arguments: Vec<String>,
    /// The digest of the run's settings, as text.
    pub settings: String,
    /// The formats of the models' weights, the backend, the kernels and the date that chat
    /// templates saw, as JSON text; only what the run got to.
    pub surroundings: BTreeMap<String, String>,
    /// The team and how it is run, JSON text; `None` in older journals.
    pub team: Option<String>,
    /// What had been spent by each event, by its number; empty in older journals.
    pub spent: BTreeMap<u64, SpentSoFar>,
    /// All events so far.
    pub events: Vec<Event>,
    /// The result's JSON text; `None` while the run is not finished.
    pub result: Option<String>,
    /// Evaluations by name, JSON text.
    pub evaluations: BTreeMap<String, String>,
    /// The number of answered calls in the cache.
    pub calls: u64,
}

/// Returns the shell command that resumes the run of a directory; `None` if there is no run.
///
/// # Errors
/// The database cannot be read, or is damaged.
pub fn recorded_command(reader: &Reader) -> Result<Option<String>, JournalError> {
    let Some(arguments) = arguments(reader)? else { return Ok(reader.meta(COMMAND)?) };
    Ok(Some(resume_command(&arguments)))
}

fn arguments(reader: &Reader) -> Result<Option<Vec<String>>, JournalError> {
    parsed(reader, ARGUMENTS, reader.meta(ARGUMENTS)?.as_deref())
}

/// Parses a value of `meta`, which may be missing or empty.
fn parsed<T: for<'a> Deserialize<'a>>(
    reader: &Reader,
    what: &str,
    json: Option<&str>,
) -> Result<Option<T>, JournalError> {
    let Some(json) = json.filter(|json| !json.is_empty()) else { return Ok(None) };
    serde_json::from_str(json).map(Some).map_err(|error| JournalError::Malformed {
        path: reader.path().to_path_buf(),
        what: what.to_string(),
        reason: error.to_string(),
    })
}

/// Returns what had been spent by each event, by its number.
pub(super) fn spent(reader: &Reader) -> Result<BTreeMap<u64, SpentSoFar>, JournalError> {
    let mut spent = BTreeMap::new();
    for (number, json) in reader.meta_under(SPENT)? {
        if let (Ok(number), Some(so_far)) = (number.parse(), parsed(reader, SPENT, Some(&json))?) {
            spent.insert(number, so_far);
        }
    }
    Ok(spent)
}

/// Reads a run, finished, unfinished or live. Returns `Ok(None)` if the directory has a database
/// without a run.
///
/// # Errors
/// No run there, one of another schema, or a damaged one.
pub fn read(dir: &Path) -> Result<Option<Record>, JournalError> {
    let reader = Reader::open(dir)?;
    let Some(name) = reader.meta(NAME)? else { return Ok(None) };
    let mut events = Vec::new();
    while let Some(json) = reader.event(events.len() as u64)? {
        events.push(serde_json::from_str(&json).map_err(|error| JournalError::Malformed {
            path: reader.path().to_path_buf(),
            what: format!("event {}", events.len()),
            reason: error.to_string(),
        })?);
    }
    let evaluations = reader.meta_under(EVALUATION)?.into_iter().collect();
    let mut surroundings = BTreeMap::new();
    for name in [DTYPES, BACKEND, KERNELS, DATE] {
        surroundings.extend(reader.meta(name)?.filter(|json| !json.is_empty()).map(|json| (name.to_string(), json)));
    }
    Ok(Some(Record {
        dir: dir.to_path_buf(),
        name,
        private: reader.meta(PRIVATE)?.is_some_and(|value| value == "true"),
        resume_command: recorded_command(&reader)?.unwrap_or_default(),
        arguments: arguments(&reader)?.unwrap_or_default(),
        settings: reader.meta(SETTINGS)?.unwrap_or_default(),
        surroundings,
        team: reader.meta(TEAM)?.filter(|json| !json.is_empty()),
        spent: spent(&reader)?,
        events,
        result: reader.meta(RESULT)?,
        evaluations,
        calls: reader.call_count()?,
    }))
}
