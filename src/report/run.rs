//! The report of a finished run, which is exactly result.json.

use super::accuracy::{Accuracy, Difference, ScoredBy};
use super::bill::Bill;
use super::gate::GateReport;
use super::lines::{
    CopiedLine, JudgeLine, LineageLine, Lines, MisalignmentLine, PromptLine, RankCorrelationLine, StepLine,
};
use super::lock::EgressLock;
use super::verdicts::VerdictFigures;
use crate::base::{Digest, Seed, digest_json};
use crate::prompt::{Rejection, Template};
use crate::rollout::{Avoided, System};
use crate::search::{FinalCheck, Learned, Models, SearchResult, Stopped, Trial};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The version of [`RunReport`]'s JSON form, in its field `schema`.
pub const REPORT_SCHEMA: u32 = 1;

/// The inputs of a report.
pub struct Inputs<'a> {
    /// The experiment's name.
    pub name: &'a str,
    /// The result of the search.
    pub result: &'a SearchResult,
    /// The accuracy of the seed prompts on the held-out cases, and which cases were right; `None`
    /// without labelled cases.
    pub seed_accuracy: Option<(Accuracy, &'a [bool])>,
    /// The accuracy of the prompts to use, in the same form.
    pub optimized_accuracy: Option<(Accuracy, &'a [bool])>,
    /// The paired difference of the two accuracies.
    pub difference: Option<Difference>,
    /// The scorer of both; `None` without labelled cases.
    pub scored_by: Option<ScoredBy>,
    /// The bill.
    pub bill: Bill,
    /// The state of the egress lock at the end.
    pub egress_lock: EgressLock,
    /// The wall-clock seconds that this process spent on the run.
    pub seconds: f64,
    /// Warnings for the user: rows that were skipped, a pool smaller than the mini-batch.
    pub warnings: Vec<String>,
    /// The run directory.
    pub dir: &'a Path,
}

/// A finished run in the form of result.json.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunReport {
    /// The version of this form, [`REPORT_SCHEMA`].
    pub schema: u32,
    /// The experiment's name.
    pub name: String,
    /// The run's seed.
    #[cfg_attr(test, schemars(with = "u64"))]
    pub seed: Seed,
    /// The models' names and digests, per role.
    pub model: Models,
    /// The name of the method; absent for MASPO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The number of labelled items of `data.train` that the method could learn from; absent for
    /// methods without labels.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub labelled: usize,
    /// Why the run ended before its method was done; absent if it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// Whether a clock or a stop file ended the run, so that the result depends on the machine.
    #[serde(default, skip_serializing_if = "is_false")]
    pub clock_limited: bool,
    /// The system to use, if it is not the experiment's graph with these prompts, run once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<System>,
    /// The whole teams that were tried, by methods that try such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trials: Vec<Trial>,
    /// What was learned about edges, by the method that does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<Learned>,
    /// The accuracy of the seed prompts on the held-out cases.
    pub seed_accuracy: Option<Accuracy>,
    /// The accuracy of the prompts to use on the held-out cases.
    pub optimized_accuracy: Option<Accuracy>,
    /// The paired difference of the two accuracies.
    pub difference: Option<Difference>,
    /// The scorer of both.
    #[serde(flatten)]
    pub scored_by: Option<ScoredBy>,
    /// What the labels of the optimized prompts are worth as verdicts; absent unless the experiment
    /// reads verdicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<VerdictFigures>,
    /// Whether the seed prompts won the final check and are therefore the prompts to use.
    pub kept_seed: bool,
    /// The comparison of seed and optimized prompts on unlabelled queries.
    pub final_check: Option<FinalCheck>,
    /// What the gate found; absent without one (`search.gate`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateReport>,
    /// The prompts, before and after.
    pub prompts: Vec<PromptLine>,
    /// The steps with their scores.
    pub steps: Vec<StepLine>,
    /// Every prompt that was evaluated, and the prompt that it was written from.
    pub lineage: Vec<LineageLine>,
    /// The misalignment rates (Eq. 6) per agent.
    pub misalignment: Vec<MisalignmentLine>,
    /// The rank correlation at each refresh.
    #[serde(rename = "rank_agreement")]
    pub rank_correlation: Vec<RankCorrelationLine>,
    /// The judge's counters and rates.
    pub judge: JudgeLine,
    /// The number of rejected candidates, per reason.
    pub rejections: BTreeMap<Rejection, usize>,
    /// The passages that optimized prompts share with queries.
    pub copied: Vec<CopiedLine>,
    /// The bill.
    pub ledger: Bill,
    /// The number of worker calls that were avoided.
    pub avoided: Avoided,
    /// The number of agent runs of the search whose prompt was too long for the model; their output
    /// counts as empty.
    pub overflows: u64,
    /// The number of agent runs of the search whose output ended in its reasoning; it counts as
    /// empty, too.
    #[serde(default)]
    pub cut_in_reasoning: u64,
    /// The wall-clock seconds of the process that finished the run.
    pub seconds: f64,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// Whether the process could have reached a network.
    pub egress_lock: EgressLock,
    /// The paths of the run's files.
    pub files: Files,
    /// The digest over prompts and scores. It is equal for equal results, whatever the time, the
    /// machine's load or the cache.
    #[cfg_attr(test, schemars(with = "String"))]
    pub result_hash: Digest,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn is_false(truth: &bool) -> bool {
    !*truth
}

/// The files of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Files {
    /// The prompts to use, by agent name.
    pub prompts: PathBuf,
    /// This report.
    pub result: PathBuf,
    /// The journal and the response cache.
    pub journal: PathBuf,
}

