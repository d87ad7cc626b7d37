//! The report of a finished run: exactly result.json.

use super::accuracy::{Accuracy, Difference};
use super::bill::Bill;
use super::lines::{CopiedLine, JudgeLine, LineageLine, Lines, MisalignmentLine, PromptLine, RankLine, StepLine};
use super::lock::EgressLock;
use crate::base::{Digest, Seed, digest_json};
use crate::prompt::{Rejection, Template};
use crate::rollout::Avoided;
use crate::search::{FinalCheck, Models, SearchResult};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of [`RunReport`]'s JSON form, in its field `schema`.
pub const REPORT_SCHEMA: u32 = 1;

/// What the report is made from.
pub struct Inputs<'a> {
    /// The experiment's name.
    pub name: &'a str,
    /// The search.
    pub result: &'a SearchResult,
    /// The seed prompts on the held-out cases, and case by case; `None` without labelled cases.
    pub seed_accuracy: Option<(Accuracy, &'a [bool])>,
    /// The prompts to use on the same cases.
    pub optimized_accuracy: Option<(Accuracy, &'a [bool])>,
    /// Their paired difference.
    pub difference: Option<Difference>,
    /// The bill.
    pub bill: Bill,
    /// The egress lock, read back at the end.
    pub egress_lock: EgressLock,
    /// Wall seconds of this process's part of the run.
    pub seconds: f64,
    /// Things the user should know: rows left out, a pool smaller than the mini-batch.
    pub warnings: Vec<String>,
    /// The run directory.
    pub dir: &'a Path,
}

/// A finished run, as result.json has it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunReport {
    /// [`REPORT_SCHEMA`].
    pub schema: u32,
    /// The experiment's name.
    pub name: String,
    /// The run's seed.
    #[cfg_attr(test, schemars(with = "u64"))]
    pub seed: Seed,
    /// The models' names and digests, per role.
    pub model: Models,
    /// The seed prompts on the held-out cases.
    pub seed_accuracy: Option<Accuracy>,
    /// The prompts to use on the same cases.
    pub optimized_accuracy: Option<Accuracy>,
    /// Their paired difference.
    pub difference: Option<Difference>,
    /// Whether the seed prompts won the final check and are therefore the prompts to use.
    pub kept_seed: bool,
    /// Seed against optimized prompts on unlabelled queries.
    pub final_check: Option<FinalCheck>,
    /// The prompts, before and after.
    pub prompts: Vec<PromptLine>,
    /// Per-step scores.
    pub steps: Vec<StepLine>,
    /// Every prompt that was tried, and where it comes from.
    pub lineage: Vec<LineageLine>,
    /// Misalignment rates per agent.
    pub misalignment: Vec<MisalignmentLine>,
    /// Rank agreement at each refresh.
    pub rank_agreement: Vec<RankLine>,
    /// What the judge did.
    pub judge: JudgeLine,
    /// Candidates that were not tried, per reason.
    pub rejections: BTreeMap<Rejection, usize>,
    /// Passages that optimized prompts share with queries.
    pub copied: Vec<CopiedLine>,
    /// The bill.
    pub ledger: Bill,
    /// Worker calls that were not needed.
    pub avoided: Avoided,
    /// Agent runs of the search whose prompt was too long for the model; their output counts as empty.
    pub overflows: u64,
    /// Wall seconds of the process that finished the run.
    pub seconds: f64,
    /// Things the user should know.
    pub warnings: Vec<String>,
    /// Whether the process could have reached a network.
    pub egress_lock: EgressLock,
    /// Where the files are.
    pub files: Files,
    /// Digest over prompts and scores: equal for equal results, whatever the time, the machine's load or the cache.
    #[cfg_attr(test, schemars(with = "String"))]
    pub result_hash: Digest,
}

/// The files of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Files {
    /// Agent name → prompt.
    pub prompts: PathBuf,
    /// This report.
    pub result: PathBuf,
    /// Journal and response cache.
    pub journal: PathBuf,
}

impl Files {
    /// The files of the run in `dir`.
    pub fn in_dir(dir: &Path) -> Self {
        Self { prompts: dir.join("prompts.json"), result: dir.join("result.json"), journal: dir.join("run.sqlite") }
    }
}

impl RunReport {
    /// Gathers the report.
    pub fn new(inputs: Inputs<'_>) -> Self {
        let result = inputs.result;
        let lines = Lines(result);
        let (seed_accuracy, seed_cases) = inputs.seed_accuracy.unzip();
        let (optimized_accuracy, optimized_cases) = inputs.optimized_accuracy.unzip();
        Self {
            schema: REPORT_SCHEMA,
            name: inputs.name.to_string(),
            seed: result.seed,
            model: result.models.clone(),
            seed_accuracy,
            optimized_accuracy,
            difference: inputs.difference,
            kept_seed: result.kept_seed,
            final_check: result.final_check.clone(),
            prompts: lines.prompts(),
            steps: lines.steps(),
            lineage: lines.lineage(),
            misalignment: lines.misalignment(),
            rank_agreement: lines.ranks(),
            judge: JudgeLine::of(&result.judge),
            rejections: result.rejections.clone(),
            copied: lines.copied(),
            ledger: inputs.bill,
            avoided: result.avoided,
            overflows: result.overflows,
            seconds: inputs.seconds,
            warnings: inputs.warnings,
            egress_lock: inputs.egress_lock,
            files: Files::in_dir(inputs.dir),
            result_hash: digest_json("maspo run", &(result.result_hash(), seed_cases, optimized_cases)),
        }
    }

    /// result.json, and what `--json` prints.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data") + "\n"
    }

    /// prompts.json: agent name → prompt.
    pub fn prompts_json(&self) -> String {
        let prompts: serde_json::Map<String, serde_json::Value> =
            self.prompts.iter().map(|line| (line.agent.clone(), Template::text(&line.after).into())).collect();
        serde_json::to_string_pretty(&prompts).expect("prompts are plain data") + "\n"
    }

    /// Reads result.json again.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment: another schema, or not a report.
    pub fn from_json(json: &str) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(schema) if schema == u64::from(REPORT_SCHEMA) => {
                serde_json::from_value(value).map_err(|error| error.to_string())
            }
            Some(schema) => Err(format!("the result has schema {schema}, and this maspo reads schema {REPORT_SCHEMA}")),
            None => Err("the result has no schema".to_string()),
        }
    }
}
