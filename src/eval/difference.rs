//! The paired comparison of two sets of prompts on the same cases.

use super::evaluation::Evaluation;
use crate::base::Seed;
use crate::stats::{mcnemar_exact, paired_bootstrap};
use serde::{Deserialize, Serialize};

/// The gain of the second evaluation over the first.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Difference {
    /// The number of cases.
    pub n: usize,
    /// The accuracy of the second evaluation minus that of the first.
    pub value: f64,
    /// The 95 % percentile interval of the paired bootstrap.
    pub ci95: (f64, f64),
    /// McNemar's exact two-sided p-value.
    pub mcnemar_p: f64,
    /// The number of cases that only the first evaluation got right.
    pub only_first: usize,
    /// The number of cases that only the second evaluation got right.
    pub only_second: usize,
}

/// Compares two evaluations of the same cases, case by case.
///
/// # Panics
/// Panics if the two do not have the same cases in the same order.
pub fn compare(first: &Evaluation, second: &Evaluation, seed: Seed) -> Difference {
    assert_eq!(first.items.len(), second.items.len(), "the same cases are compared");
    let diffs: Vec<f64> = first
        .items
        .iter()
        .zip(&second.items)
        .map(|(one, two)| {
            assert_eq!(one.id, two.id, "the same cases are compared");
            f64::from(u8::from(two.is_correct())) - f64::from(u8::from(one.is_correct()))
        })
        .collect();
    let count = |sign: f64| diffs.iter().filter(|diff| **diff == sign).count();
    let (only_first, only_second) = (count(-1.0), count(1.0));
    let n = diffs.len();
    Difference {
        n,
        value: if n == 0 { 0.0 } else { (only_second as f64 - only_first as f64) / n as f64 },
        ci95: paired_bootstrap(&diffs, seed),
        mcnemar_p: mcnemar_exact(only_first, only_second),
        only_first,
        only_second,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ItemResult;
    use super::*;
    use crate::task::Outcome;

    fn evaluation(pattern: &str) -> Evaluation {
        let item = |(at, c): (usize, char)| ItemResult {
            id: at.to_string(),
            answer: None,
            outcome: if c == '1' { Outcome::Correct } else { Outcome::Wrong },
            overflow: false,
            cut_in_reasoning: false,
        };
        Evaluation::new(pattern.chars().enumerate().map(item).collect())
    }

    #[test]
    fn pairs_are_counted_both_ways() {
        let difference = compare(&evaluation("1100000000"), &evaluation("1011111100"), Seed(1));
        assert_eq!((difference.only_first, difference.only_second, difference.n), (1, 6, 10));
        assert_eq!(difference.value, 0.5);
        assert!((difference.mcnemar_p - 2.0 * 8.0 / 128.0).abs() < 1e-12, "{difference:?}");
        assert!(difference.ci95.0 <= 0.5 && difference.ci95.1 >= 0.5, "{difference:?}");
    }

    #[test]
    fn equal_evaluations_do_not_differ() {
        let one = evaluation("0110");
        let difference = compare(&one, &one, Seed(1));
        assert_eq!((difference.value, difference.ci95, difference.mcnemar_p), (0.0, (0.0, 0.0), 1.0));
    }

    #[test]
    #[should_panic(expected = "the same cases are compared")]
    fn different_cases_cannot_be_compared() {
        compare(&evaluation("01"), &evaluation("011"), Seed(1));
    }
}
