//! The record of a finished run: one small JSON file, from which all tables are made. It holds no
//! gold answer, only which items were answered right.

use super::file::StudyError;
use crate::base::Digest;
use crate::chat::Spent;
use crate::judge::JudgeStats;
use crate::search::Stopped;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the record's format.
const VERSION: u32 = 1;

/// The name of the record's file in the folder of a run.
pub(super) const FILE: &str = "cell.json";

/// A finished run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CellRecord {
    /// The version of the format.
    pub version: u32,
    /// The experiment's name.
    pub experiment: String,
    /// The arm's name.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// The method's name; `prompts` if the system was given.
    pub method: String,
    /// The settings that it changes.
    pub sets: Vec<String>,
    /// The values of varied options.
    pub varied: BTreeMap<String, String>,
    /// The digest of what decides the result, but for the models.
    pub setup: Digest,
    /// The model's name, for people.
    pub model: String,
    /// The digest of the models of all roles.
    pub models: Digest,
    /// The ids of the test cases.
    pub items: Vec<String>,
    /// Whether the seed prompts answer each of them right, as text of `1` and `0`.
    pub seed_right: String,
    /// Whether the system to use does.
    pub right: String,
    /// Whether the seed prompts were kept because they won the final check.
    pub kept_seed: bool,
    /// Why the run ended before its method was done.
    pub stopped: Option<Stopped>,
    /// What worker, optimizer and judge took before the evaluation, cached answers included.
    pub spent: [Spent; 3],
    /// What the system to use took for all test cases.
    pub answering: Spent,
    /// The judge's counters.
    pub judge: JudgeStats,
    /// The final prompts, by agent.
    pub prompts: BTreeMap<String, String>,
    /// The digest of the run's result; `None` if there was no run.
    pub result_hash: Option<Digest>,
    /// Wall-clock seconds, while other runs were in flight. No table has them.
    pub seconds: f64,
}

impl CellRecord {
    /// The version that this program writes.
    pub(super) const VERSION: u32 = VERSION;

    /// The number of test cases.
    pub fn cases(&self) -> usize {
        self.items.len()
    }

    /// The share of the test cases that the system to use answers right.
    pub fn accuracy(&self) -> f64 {
        share(&self.right)
    }

    /// The share that the seed prompts answer right.
    pub fn seed_accuracy(&self) -> f64 {
        share(&self.seed_right)
    }

    /// All tokens that were taken before the evaluation.
    pub fn tokens(&self) -> u64 {
        self.spent.iter().map(|spent| spent.tokens).sum()
    }

    /// All calls that were made before the evaluation.
    pub fn calls(&self) -> u64 {
        self.spent.iter().map(|spent| spent.calls).sum()
    }
}

/// One value per case: 1 if it is right, else 0.
pub(super) fn bits(right: &str) -> Vec<f64> {
    right.bytes().map(|byte| f64::from(u8::from(byte == b'1'))).collect()
}

fn share(right: &str) -> f64 {
    if right.is_empty() { 0.0 } else { bits(right).iter().sum::<f64>() / right.len() as f64 }
}

/// Reads the record in a run's folder; `None` if the run is not finished.
pub(super) fn read(folder: &Path) -> Result<Option<CellRecord>, StudyError> {
    let path = folder.join(FILE);
    let fault = |reason: String| StudyError::Files { path: path.clone(), reason };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error.to_string())),
    };
    let record: CellRecord = serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?;
    if record.version != VERSION {
        return Err(fault(format!("it has version {}, and this program reads version {VERSION}", record.version)));
    }
    Ok(Some(record))
}

/// Reads the records of all finished runs below a study's folder, in the order of their names.
///
/// # Errors
/// A file cannot be read, or there is no finished run.
pub fn read_all(folder: &Path) -> Result<Vec<CellRecord>, StudyError> {
    let mut records = Vec::new();
    let mut folders = vec![folder.join("cells")];
    while let Some(folder) = folders.pop() {
        records.extend(read(&folder)?);
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    if records.is_empty() {
        return Err(StudyError::Empty(folder.to_path_buf()));
    }
    records.sort_by(|a, b| (&a.experiment, &a.arm, a.seed).cmp(&(&b.experiment, &b.arm, b.seed)));
    Ok(records)
}
