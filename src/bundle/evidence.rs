//! The evidence for the prompts of a bundle: where they come from, and what was measured.

use super::BundleError;
use crate::base::{Digest, Hasher, Seed};
use crate::eval::{Evaluation, compare};
use crate::journal::Record;
use crate::report::{Accuracy, Difference, RunReport, VerdictFigures};
use crate::search::{GateTest, SearchResult, Tested};
use serde::{Deserialize, Serialize};

/// The fewest verdicts from which a conclusion is drawn: of five that agree, a sign test's p is
/// 0.06.
const ENOUGH: usize = 6;

/// The evidence for the prompts of a bundle.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Evidence {
    /// The run that the prompts come from.
    pub run: RunOrigin,
    /// Whether these very prompts were measured by the run, or afterwards by its review.
    pub measured_by: MeasuredBy,
    /// What labelled test cases say; absent if none were scored with these prompts.
    pub test: Option<TestEvidence>,
    /// What the judge says of the team's answers to unlabelled queries of the pool.
    pub pool: Option<JudgedEvidence>,
    /// What the labels of these prompts are worth as verdicts on the test cases; absent unless the
    /// run read verdicts with these prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdicts: Option<VerdictFigures>,
}

/// Who measured the prompts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum MeasuredBy {
    /// The run: all of its changes are in the bundle as they were.
    Run,
    /// The review, because some change was rejected or edited.
    Review,
}

/// The run that prompts come from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunOrigin {
    /// The experiment's name.
    pub name: String,
    /// The run's seed.
    #[cfg_attr(test, schemars(with = "u64"))]
    pub seed: Seed,
    /// The name of the method.
    pub method: String,
    /// The digest over the run's prompts and scores, as its report prints it.
    #[cfg_attr(test, schemars(with = "String"))]
    pub result_hash: Digest,
    /// The digest over everything that the run's journal recorded.
    #[cfg_attr(test, schemars(with = "String"))]
    pub journal: Digest,
}

/// What labelled test cases say of the prompts, against the seed prompts on the same cases.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TestEvidence {
    /// The number of cases.
    pub n: usize,
    /// The accuracy with the seed prompts.
    pub seed: Accuracy,
    /// The accuracy with the prompts of the bundle.
    pub prompts: Accuracy,
    /// The paired difference, with its 95 % interval and McNemar's p-value.
    pub difference: Difference,
    /// The number of cases that only the seed prompts got right.
    pub only_seed: usize,
    /// The number of cases that only the prompts of the bundle got right.
    pub only_prompts: usize,
    /// The conclusion that the interval allows.
    pub verdict: TestVerdict,
}

/// The conclusion that an interval of a difference allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TestVerdict {
    /// The prompts are better than the seed prompts.
    Better,
    /// The interval holds zero.
    NoDifferenceShown,
    /// The prompts are worse than the seed prompts.
    Worse,
}

impl TestVerdict {
    /// The conclusion for an interval of a difference, or of a mean less its value for a tie.
    pub fn of((low, high): (f64, f64)) -> Self {
        match () {
            () if low > 0.0 => Self::Better,
            () if high < 0.0 => Self::Worse,
            () => Self::NoDifferenceShown,
        }
    }

    /// The conclusion in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "better than the seed prompts",
            Self::NoDifferenceShown => "no difference shown",
            Self::Worse => "worse than the seed prompts",
        }
    }
}

/// What the judge says of the team's answers, with these prompts against the seed prompts.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JudgedEvidence {
    /// The number of queries.
    pub n: usize,
    /// The mean of the verdicts: 1 for the prompts of the bundle, 0 for the seed prompts, ½ a tie.
    pub mean: f64,
    /// The 95 % percentile interval of the bootstrap over the queries.
    pub ci95: (f64, f64),
    /// The conclusion that the interval allows; ½ means no difference.
    pub verdict: TestVerdict,
    /// Whether the queries were as many as the gate needed (`search.gate`). The interval is then
    /// its lower bound, which holds whenever it stopped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub anytime: bool,
}

fn is_false(truth: &bool) -> bool {
    !*truth
}

impl TestEvidence {
    /// What the evaluations of the seed prompts and of others on the same cases say.
    pub fn of(seed: &Evaluation, prompts: &Evaluation, draws: Seed) -> Self {
        let accuracy = |evaluation: &Evaluation| {
            let crate::eval::Accuracy { n, correct, accuracy, ci95, .. } = evaluation.accuracy;
            Accuracy { n, correct, accuracy, ci95 }
        };
        let found = compare(seed, prompts, draws);
        Self {
            n: found.n,
            seed: accuracy(seed),
            prompts: accuracy(prompts),
            difference: Difference { value: found.value, ci95: found.ci95, mcnemar_p: found.mcnemar_p },
            only_seed: found.only_first,
            only_prompts: found.only_second,
            verdict: TestVerdict::of(found.ci95),
        }
    }
}

