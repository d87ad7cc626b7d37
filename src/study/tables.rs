//! What the records of a study say, as values; and the files that are made of them: `report.md`,
//! `report.csv`, `report.json` and `plots/*.svg`. Nothing here depends on how or when runs were
//! made.

use super::compare::{Comparison, Runs, compare, differences};
use super::file::{Reference, StudyError, StudyFile};
use super::record::CellRecord;
use super::{markdown, plot};
use crate::chat::Spent;
use crate::journal::write_file;
use crate::search::Stopped;
use crate::stats::{MeanInterval, holm, mean_ci, wilson};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The version of the report's JSON form.
const SCHEMA: u32 = 1;

/// The name of the arm that every experiment has.
pub(super) const SEED_ARM: &str = "seed prompts";

/// The differences of every arm to the baseline: a table per experiment that has both.
type Groups = BTreeMap<String, Vec<Vec<Vec<f64>>>>;

/// One arm of one experiment.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ArmReport {
    /// Its name.
    pub arm: String,
    /// The method's name.
    pub method: String,
    /// Why it is not ranked, if it is not.
    pub unranked: Option<String>,
    /// The accuracy of every run, in the order of the seeds.
    pub accuracies: Vec<f64>,
    /// The number of test cases of a run.
    pub cases: usize,
    /// The mean accuracy with Student's 95 % interval over seeds.
    pub accuracy: Option<MeanInterval>,
    /// Wilson's 95 % interval for the mean accuracy on the cases of one run.
    pub wilson: (f64, f64),
    /// The comparison with the baseline; `None` for the baseline itself.
    pub difference: Option<Comparison>,
    /// What worker, optimizer and judge took before the evaluation, in the mean.
    pub spent: [MeanSpent; 3],
    /// The tokens of all roles before the evaluation, in the mean.
    pub tokens: f64,
    /// The tokens of the system's answer to one question, in the mean.
    pub answer_tokens: f64,
    /// The tokens per point of accuracy gained over the seed prompts; `None` without a gain.
    pub tokens_per_point: Option<f64>,
    /// The number of runs that kept the seed prompts after the final check.
    pub kept_seed: usize,
    /// The number of runs that a budget ended.
    pub budget_limited: usize,
    /// The number of runs that a clock ended, which are outside the promise of reproducibility.
    pub clock_limited: usize,
    /// The judge's share of pairs of orders that agreed, over all runs.
    pub judge_consistency: Option<f64>,
    /// The values of varied options, by key.
    pub varied: BTreeMap<String, String>,
}

/// Calls and tokens in the mean over runs.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct MeanSpent {
    /// The number of calls.
    pub calls: f64,
    /// The number of tokens.
    pub tokens: f64,
}

/// One experiment of a study.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExperimentReport {
    /// Its name.
    pub experiment: String,
    /// The models' names.
    pub models: Vec<String>,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The arms, the seed prompts first, then in the order of the study's file.
    pub arms: Vec<ArmReport>,
}

/// The comparison of one arm with the baseline over several experiments.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Overall {
    /// The arm.
    pub arm: String,
    /// The number of experiments that have it.
    pub experiments: usize,
    /// The mean accuracy over these experiments.
    pub accuracy: f64,
    /// The comparison; `None` for the baseline itself.
    pub difference: Option<Comparison>,
}

/// A figure of others.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReferenceReport {
    /// The arm that it is a figure of.
    pub arm: String,
    /// The mean accuracy of this arm here, over the experiments that the figure stands beside;
    /// `None` if it was not run.
    pub here: Option<f64>,
    /// The accuracy.
    pub accuracy: f64,
    /// Whose figure it is.
    pub source: String,
}

/// A study's report.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StudyReport {
    /// The version of this form.
    pub schema: u32,
    /// The study's name.
    pub study: String,
    /// What it asks.
    pub question: String,
    /// The arm that the others are compared with.
    pub baseline: String,
    /// The number of runs.
    pub runs: usize,
    /// The number of runs that the study still lacks.
    pub missing: usize,
    /// The experiments.
    pub experiments: Vec<ExperimentReport>,
    /// The arms over all experiments, if there are several.
    pub overall: Vec<Overall>,
    /// Figures of others.
    pub references: Vec<ReferenceReport>,
}

