//! Comparisons of arms on the same items and seeds.

use super::record::{CellRecord, bits};
use crate::base::Seed;
use crate::stats::{cluster_bootstrap, mcnemar_exact};
use serde::Serialize;
use std::collections::BTreeMap;

/// The seed of all resampling, so that equal records give equal tables.
const SEED: Seed = Seed(1);

/// The runs of one arm of one experiment, by seed.
pub(super) type Runs<'a> = BTreeMap<u64, &'a CellRecord>;

/// An arm against the baseline, on the seeds and items that both have.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Comparison {
    /// The number of seeds that both have.
    pub seeds: usize,
    /// The accuracy of the arm minus that of the baseline.
    pub value: f64,
    /// The 95 % interval of the cluster bootstrap over seeds and items.
    pub ci95: (f64, f64),
    /// The two-sided p-value of the exact test over items: McNemar's for one seed; for several, the
    /// sign test of the items' mean differences, which counts an item once.
    pub p: f64,
    /// The p-value after Holm's correction for all comparisons of the study.
    pub p_holm: f64,
    /// The number of items on which the arm is better, in the mean over seeds.
    pub better: usize,
    /// The number of items on which the baseline is better.
    pub worse: usize,
    /// The seeds on which the arm's accuracy is greater, equal and smaller.
    pub wins_ties_losses: [usize; 3],
}

impl Comparison {
    /// Whether no difference was shown: the interval holds 0, or the corrected p-value is not below
    /// 0.05.
    pub fn is_within_noise(&self) -> bool {
        (self.ci95.0 <= 0.0 && self.ci95.1 >= 0.0) || self.p_holm >= 0.05
    }

    /// The conclusion in words.
    pub fn verdict(&self) -> &'static str {
        match self.value {
            _ if self.is_within_noise() => "within noise",
            value if value > 0.0 => "better",
            _ => "worse",
        }
    }
}

/// Returns the differences of an arm to the baseline, one row per seed that both have and one
/// column per item; `None` if they have no seed in common or other items.
pub(super) fn differences(arm: &Runs<'_>, baseline: &Runs<'_>) -> Option<Vec<Vec<f64>>> {
    let row = |(seed, own): (&u64, &&CellRecord)| {
        let other = baseline.get(seed)?;
        let same = own.items == other.items;
        same.then(|| bits(&own.right).iter().zip(bits(&other.right)).map(|(own, other)| own - other).collect())
    };
    let rows: Vec<Vec<f64>> = arm.iter().filter_map(row).collect();
    (!rows.is_empty() && !rows[0].is_empty()).then_some(rows)
}

/// Compares an arm with the baseline over one experiment or several.
pub(super) fn compare(groups: &[Vec<Vec<f64>>]) -> Comparison {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mut better, mut worse) = (0, 0);
    let mut wins_ties_losses = [0; 3];
    let mut of_groups = Vec::new();
    for rows in groups {
        for item in 0..rows[0].len() {
            let sum: f64 = rows.iter().map(|row| row[item]).sum();
            better += usize::from(sum > 0.0);
            worse += usize::from(sum < 0.0);
        }
        let of_rows: Vec<f64> = rows.iter().map(|row| mean(row)).collect();
        for value in &of_rows {
            let at = match value {
                value if *value > 0.0 => 0,
                value if *value < 0.0 => 2,
                _ => 1,
            };
            wins_ties_losses[at] += 1;
        }
        of_groups.push(mean(&of_rows));
    }
    let p = mcnemar_exact(worse, better);
    Comparison {
        seeds: groups.iter().map(Vec::len).sum(),
        value: mean(&of_groups),
        ci95: cluster_bootstrap(groups, SEED),
        p,
        p_holm: p,
        better,
        worse,
        wins_ties_losses,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_counted_once_over_seeds() {
        // Two seeds and three items: the first item is better on both seeds, the second on one and
        // worse on the other, the third worse on one.
        let rows = vec![vec![1.0, 1.0, 0.0], vec![1.0, -1.0, -1.0]];
        let got = compare(&[rows]);
        assert_eq!((got.better, got.worse, got.seeds, got.wins_ties_losses), (1, 1, 2, [1, 0, 1]));
        assert!((got.value - (2.0 / 3.0 - 1.0 / 3.0) / 2.0).abs() < 1e-12 && got.p == 1.0, "{got:?}");
        assert_eq!(got.verdict(), "within noise");
        let clear = compare(&[vec![vec![1.0; 30]]]);
        assert_eq!((clear.verdict(), clear.ci95), ("better", (1.0, 1.0)));
    }
}
