//! Verdicts: how sure a team is of each label, what telling positive from negative cases is worth,
//! a threshold for a rate of false positives, and what abstention buys.

use super::label_scores::LabelScores;
use crate::base::Seed;
use crate::stats::{
    CoveragePoint, Ranking, Threshold, at_coverage, calibration_error, coverage, rate_lower, rate_upper, risk_area,
    wilson,
};
use serde::{Deserialize, Serialize};

/// The shares of cases at which the risk is reported.
const SHARES: [f64; 5] = [1.0, 0.95, 0.9, 0.8, 0.5];

/// How verdicts are read and used.
#[derive(Clone, PartialEq, Debug)]
pub struct VerdictOptions {
    /// All labels.
    pub labels: Vec<String>,
    /// The labels that stand for a positive case, such as abuse; empty if no label does.
    pub positive: Vec<String>,
    /// The rate of false positives that a threshold must keep to.
    pub max_fpr: Option<f64>,
    /// The margin, in nats, below which a verdict is `unsure`.
    pub unsure_below: Option<f64>,
}

/// A case as verdicts see it.
#[derive(Clone, PartialEq, Debug)]
pub struct VerdictCase {
    /// The case's id.
    pub id: String,
    /// The gold label.
    pub gold: String,
    /// The label that the team wrote; `None` if it wrote none.
    pub written: Option<String>,
    /// How likely each label is; `None` if it could not be read.
    pub scores: Option<LabelScores>,
}

/// What verdicts say of one set of cases.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdicts {
    /// All labels.
    pub labels: Vec<String>,
    /// The labels that stand for a positive case.
    pub positive: Vec<String>,
    /// The number of cases.
    pub n: usize,
    /// The number of cases whose labels could not be scored. They count as wrong and as not
    /// covered, and are left out of the curves.
    pub unread: usize,
    /// The number of cases without a whole answer, whose labels were scored at the end of the
    /// output.
    pub forced: usize,
    /// The number of cases whose likeliest label is the one that the team wrote.
    pub as_written: usize,
    /// The number of cases whose likeliest label is right.
    pub correct: usize,
    /// The share of cases whose likeliest label is right.
    pub accuracy: f64,
    /// Wilson's 95 % interval of it.
    pub ci95: (f64, f64),
    /// The mean of −ln of the probability of the gold label; absent without cases.
    pub log_loss: Option<f64>,
    /// The expected calibration error of the likeliest label, over ten bins; absent without cases.
    pub calibration_error: Option<f64>,
    /// The ROC curve; absent without positive labels, positive cases or negative cases.
    pub roc: Option<Roc>,
    /// Precision and recall; absent without positive labels or positive cases.
    pub precision_recall: Option<PrecisionRecall>,
    /// The threshold; absent if none was asked for.
    pub threshold: Option<ThresholdReport>,
    /// The risk that is left when the least certain cases are not answered.
    pub coverage: Coverage,
    /// The cases, in their order.
    pub items: Vec<Verdict>,
}

/// The ROC curve of the positive labels.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Roc {
    /// The area under it.
    pub auc: f64,
    /// The 95 % interval of the area (DeLong).
    pub ci95: (f64, f64),
    /// The number of positive cases.
    pub positives: usize,
    /// The number of negative cases.
    pub negatives: usize,
    /// The points at which the curve turns, from the highest score down.
    pub points: Vec<RocPoint>,
}

/// A point of the curves: cases with this score or more are called positive.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RocPoint {
    /// The score.
    pub score: f64,
    /// The share of negative cases that are called positive.
    pub fpr: f64,
    /// The share of positive cases that are called positive: the recall.
    pub tpr: f64,
    /// The share of the cases called positive that are.
    pub precision: f64,
}

/// The summary of precision over recall.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PrecisionRecall {
    /// The average precision.
    pub average_precision: f64,
    /// Its 95 % interval, from resamples of the positive and of the negative cases.
    pub ci95: (f64, f64),
}

/// A threshold that was asked for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ThresholdReport {
    /// The rate of false positives that it must keep to.
    pub max_fpr: f64,
    /// The set of cases that it was chosen on.
    pub chosen_on: String,
    /// Cases whose score is greater than this are called positive; absent if there are too few
    /// negative cases to choose it.
    pub above: Option<f64>,
    /// The threshold as a probability of all positive labels together.
    pub above_probability: Option<f64>,
    /// The number of negative cases that a threshold needs at least.
    pub needed_negatives: usize,
    /// The rates on the cases that it was chosen on.
    pub chosen: Rates,
    /// The rates on other cases; absent if there are none, or no threshold.
    pub checked: Option<Rates>,
}

