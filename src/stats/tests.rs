//! Curves, areas and thresholds: values worked by hand, scikit-learn's on the same scores (the file
//! says how it was made), and properties.

use super::*;
use crate::base::Seed;
use proptest::prelude::*;
use serde::Deserialize;

/// tests/golden/roc.json, written by scripts/peers/roc.py.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<GoldenCase>,
    upper_bounds: Vec<(usize, usize, f64)>,
}

#[derive(Deserialize)]
struct GoldenCase {
    name: String,
    scores: Vec<f64>,
    labels: Vec<u8>,
    auc: f64,
    delong_variance: f64,
    average_precision: f64,
    fpr: Vec<f64>,
    tpr: Vec<f64>,
    thresholds: Vec<f64>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    pr_thresholds: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/golden/roc.json")).expect("the golden file")
}

#[track_caller]
fn close(name: &str, got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-12, "{name}: {got} and {expected}");
}

#[test]
fn curves_and_areas_equal_those_of_scikit_learn() {
    for case in golden().cases {
        let name = case.name.as_str();
        let cases: Vec<_> = case.scores.iter().copied().zip(case.labels.iter().map(|label| *label == 1)).collect();
        let ranking = Ranking::new(&cases);
        let (positives, negatives) = (ranking.positives() as f64, ranking.negatives() as f64);
        close(name, ranking.auc().unwrap(), case.auc);
        close(name, ranking.average_precision().unwrap(), case.average_precision);
        let (low, high) = ranking.auc_interval().unwrap();
        if case.delong_variance > 0.0 {
            let half = 1.959_963_984_540_054 * case.delong_variance.sqrt();
            close(name, low, (case.auc - half).max(0.0));
            close(name, high, (case.auc + half).min(1.0));
        } else {
            assert!(low < high && low <= case.auc && case.auc <= high, "{name}: {low} to {high}");
        }
        let points = ranking.points();
        assert_eq!(points.iter().map(|point| point.threshold).collect::<Vec<_>>(), case.thresholds, "{name}");
        for (at, point) in points.iter().enumerate() {
            close(name, point.true_positives as f64 / positives, case.tpr[at]);
            close(name, point.false_positives as f64 / negatives, case.fpr[at]);
        }
        assert_eq!(case.pr_thresholds.len(), points.len(), "{name}");
        for (at, point) in points.iter().rev().enumerate() {
            let called = (point.true_positives + point.false_positives) as f64;
            assert_eq!(point.threshold, case.pr_thresholds[at], "{name}");
            close(name, point.true_positives as f64 / called, case.precision[at]);
            close(name, point.true_positives as f64 / positives, case.recall[at]);
        }
    }
}

#[test]
fn upper_bounds_equal_those_of_scipy() {
    for (successes, n, expected) in golden().upper_bounds {
        let got = rate_upper(successes, n);
        assert!((got - expected).abs() < 1e-10, "{successes} of {n}: {got} and {expected}");
    }
}

/// Two positive cases at 4 and 2, two negative ones at 3 and 1: three of four pairs are in order.
#[test]
fn an_area_agrees_with_one_worked_by_hand() {
    let ranking = Ranking::new(&[(1.0, false), (4.0, true), (3.0, false), (2.0, true)]);
    assert_eq!(ranking.auc(), Some(0.75));
    // Precision 1/1 at the first positive case, and 2/3 at the second.
    close("precision", ranking.average_precision().unwrap(), (1.0 + 2.0 / 3.0) / 2.0);
    let shown: Vec<_> = ranking.points().iter().map(|p| (p.threshold, p.true_positives, p.false_positives)).collect();
    assert_eq!(shown, [(4.0, 1, 0), (3.0, 1, 1), (2.0, 2, 1), (1.0, 2, 2)]);
    assert_eq!(ranking.corners().len(), 4);
    assert_eq!((ranking.above(3.0), ranking.above(0.0)), ((1, 0), (2, 2)));
}

#[test]
fn cases_of_one_kind_have_no_area() {
    let positive = Ranking::new(&[(1.0, true), (2.0, true)]);
    assert_eq!((positive.auc(), positive.auc_interval()), (None, None));
    assert_eq!(positive.average_precision(), Some(1.0));
    let negative = Ranking::new(&[(1.0, false)]);
    assert_eq!((negative.auc(), negative.average_precision()), (None, None));
    assert_eq!(negative.average_precision_interval(Seed(1)), None);
    assert!(Ranking::new(&[]).points().is_empty());
}

