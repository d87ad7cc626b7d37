//! The results file: one JSON line per finished run, written at once, so that a study can be
//! stopped, resumed and extended. It does not know how runs are made, nor tables.

use crate::arms::Arm;
use anyhow::{Context, ensure};
use maspo::base::Digest;
use maspo::chat::LedgerLine;
use maspo::judge::JudgeStats;
use maspo::search::FinalVerdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The version of a line's format.
pub(crate) const VERSION: u32 = 1;

/// One finished run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) version: u32,
    /// The seed of the search.
    pub(crate) seed: u64,
    /// The arm, by [`Arm::key`].
    pub(crate) arm: String,
    /// The model's name, for people.
    pub(crate) model: String,
    /// The digest of everything that decides the result: model, settings (seed and arm among them),
    /// prompts, data.
    pub(crate) setup: Digest,
    /// The number of test cases.
    pub(crate) cases: usize,
    /// The number of test cases that the final prompts get right.
    pub(crate) correct: usize,
    /// The results of the search, if the arm searches.
    pub(crate) search: Option<Search>,
    /// The final prompts, by agent.
    pub(crate) prompts: BTreeMap<String, String>,
}

/// The results of a search.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Search {
    /// The final check of the seed prompts against the optimized ones.
    pub(crate) verdict: FinalVerdict,
    /// The number of test cases that the optimized prompts get right, whether they are kept or not.
    pub(crate) correct_before_check: usize,
    /// The agents whose optimized prompt contains the trap clause.
    pub(crate) trapped: Vec<String>,
    pub(crate) judge: JudgeStats,
    /// The bill of the search alone, without a response cache.
    pub(crate) worker: Bill,
    pub(crate) optimizer: Bill,
    pub(crate) judging: Bill,
    /// Wall-clock seconds from start to end, while other runs are in flight.
    pub(crate) seconds: f64,
}

/// Calls and tokens of one role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bill {
    pub(crate) calls: u64,
    pub(crate) tokens_read: u64,
    pub(crate) tokens_written: u64,
}

impl From<LedgerLine> for Bill {
    fn from(line: LedgerLine) -> Self {
        Self {
            calls: line.calls,
            tokens_read: line.prefilled_tokens + line.reused_tokens,
            tokens_written: line.decoded_tokens,
        }
    }
}

impl Record {
    /// The share of the test set that the final prompts get right.
    pub(crate) fn accuracy(&self) -> f64 {
        self.correct as f64 / self.cases as f64
    }

    /// The share that the prompts before the final check get right.
    pub(crate) fn accuracy_before_check(&self) -> f64 {
        self.search.as_ref().map_or(self.correct, |search| search.correct_before_check) as f64 / self.cases as f64
    }
}

/// Returns the runs of one arm, by seed.
pub(crate) fn of_arm<'a>(records: &'a [Record], arm: &str) -> BTreeMap<u64, &'a Record> {
    records.iter().filter(|record| record.arm == arm).map(|record| (record.seed, record)).collect()
}

/// The results file, open for more lines.
pub(crate) struct Results {
    path: PathBuf,
    file: File,
    pub(crate) records: Vec<Record>,
}

impl Results {
    /// Opens the file, or creates it. An incomplete last line, which a kill can leave, is dropped.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        let file = OpenOptions::new().create(true).append(true).open(path).with_context(named)?;
        let text = std::fs::read_to_string(path).with_context(named)?;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).with_context(named)?;
        Ok(Self { records: parse(path, &text[..whole])?, path: path.to_path_buf(), file })
    }

    /// The records of a file, for the report.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Record>> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        parse(path, &text[..text.rfind('\n').map_or(0, |at| at + 1)])
    }

    /// Whether this run is in the file.
    pub(crate) fn has(&self, seed: u64, arm: Arm, setup: Digest) -> anyhow::Result<bool> {
        let known = self.records.iter().find(|record| record.seed == seed && record.arm == arm.key);
        if let Some(record) = known {
            ensure!(
                record.setup == setup,
                "{} holds seed {seed} of `{}` for another model, other settings or other data; give another file with \
                 --results",
                self.path.display(),
                arm.key
            );
        }
        Ok(known.is_some())
    }

    /// Adds a run; it is on disk when this returns.
    pub(crate) fn push(&mut self, record: Record) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(&record)?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).with_context(|| self.path.display().to_string())?;
        self.file.sync_data().with_context(|| self.path.display().to_string())?;
        self.records.push(record);
        Ok(())
    }
}

fn parse(path: &Path, text: &str) -> anyhow::Result<Vec<Record>> {
    let record = |(at, line): (usize, &str)| -> anyhow::Result<Record> {
        let record: Record = serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), at + 1))?;
        ensure!(record.version == VERSION, "{}:{}: version {}", path.display(), at + 1, record.version);
        Ok(record)
    };
    text.lines().enumerate().map(record).collect()
}