impl JudgedEvidence {
    /// What verdicts say, one per query; `None` without any.
    pub fn of(verdicts: &[f64], draws: Seed) -> Option<Self> {
        if verdicts.is_empty() {
            return None;
        }
        let n = verdicts.len();
        let gains: Vec<f64> = verdicts.iter().map(|verdict| verdict - 0.5).collect();
        let (low, high) = crate::stats::paired_bootstrap(&gains, draws);
        let mean = verdicts.iter().sum::<f64>() / n as f64;
        // Equal verdicts on a few queries have an interval without width, which shows nothing.
        let verdict = if n < ENOUGH { TestVerdict::NoDifferenceShown } else { TestVerdict::of((low, high)) };
        Some(Self { n, mean, ci95: (low + 0.5, high + 0.5), verdict, anytime: false })
    }

    /// What a run's comparison with the seed prompts says of the prompts that it ended with; `None`
    /// if they were not those that were compared.
    fn of_run(result: &SearchResult) -> Option<Self> {
        let check = result.final_check.as_ref().filter(|_| !result.kept_seed)?;
        if result.gate.is_empty() {
            return if check.optimized == result.prompts { Self::of(&check.values, result.seed) } else { None };
        }
        let is_of_prompts = |test: &&GateTest| match &test.tested {
            Tested::Team => check.kept.is_none() && check.optimized == result.prompts,
            Tested::Part(_) => check.kept.as_ref() == Some(&result.prompts),
            Tested::Change(_) => false,
        };
        let test = result.gate.iter().rfind(is_of_prompts)?;
        let verdict = if test.is_shown() { TestVerdict::Better } else { TestVerdict::NoDifferenceShown };
        Some(Self { n: test.values.len(), mean: test.mean?, ci95: (test.at_least, 1.0), verdict, anytime: true })
    }
}

impl Evidence {
    /// The evidence of a finished run for the prompts that it ended with.
    ///
    /// # Errors
    /// The run's record is damaged.
    pub(super) fn of_run(record: &Record, result: &SearchResult, report: &RunReport) -> Result<Self, BundleError> {
        let evaluation = |name: &str| -> Result<Option<Evaluation>, BundleError> {
            let Some(json) = record.evaluations.get(name) else { return Ok(None) };
            serde_json::from_str(json).map(Some).map_err(|error| BundleError::Malformed {
                file: record.dir.join("run.sqlite"),
                problem: format!("evaluation {name}: {error}"),
            })
        };
        let test = match (evaluation("seed")?, evaluation("optimized")?) {
            (Some(seed), Some(prompts)) if seed.items.len() == prompts.items.len() => {
                Some(TestEvidence::of(&seed, &prompts, report.seed))
            }
            _ => None,
        };
        Ok(Self {
            run: RunOrigin {
                name: report.name.clone(),
                seed: report.seed,
                method: report.method.clone().unwrap_or_else(|| "maspo".to_string()),
                result_hash: report.result_hash,
                journal: journal_digest(record),
            },
            measured_by: MeasuredBy::Run,
            test,
            pool: JudgedEvidence::of_run(result),
            verdicts: report.verdicts.clone().map(with_threshold_rounded_up),
        })
    }
}

/// Returns figures whose threshold has as many digits as a bundle keeps. It is rounded up, so that
/// nothing is called positive which the exact threshold would not.
fn with_threshold_rounded_up(mut figures: VerdictFigures) -> VerdictFigures {
    if let Some(above) = figures.threshold.as_mut().and_then(|threshold| threshold.above.as_mut()) {
        *above = super::file::rounded(*above, f64::ceil);
    }
    figures
}

/// Returns the digest over everything that a run's journal recorded.
fn journal_digest(record: &Record) -> Digest {
    let mut hasher = Hasher::new("maspo journal");
    for event in &record.events {
        hasher.field(serde_json::to_string(event).expect("an event is plain data").as_bytes());
    }
    for (name, evaluation) in &record.evaluations {
        hasher.field(name.as_bytes()).field(evaluation.as_bytes());
    }
    hasher.field(record.result.as_deref().unwrap_or_default().as_bytes());
    hasher.finish()
}