#[test]
fn separated_cases_have_an_interval_that_is_no_point() {
    let separated = |each: usize| {
        let cases: Vec<_> = (0..2 * each).map(|at| (at as f64, at >= each)).collect();
        Ranking::new(&cases).auc_interval().unwrap()
    };
    let (low, high) = separated(5);
    // Newcombe's equation 1 − a = 1.96 · √(a (1 − a) (1 + 4 ((1 − a)/(2 − a) + a/(1 + a))) / 25).
    let error = 1.959_963_984_540_054
        * (low * (1.0 - low) * (1.0 + 4.0 * ((1.0 - low) / (2.0 - low) + low / (1.0 + low))) / 25.0).sqrt();
    assert!((1.0 - low - error).abs() < 1e-9 && high == 1.0, "{low}");
    assert!(low < separated(50).0 && separated(50).0 < 1.0);
}

#[test]
fn the_threshold_is_shown_to_hold_or_there_is_none() {
    // Scores 1 to n of negative cases, and one positive case above and one below all of them.
    let ranking = |n: usize| {
        let negatives = (1..=n).map(|at| (at as f64, false));
        Ranking::new(&negatives.chain([(1e6, true), (0.0, true)]).collect::<Vec<_>>())
    };
    assert_eq!(ranking(58).threshold(0.05), Threshold::TooFewNegatives { found: 58, needed: 59 });
    assert_eq!(ranking(59).threshold(0.05), Threshold::Above(59.0), "no false positive is allowed");
    assert_eq!(ranking(93).threshold(0.05), Threshold::Above(92.0), "one is allowed, at 93");
    assert_eq!(ranking(93).above(92.0), (1, 1));
    assert_eq!(Ranking::new(&[(1.0, true)]).threshold(0.5), Threshold::TooFewNegatives { found: 0, needed: 5 });
    // Equal scores are all above a threshold, or none is.
    let tied: Vec<_> = (0..93).map(|at| (f64::from(at / 2), false)).collect();
    assert_eq!(Ranking::new(&tied).threshold(0.05), Threshold::Above(45.0));
}

fn cases() -> impl Strategy<Value = Vec<(f64, bool)>> {
    prop::collection::vec(((-4i8..4).prop_map(f64::from), any::<bool>()), 0..60)
}

proptest! {
    #[test]
    fn the_area_is_the_share_of_pairs_in_order(cases in cases()) {
        let of = |kind| cases.iter().filter(move |case| case.1 == kind).map(|case| case.0);
        let pairs = of(true).flat_map(|p| of(false).map(move |n| if p > n { 1.0 } else if p == n { 0.5 } else { 0.0 }));
        let pairs: Vec<f64> = pairs.collect();
        let expected = (!pairs.is_empty()).then(|| pairs.iter().sum::<f64>() / pairs.len() as f64);
        let auc = Ranking::new(&cases).auc();
        prop_assert_eq!(auc.is_some(), expected.is_some());
        if let Some((auc, expected)) = auc.zip(expected) {
            prop_assert!((auc - expected).abs() < 1e-12);
            let (low, high) = Ranking::new(&cases).auc_interval().unwrap();
            prop_assert!(0.0 <= low && low <= auc && auc <= high && high <= 1.0, "{} {} {}", low, auc, high);
        }
    }

    #[test]
    fn the_corners_hold_the_whole_curve(cases in cases()) {
        let ranking = Ranking::new(&cases);
        let (Some(auc), corners) = (ranking.auc(), ranking.corners()) else { return Ok(()) };
        let (mut area, mut last) = (0.0, (0.0, 0.0));
        for corner in &corners {
            let now = (corner.false_positives as f64, corner.true_positives as f64);
            area += (now.0 - last.0) * (now.1 + last.1) / 2.0;
            last = now;
        }
        prop_assert!((area / (ranking.positives() * ranking.negatives()) as f64 - auc).abs() < 1e-12);
    }

    #[test]
    fn a_threshold_lets_so_many_negatives_through_as_its_bound_allows(
        negatives in prop::collection::vec((-50i8..50).prop_map(f64::from), 0..300), rate in 0.02f64..0.5
    ) {
        let ranking = Ranking::new(&negatives.iter().map(|score| (*score, false)).collect::<Vec<_>>());
        match ranking.threshold(rate) {
            Threshold::Above(threshold) => {
                let passed = ranking.above(threshold).1;
                prop_assert!(rate_upper(passed, negatives.len()) <= rate + 1e-12);
                // The next lower score would let too many through.
                let all = negatives.iter().filter(|score| **score >= threshold).count();
                prop_assert!(rate_upper(all, negatives.len()) > rate);
            }
            Threshold::TooFewNegatives { needed, .. } => prop_assert!(negatives.len() < needed),
        }
    }

    #[test]
    fn the_interval_of_the_average_precision_is_ordered_and_repeatable(cases in cases(), seed: u64) {
        let ranking = Ranking::new(&cases);
        let interval = ranking.average_precision_interval(Seed(seed));
        prop_assert_eq!(interval, ranking.average_precision_interval(Seed(seed)));
        if let Some((low, high)) = interval {
            prop_assert!(0.0 < low && low <= high && high <= 1.0);
        }
    }
}