/// What a threshold does to a set of cases.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rates {
    /// The number of negative cases.
    pub negatives: usize,
    /// The number of these that are called positive.
    pub false_positives: usize,
    /// The rate of false positives; 0 without negative cases.
    pub fpr: f64,
    /// The ends of Clopper and Pearson's one-sided 95 % intervals of that rate.
    pub fpr_bounds95: (f64, f64),
    /// The number of positive cases.
    pub positives: usize,
    /// The number of these that are called positive.
    pub true_positives: usize,
    /// Their share; 0 without positive cases.
    pub recall: f64,
    /// Wilson's 95 % interval of it.
    pub recall_ci95: (f64, f64),
}

/// The risk that is left when the least certain cases are not answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Coverage {
    /// The area under the curve of risk over coverage; absent without cases.
    pub risk_area: Option<f64>,
    /// The risk at some shares of covered cases, from all down.
    pub points: Vec<Covered>,
    /// What the experiment's margin does; absent without one.
    pub unsure_below: Option<Covered>,
}

/// The cases that are decided if verdicts with a smaller margin are `unsure`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Covered {
    /// The margin, in nats.
    pub margin: f64,
    /// The number of decided cases.
    pub covered: usize,
    /// Their share of all cases.
    pub coverage: f64,
    /// The number of decided cases whose label is wrong.
    pub wrong: usize,
    /// Their share of the decided cases; 0 without any.
    pub risk: f64,
    /// Wilson's 95 % interval of it.
    pub risk_ci95: (f64, f64),
}

/// The verdict on one case. The gold label is not recorded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The case's id.
    pub id: String,
    /// The likeliest label; absent if the labels could not be scored.
    pub label: Option<String>,
    /// The log-probability of each label as the answer.
    pub logprobs: Vec<f64>,
    /// The probability of each label, if it is one of them.
    pub probabilities: Vec<f64>,
    /// The log-odds of the positive labels together against the others, in nats; absent without
    /// positive labels.
    pub score: Option<f64>,
    /// The lead of the likeliest label over the second, in nats.
    pub margin: Option<f64>,
    /// Whether the margin is too small for a verdict, or the case could not be read.
    pub unsure: bool,
    /// Whether the score is above the threshold; absent without one.
    pub flagged: Option<bool>,
    /// Whether the output held no whole answer.
    pub forced: bool,
}

/// The sets of cases that verdicts are read on.
pub struct VerdictInput<'a> {
    /// The name of the set that is reported.
    pub split: &'a str,
    /// Its cases.
    pub cases: &'a [VerdictCase],
    /// The cases of `data.train`, if a threshold is wanted and these are others.
    pub train: Option<&'a [VerdictCase]>,
    /// The seed of the resamples.
    pub seed: Seed,
}