impl StudyReport {
    /// Computes the report of a study from its records.
    ///
    /// # Errors
    /// Runs of one arm are of different models.
    pub fn new(study: &StudyFile, records: &[CellRecord]) -> Result<Self, StudyError> {
        let cells = super::cells(study);
        let wanted = |record: &&CellRecord| {
            cells
                .iter()
                .any(|cell| (&cell.experiment, &cell.arm, cell.seed) == (&record.experiment, &record.arm, record.seed))
        };
        let records: Vec<&CellRecord> = records.iter().filter(wanted).collect();
        let mut arms: Vec<(String, String)> = Vec::new();
        for cell in &cells {
            let key = (cell.experiment.clone(), cell.arm.clone());
            if !arms.contains(&key) {
                arms.push(key);
            }
        }
        let first = arms.first().map(|(_, arm)| arm.clone()).unwrap_or_default();
        let baseline = study.baseline.clone().unwrap_or(first);
        let names: Vec<String> = study.experiment.iter().map(|experiment| experiment.name()).collect();
        let mut groups = Groups::new();
        let mut experiments = Vec::new();
        for name in names {
            let own: Vec<&CellRecord> = records.iter().copied().filter(|record| record.experiment == name).collect();
            if own.is_empty() {
                continue;
            }
            let order: Vec<&str> = arms.iter().filter(|(of, _)| *of == name).map(|(_, arm)| arm.as_str()).collect();
            experiments.push(experiment(study, &name, &own, &order, (&baseline, &mut groups))?);
        }
        let mut report = Self {
            schema: SCHEMA,
            study: study.name.clone(),
            question: study.question.clone(),
            baseline,
            runs: records.len(),
            missing: cells.len() - records.len(),
            overall: overall(&experiments, &groups),
            references: study.reference.iter().map(|figure| ReferenceReport::of(figure, &experiments)).collect(),
            experiments,
        };
        report.correct();
        Ok(report)
    }

    /// Corrects the p-values of all comparisons by Holm's method.
    fn correct(&mut self) {
        let of_arms = self.experiments.iter_mut().flat_map(|experiment| &mut experiment.arms);
        let of_arms = of_arms.filter_map(|arm| arm.difference.as_mut());
        let mut all: Vec<&mut Comparison> =
            of_arms.chain(self.overall.iter_mut().filter_map(|arm| arm.difference.as_mut())).collect();
        let adjusted = holm(&all.iter().map(|comparison| comparison.p).collect::<Vec<_>>());
        for (comparison, p) in all.iter_mut().zip(adjusted) {
            comparison.p_holm = p;
        }
    }
}

impl ReferenceReport {
    fn of(reference: &Reference, experiments: &[ExperimentReport]) -> Self {
        let beside = experiments.iter().filter(|experiment| reference.is_beside(&experiment.experiment));
        let arms = beside.flat_map(|experiment| &experiment.arms).filter(|arm| arm.arm == reference.arm);
        let means: Vec<f64> = arms.filter_map(|arm| arm.accuracy.map(|interval| interval.mean)).collect();
        let Reference { arm, accuracy, source, .. } = reference.clone();
        Self { arm, here: mean_ci(&means).map(|interval| interval.mean), accuracy, source }
    }
}

fn experiment(
    study: &StudyFile,
    name: &str,
    records: &[&CellRecord],
    order: &[&str],
    (baseline, groups): (&str, &mut Groups),
) -> Result<ExperimentReport, StudyError> {
    // Every run scores the seed prompts too, on the same items: they are an arm of their own.
    let seeds: Vec<CellRecord> = records.iter().map(|record| of_seed_prompts(record)).collect();
    let of_seeds: Runs<'_> = seeds.iter().map(|record| (record.seed, record)).collect();
    let of_arm = |arm: &str| -> Runs<'_> {
        match arm {
            SEED_ARM => of_seeds.clone(),
            _ => records.iter().filter(|record| record.arm == arm).map(|record| (record.seed, *record)).collect(),
        }
    };
    let base = of_arm(baseline);
    let mut arms = Vec::new();
    for arm in [SEED_ARM].into_iter().chain(order.iter().copied()) {
        let runs = of_arm(arm);
        let Some(first) = runs.values().next() else { continue };
        if runs.values().any(|record| record.models != first.models) {
            let problem = format!("the runs of `{arm}` in `{name}` are of different models; remove those of one");
            return Err(StudyError::Faulty { file: PathBuf::from(&study.name), problem });
        }
        let differences = if arm == baseline { None } else { differences(&runs, &base) };
        if let Some(rows) = &differences {
            groups.entry(arm.to_string()).or_default().push(rows.clone());
        }
        let mut report = arm_report(arm, &runs);
        report.unranked = study.unranked.get(arm).or_else(|| study.unranked.get(&report.method)).cloned();
        report.difference = differences.map(|rows| compare(&[rows]));
        arms.push(report);
    }
    let models: BTreeSet<String> = records.iter().map(|record| record.model.clone()).collect();
    let seeds: BTreeSet<u64> = records.iter().map(|record| record.seed).collect();
    Ok(ExperimentReport {
        experiment: name.to_string(),
        models: models.into_iter().collect(),
        seeds: seeds.into_iter().collect(),
        arms,
    })
}

fn of_seed_prompts(record: &CellRecord) -> CellRecord {
    CellRecord {
        arm: SEED_ARM.to_string(),
        method: SEED_ARM.to_string(),
        right: record.seed_right.clone(),
        kept_seed: false,
        stopped: None,
        spent: Default::default(),
        answering: Spent::default(),
        judge: Default::default(),
        varied: BTreeMap::new(),
        ..record.clone()
    }
}

