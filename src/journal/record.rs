//! The reading side: everything that a run directory says about its run, without the model and the
//! configuration.

use super::{JournalError, resume_command};
use crate::search::Event;
use crate::store::Reader;
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
    /// The arguments that the program was started with; empty in a run of an older version.
    pub arguments: Vec<String>,
    /// The team and how it is run, JSON text; `None` in a run that an older version made.
    pub team: Option<String>,
    /// The digest of the settings that it was started with.
    pub settings: String,
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
    match arguments(reader)? {
        Some(arguments) => Ok(Some(resume_command(&arguments))),
        None => Ok(reader.meta(COMMAND)?),
    }
}

/// Returns the arguments that the program was started with, if the journal has them.
fn arguments(reader: &Reader) -> Result<Option<Vec<String>>, JournalError> {
    let Some(json) = reader.meta(ARGUMENTS)? else { return Ok(None) };
    serde_json::from_str(&json).map(Some).map_err(|error| JournalError::Malformed {
        path: reader.path().to_path_buf(),
        what: ARGUMENTS.to_string(),
        reason: error.to_string(),
    })
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
    Ok(Some(Record {
        dir: dir.to_path_buf(),
        name,
        private: reader.meta(PRIVATE)?.is_some_and(|value| value == "true"),
        resume_command: recorded_command(&reader)?.unwrap_or_default(),
        arguments: arguments(&reader)?.unwrap_or_default(),
        team: reader.meta(TEAM)?.filter(|json| !json.is_empty()),
        settings: reader.meta(SETTINGS)?.unwrap_or_default(),
        events,
        result: reader.meta(RESULT)?,
        evaluations,
        calls: reader.call_count()?,
    }))
}