impl Verdicts {
    /// Reads the verdicts.
    pub fn new(options: &VerdictOptions, input: &VerdictInput<'_>) -> Self {
        let VerdictOptions { labels, positive, max_fpr, unsure_below } = options;
        let is_positive: Vec<bool> = labels.iter().map(|label| positive.contains(label)).collect();
        let judge = |case: &VerdictCase| Reading::of(case, labels, &is_positive);
        let cases = input.cases;
        let readings: Vec<Option<Reading>> = cases.iter().map(judge).collect();
        let read = || cases.iter().zip(&readings).filter_map(|(case, reading)| Some((case, reading.as_ref()?)));
        let scored = |cases: &[VerdictCase]| -> Vec<(f64, bool)> {
            let score = |case: &VerdictCase| Some((judge(case)?.score?, positive.contains(&case.gold)));
            cases.iter().filter_map(score).collect()
        };
        let ranking = (!positive.is_empty()).then(|| Ranking::new(&scored(cases)));
        let threshold = max_fpr.zip(ranking.as_ref()).map(|(max_fpr, own)| match input.train {
            Some(train) => ThresholdReport::new(max_fpr, "train", &Ranking::new(&scored(train)), Some(own)),
            None => ThresholdReport::new(max_fpr, input.split, own, None),
        });
        let above = threshold.as_ref().and_then(|threshold| threshold.above);
        let right = |case: &VerdictCase, reading: &Reading| labels[reading.likeliest] == case.gold;
        let (n, correct) = (cases.len(), read().filter(|(case, reading)| right(case, reading)).count());
        let count = |test: &dyn Fn(&VerdictCase, &Reading) -> bool| read().filter(|(c, r)| test(c, r)).count();
        let losses: Vec<f64> = read().filter_map(|(case, reading)| reading.loss(&case.gold, labels)).collect();
        let confidences: Vec<_> = read().map(|(case, r)| (r.probabilities[r.likeliest], right(case, r))).collect();
        let margins: Vec<_> = read().map(|(case, reading)| (reading.margin, !right(case, reading))).collect();
        let is_unsure = |reading: &Reading| unsure_below.is_some_and(|least| reading.margin < least);
        let item = |(case, reading): (&VerdictCase, &Option<Reading>)| match (reading, &case.scores) {
            (Some(reading), Some(LabelScores { logprobs, forced })) => Verdict {
                id: case.id.clone(),
                label: Some(labels[reading.likeliest].clone()),
                logprobs: logprobs.clone(),
                probabilities: reading.probabilities.clone(),
                score: reading.score,
                margin: Some(reading.margin),
                unsure: is_unsure(reading),
                flagged: above.zip(reading.score).map(|(above, score)| score > above),
                forced: *forced,
            },
            _ => Verdict {
                id: case.id.clone(),
                label: None,
                logprobs: Vec::new(),
                probabilities: Vec::new(),
                score: None,
                margin: None,
                unsure: true,
                flagged: None,
                forced: false,
            },
        };
        Self {
            labels: labels.clone(),
            positive: positive.clone(),
            n,
            unread: n - read().count(),
            forced: count(&|case, _| case.scores.as_ref().is_some_and(|scores| scores.forced)),
            as_written: count(&|case, reading| case.written.as_ref() == Some(&labels[reading.likeliest])),
            correct,
            accuracy: share(correct, n),
            ci95: wilson(correct, n),
            log_loss: (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64),
            calibration_error: calibration_error(&confidences),
            roc: ranking.as_ref().and_then(roc),
            precision_recall: ranking.as_ref().and_then(|ranking| precision_recall(ranking, input.seed)),
            threshold,
            coverage: Coverage::new(&margins, n, *unsure_below),
            items: cases.iter().zip(&readings).map(item).collect(),
        }
    }
}

/// What the scores of one case say.
struct Reading {
    likeliest: usize,
    probabilities: Vec<f64>,
    margin: f64,
    score: Option<f64>,
}

impl Reading {
    fn of(case: &VerdictCase, labels: &[String], is_positive: &[bool]) -> Option<Self> {
        let logprobs = &case.scores.as_ref()?.logprobs;
        let all = ln_sum(logprobs.iter().copied());
        // If two labels are equally likely, the first one counts.
        let likeliest = (1..labels.len()).fold(0, |best, at| if logprobs[at] > logprobs[best] { at } else { best });
        let others = logprobs.iter().enumerate().filter(|(at, _)| *at != likeliest).map(|(_, logprob)| *logprob);
        let second = others.fold(f64::NEG_INFINITY, f64::max);
        let of = |kind| ln_sum(logprobs.iter().zip(is_positive).filter(|(_, is)| **is == kind).map(|(p, _)| *p));
        Some(Self {
            likeliest,
            probabilities: logprobs.iter().map(|logprob| (logprob - all).exp().min(1.0)).collect(),
            margin: logprobs[likeliest] - second,
            score: is_positive.contains(&true).then(|| of(true) - of(false)),
        })
    }

    /// Returns −ln of the probability of the gold label. Probabilities are floored, because one of
    /// 0 would make every mean infinite.
    fn loss(&self, gold: &str, labels: &[String]) -> Option<f64> {
        let at = labels.iter().position(|label| label == gold)?;
        Some(-self.probabilities[at].max(f64::MIN_POSITIVE).ln())
    }
}

/// Returns ln Σ exp x.
fn ln_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    most + values.map(|value| (value - most).exp()).sum::<f64>().ln()
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}

fn roc(ranking: &Ranking) -> Option<Roc> {
    let (positives, negatives) = (ranking.positives(), ranking.negatives());
    let point = |point: crate::stats::CurvePoint| RocPoint {
        score: point.threshold,
        fpr: share(point.false_positives, negatives),
        tpr: share(point.true_positives, positives),
        precision: share(point.true_positives, point.true_positives + point.false_positives),
    };
    let points = ranking.corners().into_iter().map(point).collect();
    Some(Roc { auc: ranking.auc()?, ci95: ranking.auc_interval()?, positives, negatives, points })
}