impl Files {
    /// Returns the paths of the files of the run in `dir`.
    pub fn in_dir(dir: &Path) -> Self {
        Self { prompts: dir.join("prompts.json"), result: dir.join("result.json"), journal: dir.join("run.sqlite") }
    }
}

impl RunReport {
    /// Builds the report.
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
            method: result.method.clone(),
            labelled: result.labelled,
            stopped: result.stopped,
            clock_limited: result.stopped == Some(Stopped::Clock),
            system: result.system.clone(),
            trials: result.trials.clone(),
            learned: result.learned.clone(),
            seed_accuracy,
            optimized_accuracy,
            difference: inputs.difference,
            scored_by: inputs.scored_by,
            verdicts: None,
            kept_seed: result.kept_seed,
            final_check: result.final_check.clone(),
            gate: GateReport::of(result),
            prompts: lines.prompts(),
            steps: lines.steps(),
            lineage: lines.lineage(),
            misalignment: lines.misalignment(),
            rank_correlation: lines.rank_correlations(),
            judge: JudgeLine::of(&result.judge),
            rejections: result.rejections.clone(),
            copied: lines.copied(),
            ledger: inputs.bill,
            avoided: result.avoided,
            overflows: result.overflows,
            cut_in_reasoning: result.cut_in_reasoning,
            seconds: inputs.seconds,
            warnings: inputs.warnings,
            egress_lock: inputs.egress_lock,
            files: Files::in_dir(inputs.dir),
            result_hash: digest_json("maspo run", &(result.result_hash(), seed_cases, optimized_cases)),
        }
    }

    /// The text of result.json, which `--json` prints too.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data") + "\n"
    }

    /// The text of prompts.json: agent name → prompt.
    pub fn prompts_json(&self) -> String {
        let prompts: serde_json::Map<String, serde_json::Value> =
            self.prompts.iter().map(|line| (line.agent.clone(), Template::text(&line.after).into())).collect();
        serde_json::to_string_pretty(&prompts).expect("prompts are plain data") + "\n"
    }

    /// Parses result.json.
    ///
    /// # Errors
    /// Returns what is wrong with it, as a fragment: another schema, or not a report.
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