fn arm_report(arm: &str, runs: &Runs<'_>) -> ArmReport {
    let records: Vec<&CellRecord> = runs.values().copied().collect();
    let count = records.len() as f64;
    let accuracies: Vec<f64> = records.iter().map(|record| record.accuracy()).collect();
    let mean = |value: &dyn Fn(&CellRecord) -> f64| records.iter().map(|record| value(record)).sum::<f64>() / count;
    let accuracy = mean_ci(&accuracies);
    let cases = records[0].cases();
    let correct = (accuracy.map_or(0.0, |interval| interval.mean) * cases as f64).round() as usize;
    let spent = [0, 1, 2].map(|role: usize| MeanSpent {
        calls: mean(&|record| record.spent[role].calls as f64),
        tokens: mean(&|record| record.spent[role].tokens as f64),
    });
    let tokens = mean(&|record| record.tokens() as f64);
    let gain = 100.0 * mean(&|record| record.accuracy() - record.seed_accuracy());
    let consistent: u64 = records.iter().map(|record| record.judge.consistent).sum();
    let pairs: u64 = records.iter().map(|record| record.judge.consistent + record.judge.inconsistent).sum();
    let stopped = |why: Stopped| records.iter().filter(|record| record.stopped == Some(why)).count();
    ArmReport {
        arm: arm.to_string(),
        method: records[0].method.clone(),
        unranked: None,
        cases,
        wilson: wilson(correct, cases),
        accuracy,
        accuracies,
        difference: None,
        spent,
        tokens,
        answer_tokens: mean(&|record| record.answering.tokens as f64 / record.cases().max(1) as f64),
        tokens_per_point: (tokens > 0.0 && gain > 0.0).then(|| tokens / gain),
        kept_seed: records.iter().filter(|record| record.kept_seed).count(),
        budget_limited: stopped(Stopped::Budget),
        clock_limited: stopped(Stopped::Clock),
        judge_consistency: (pairs > 0).then(|| consistent as f64 / pairs as f64),
        varied: records[0].varied.clone(),
    }
}

/// Compares the arms over all experiments that have them; empty for a single experiment.
fn overall(experiments: &[ExperimentReport], groups: &Groups) -> Vec<Overall> {
    if experiments.len() < 2 {
        return Vec::new();
    }
    let mut names: Vec<&str> = Vec::new();
    for arm in experiments.iter().flat_map(|experiment| &experiment.arms) {
        if !names.contains(&arm.arm.as_str()) {
            names.push(&arm.arm);
        }
    }
    let one = |name: &&str| {
        let arms = experiments.iter().flat_map(|experiment| &experiment.arms).filter(|arm| arm.arm == *name);
        let means: Vec<f64> = arms.filter_map(|arm| arm.accuracy.map(|interval| interval.mean)).collect();
        Overall {
            arm: name.to_string(),
            experiments: means.len(),
            accuracy: means.iter().sum::<f64>() / means.len().max(1) as f64,
            difference: groups.get(*name).map(|groups| compare(groups)),
        }
    };
    names.iter().map(one).collect()
}

/// Writes the report's files into the study's folder and returns their paths.
///
/// # Errors
/// A file cannot be written.
pub fn write_report(report: &StudyReport, records: &[CellRecord], folder: &Path) -> Result<Vec<PathBuf>, StudyError> {
    let plots = folder.join("plots");
    std::fs::create_dir_all(&plots)
        .map_err(|error| StudyError::Files { path: plots.clone(), reason: error.to_string() })?;
    let json = serde_json::to_string_pretty(report).expect("a report is plain data") + "\n";
    let mut files = vec![
        (folder.join("report.md"), markdown::text(report)),
        (folder.join("report.csv"), csv(records)),
        (folder.join("report.json"), json),
    ];
    files.extend(plot::all(report).into_iter().map(|(name, svg)| (plots.join(name), svg)));
    for (path, text) in &files {
        let fault =
            |error: crate::journal::JournalError| StudyError::Files { path: path.clone(), reason: error.to_string() };
        write_file(path, text).map_err(fault)?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// One line per run.
fn csv(records: &[CellRecord]) -> String {
    let mut text = String::from(
        "experiment,arm,method,seed,cases,accuracy,seed_accuracy,kept_seed,stopped,\
         worker_calls,worker_tokens,optimizer_calls,optimizer_tokens,judge_calls,judge_tokens,\
         answer_tokens,result_hash\n",
    );
    let quoted = |field: &str| format!("\"{}\"", field.replace('"', "\"\""));
    for record in records {
        let stopped = match record.stopped {
            None => "",
            Some(Stopped::Budget) => "budget",
            Some(Stopped::Clock) => "clock",
        };
        let [worker, optimizer, judge] = record.spent;
        text += &format!(
            "{},{},{},{},{},{:.6},{:.6},{},{stopped},{},{},{},{},{},{},{},{}\n",
            quoted(&record.experiment),
            quoted(&record.arm),
            quoted(&record.method),
            record.seed,
            record.cases(),
            record.accuracy(),
            record.seed_accuracy(),
            record.kept_seed,
            worker.calls,
            worker.tokens,
            optimizer.calls,
            optimizer.tokens,
            judge.calls,
            judge.tokens,
            record.answering.tokens,
            record.result_hash.map_or(String::new(), |hash| hash.to_string()),
        );
    }
    text
}