fn precision_recall(ranking: &Ranking, seed: Seed) -> Option<PrecisionRecall> {
    let average_precision = ranking.average_precision()?;
    Some(PrecisionRecall { average_precision, ci95: ranking.average_precision_interval(seed)? })
}

impl ThresholdReport {
    /// Chooses a threshold on one ranking, and checks it on another.
    fn new(max_fpr: f64, chosen_on: &str, chosen: &Ranking, checked: Option<&Ranking>) -> Self {
        let above = match chosen.threshold(max_fpr) {
            Threshold::Above(above) => Some(above),
            Threshold::TooFewNegatives { .. } => None,
        };
        Self {
            max_fpr,
            chosen_on: chosen_on.to_string(),
            above,
            above_probability: above.map(|above| 1.0 / (1.0 + (-above).exp())),
            needed_negatives: crate::stats::fewest_draws(max_fpr),
            chosen: Rates::new(chosen, above.unwrap_or(f64::INFINITY)),
            checked: above.zip(checked).map(|(above, ranking)| Rates::new(ranking, above)),
        }
    }
}

impl Rates {
    fn new(ranking: &Ranking, above: f64) -> Self {
        let (negatives, positives) = (ranking.negatives(), ranking.positives());
        let (true_positives, false_positives) = ranking.above(above);
        Self {
            negatives,
            false_positives,
            fpr: share(false_positives, negatives),
            fpr_bounds95: (rate_lower(false_positives, negatives), rate_upper(false_positives, negatives)),
            positives,
            true_positives,
            recall: share(true_positives, positives),
            recall_ci95: wilson(true_positives, positives),
        }
    }
}

impl Coverage {
    fn new(margins: &[(f64, bool)], n: usize, unsure_below: Option<f64>) -> Self {
        let points = coverage(margins);
        let covered = |point: CoveragePoint| Covered::new(point.margin, point.covered, point.wrong, n);
        let mut shown: Vec<Covered> =
            SHARES.iter().filter_map(|share| at_coverage(&points, *share)).map(covered).collect();
        shown.dedup();
        let unsure_below = unsure_below.map(|margin| {
            let last = points.iter().take_while(|point| point.margin >= margin).last();
            let (covered, wrong) = last.map_or((0, 0), |point| (point.covered, point.wrong));
            Covered::new(margin, covered, wrong, n)
        });
        Self { risk_area: risk_area(&points), points: shown, unsure_below }
    }
}

