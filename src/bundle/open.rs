//! Opens whatever holds prompts: the folder of a finished run, a bundle, a folder of releases, or a
//! `prompts.json`.

use super::evidence::Evidence;
use super::file::{Bundle, is_bundle_text, not_json, read_text};
use super::release::CURRENT;
use super::team::Team;
use super::{BundleError, utc};
use crate::base::{AgentId, unix_seconds};
use crate::journal::{self, Record};
use crate::prompt::Template;
use crate::report::RunReport;
use crate::search::SearchResult;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt;
use std::path::{Path, PathBuf};

/// What was opened.
#[derive(Clone, PartialEq, Debug)]
pub enum Opened {
    /// A bundle, from a file or made of a finished run.
    Bundle(Box<Bundle>),
    /// Prompts alone, by the agents' names and in the order of the file.
    Prompts(Vec<(String, String)>),
}

impl Opened {
    /// Opens RUN, BUNDLE or `prompts.json` alike.
    ///
    /// # Errors
    /// The first fault found.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        if path.is_dir() {
            return open_bundle(path).map(|bundle| Self::Bundle(Box::new(bundle)));
        }
        let text = read_text(path)?;
        if is_bundle_text(&text) {
            return Bundle::parse(path, &text).map(|bundle| Self::Bundle(Box::new(bundle)));
        }
        // Some editors put a byte-order mark first.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        prompt_entries(text).map(Self::Prompts).map_err(|error| not_json(path, &error))
    }
}

/// Opens a bundle: a file, the one in use in a folder of releases, or that of a finished run, which
/// nobody has reviewed.
///
/// # Errors
/// The first fault found; `prompts.json` is no bundle.
pub fn open_bundle(path: &Path) -> Result<Bundle, BundleError> {
    match path.is_dir() {
        false => Bundle::read(path),
        true if path.join("run.sqlite").exists() => bundle_of_run(path),
        true if path.join(CURRENT).exists() => Bundle::read(&path.join(CURRENT)),
        true => Err(BundleError::EmptyFolder { dir: path.to_path_buf() }),
    }
}

/// Returns the prompts in RUN, BUNDLE or `prompts.json`, by the agents' names. Those of a run do
/// not need its graph.
///
/// # Errors
/// The first fault found.
pub fn open_prompts(path: &Path) -> Result<Vec<(String, String)>, BundleError> {
    if path.is_dir() && path.join("run.sqlite").exists() {
        let (_, result, _) = finished(path)?;
        return Ok(named(&result.agents, result.prompts.iter()));
    }
    match Opened::open(path)? {
        Opened::Bundle(bundle) => Ok(bundle.entries()),
        Opened::Prompts(entries) => Ok(entries),
    }
}

/// Makes the bundle of a finished run, with the prompts that it ended with.
///
/// # Errors
/// There is no run, it is not finished, or it does not say what its graph was.
pub fn bundle_of_run(dir: &Path) -> Result<Bundle, BundleError> {
    let (record, result, report) = finished(dir)?;
    let Some(team) = &record.team else {
        return Err(BundleError::NoTeam { dir: dir.to_path_buf(), command: record.resume_command });
    };
    let damaged = |problem: String| BundleError::Malformed { file: dir.join("run.sqlite"), problem };
    let mut team: Team = serde_json::from_str(team).map_err(|error| damaged(format!("its team: {error}")))?;
    team.model.identity = Some(report.model.worker.clone());
    let prompts = match &result.system {
        Some(system) => {
            team.become_system(system);
            system.agents.iter().map(|agent| (agent.name.clone(), agent.prompt.text().to_string())).collect()
        }
        None => named(&result.agents, result.prompts.iter()),
    };
    if !team.graph.agents.iter().map(|agent| &agent.name).eq(prompts.iter().map(|(name, _)| name)) {
        return Err(damaged("its team has other agents than its events".to_string()));
    }
    let evidence = Evidence::of_run(&record, &result, &report)?;
    Ok(Bundle::new(team, &prompts, evidence, utc(unix_seconds())))
}

/// Reads a finished run.
fn finished(dir: &Path) -> Result<(Record, SearchResult, RunReport), BundleError> {
    let none = || BundleError::EmptyFolder { dir: dir.to_path_buf() };
    let record = journal::read(dir)?.ok_or_else(none)?;
    let (Some(json), Some(result)) = (&record.result, SearchResult::from_events(&record.events)) else {
        return Err(BundleError::Unfinished { dir: dir.to_path_buf(), command: record.resume_command });
    };
    let malformed = |problem| BundleError::Malformed { file: PathBuf::from(dir), problem };
    let report = RunReport::from_json(json).map_err(malformed)?;
    Ok((record, result, report))
}

fn named<'a>(names: &[String], prompts: impl Iterator<Item = (AgentId, &'a Template)>) -> Vec<(String, String)> {
    names.iter().zip(prompts).map(|(name, (_, prompt))| (name.clone(), prompt.text().to_string())).collect()
}

/// Returns the entries of a `prompts.json` in the order of the file, so that a repeated name is
/// seen.
///
/// # Errors
/// It is no object from names to texts.
pub fn prompt_entries(text: &str) -> Result<Vec<(String, String)>, serde_json::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object from agent names to prompts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let entries = reader.deserialize_map(Entries)?;
    reader.end()?;
    Ok(entries)
}