impl Covered {
    fn new(margin: f64, covered: usize, wrong: usize, n: usize) -> Self {
        let (coverage, risk) = (share(covered, n), share(wrong, covered));
        Self { margin, covered, coverage, wrong, risk, risk_ci95: wilson(wrong, covered) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: [&str; 3] = ["human", "scraper", "scalper"];

    fn options(max_fpr: Option<f64>, unsure_below: Option<f64>) -> VerdictOptions {
        let own = |labels: &[&str]| labels.iter().map(ToString::to_string).collect();
        VerdictOptions { labels: own(&LABELS), positive: own(&LABELS[1..]), max_fpr, unsure_below }
    }

    fn case(id: usize, gold: &str, probabilities: [f64; 3]) -> VerdictCase {
        let logprobs = probabilities.iter().map(|p: &f64| p.ln()).collect();
        let scores = Some(LabelScores { logprobs, forced: false });
        VerdictCase { id: id.to_string(), gold: gold.into(), written: Some("human".into()), scores }
    }

    fn verdicts(options: &VerdictOptions, cases: &[VerdictCase], train: Option<&[VerdictCase]>) -> Verdicts {
        Verdicts::new(options, &VerdictInput { split: "test", cases, train, seed: Seed(1) })
    }

    #[track_caller]
    fn close(got: f64, expected: f64) {
        assert!((got - expected).abs() < 1e-12, "{got} and {expected}");
    }

    /// The labels have half of all probability, so theirs are twice as high among themselves.
    #[test]
    fn a_verdict_agrees_with_one_worked_by_hand() {
        let unread = VerdictCase { scores: None, ..case(2, "human", [0.1; 3]) };
        let cases = [case(0, "scraper", [0.1, 0.15, 0.25]), case(1, "human", [0.35, 0.1, 0.05]), unread];
        let got = verdicts(&options(None, Some(1.0)), &cases, None);
        let first = &got.items[0];
        assert_eq!(first.label.as_deref(), Some("scalper"));
        [0.2, 0.3, 0.5].iter().zip(&first.probabilities).for_each(|(expected, got)| close(*got, *expected));
        close(first.score.unwrap(), (0.8_f64 / 0.2).ln());
        close(first.margin.unwrap(), (0.25_f64 / 0.15).ln());
        assert_eq!((first.unsure, first.flagged, first.forced), (true, None, false));
        close(got.items[1].score.unwrap(), (0.3_f64 / 0.7).ln());
        assert!(!got.items[1].unsure && got.items[2].unsure && got.items[2].label.is_none());

        assert_eq!((got.n, got.unread, got.correct, got.as_written, got.forced), (3, 1, 1, 1, 0));
        close(got.accuracy, 1.0 / 3.0);
        close(got.log_loss.unwrap(), -(0.3_f64.ln() + 0.7_f64.ln()) / 2.0);
        // At 0.5 nothing is right, at 0.7 everything is.
        close(got.calibration_error.unwrap(), (0.5 + 0.3) / 2.0);
        let roc = got.roc.unwrap();
        assert_eq!((roc.auc, roc.positives, roc.negatives), (1.0, 1, 1));
        assert_eq!(
            roc.points.iter().map(|p| (p.fpr, p.tpr, p.precision)).collect::<Vec<_>>(),
            [(0.0, 1.0, 1.0), (1.0, 1.0, 0.5)]
        );
        let unsure = got.coverage.unsure_below.unwrap();
        assert_eq!((unsure.covered, unsure.wrong, unsure.risk), (1, 0, 0.0));
        close(unsure.coverage, 1.0 / 3.0);
        let all = got.coverage.points[0];
        assert_eq!((all.covered, all.wrong, all.risk), (2, 1, 0.5), "a case that was not read is not covered");
    }

    /// Negative cases whose positive probability is `at` thousandths, and one positive case.
    fn spread(negatives: usize) -> Vec<VerdictCase> {
        let of = |at: usize, gold| {
            let p = (at + 1) as f64 / 1000.0;
            case(at, gold, [1.0 - p, p / 2.0, p / 2.0])
        };
        (0..negatives).map(|at| of(at, "human")).chain([of(900, "scalper")]).collect()
    }

    #[test]
    fn a_threshold_is_chosen_on_train_and_checked_on_test() {
        let (train, test) = (spread(93), spread(100));
        let got = verdicts(&options(Some(0.05), None), &test, Some(&train));
        let threshold = got.threshold.as_ref().unwrap();
        assert_eq!((threshold.chosen_on.as_str(), threshold.needed_negatives), ("train", 59));
        // One of the 93 may be above: that of 93 thousandths.
        assert!((threshold.above_probability.unwrap() - 0.092).abs() < 1e-9);
        assert_eq!((threshold.chosen.false_positives, threshold.chosen.negatives), (1, 93));
        assert!(threshold.chosen.fpr_bounds95.1 <= 0.05);
        let checked = threshold.checked.unwrap();
        assert_eq!((checked.false_positives, checked.negatives, checked.true_positives), (8, 100, 1));
        assert_eq!(checked.fpr, 0.08);
        assert_eq!(got.items.iter().filter(|item| item.flagged == Some(true)).count(), 9);
    }

    #[test]
    fn too_few_negatives_give_no_threshold_but_the_number_needed() {
        let got = verdicts(&options(Some(0.05), None), &spread(20), Some(&spread(58)));
        let threshold = got.threshold.unwrap();
        assert_eq!((threshold.above, threshold.checked, threshold.needed_negatives), (None, None, 59));
        assert_eq!((threshold.chosen.negatives, threshold.chosen.false_positives), (58, 0));
        assert!(got.items.iter().all(|item| item.flagged.is_none()));
        // On its own cases a threshold cannot be checked.
        let own = verdicts(&options(Some(0.05), None), &spread(60), None).threshold.unwrap();
        assert_eq!((own.chosen_on.as_str(), own.above.is_some(), own.checked), ("test", true, None));
    }

    #[test]
    fn without_positive_labels_there_is_coverage_alone() {
        let labels_only = VerdictOptions { positive: vec![], ..options(None, None) };
        let got = verdicts(&labels_only, &spread(3), None);
        assert!(got.roc.is_none() && got.precision_recall.is_none() && got.items[0].score.is_none());
        assert_eq!((got.correct, got.coverage.points.len()), (3, 2), "all, and at least half");
        let none = verdicts(&options(None, Some(1.0)), &[], None);
        assert_eq!((none.n, none.log_loss, none.coverage.risk_area), (0, None, None));
    }
}
