//! The percentile bootstrap of a mean of paired differences.

use super::summary::{mean, quantile_of_sorted};
use crate::base::{Seed, Stage};
use rand::RngExt;

/// The number of resamples per interval; the Monte-Carlo error of a 2.5 % quantile is then well
/// below the interval's width.
const RESAMPLES: usize = 10_000;

/// Returns the 95 % percentile interval of the mean of `diffs`, from 10,000 resamples drawn with
/// `seed`; equal seeds give equal intervals on every machine. The interval is (0, 0) without
/// values, and a point if all values are equal.
pub fn paired_bootstrap(diffs: &[f64], seed: Seed) -> (f64, f64) {
    let Some(&first) = diffs.first() else { return (0.0, 0.0) };
    if diffs.iter().all(|diff| *diff == first) {
        return (first, first);
    }
    let mut rng = seed.derive(Stage::Bootstrap, &[]).rng();
    let n = diffs.len() as u64;
    let mut draw = vec![0.0; diffs.len()];
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            draw.fill_with(|| diffs[rng.random_range(0..n) as usize]);
            mean(&draw)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (quantile_of_sorted(&means, 0.025), quantile_of_sorted(&means, 0.975))
}

/// The number of resamples of a cluster bootstrap, each of which draws every group anew.
const CLUSTER_RESAMPLES: usize = 2_000;

/// Returns the 95 % percentile interval of the mean over groups of the groups' means. A group is a
/// table of differences, one row per run and one column per item: its runs and its items are both
/// drawn anew, because neither two runs on an item nor two items of a run are independent. The
/// interval is (0, 0) without values.
///
/// # Panics
/// Panics if the rows of a group differ in length.
pub fn cluster_bootstrap(groups: &[Vec<Vec<f64>>], seed: Seed) -> (f64, f64) {
    let groups: Vec<&Vec<Vec<f64>>> =
        groups.iter().filter(|runs| runs.first().is_some_and(|items| !items.is_empty())).collect();
    if groups.is_empty() {
        return (0.0, 0.0);
    }
    for runs in &groups {
        assert!(runs.iter().all(|items| items.len() == runs[0].len()), "all runs of a group have the same items");
    }
    let mut rng = seed.derive(Stage::Bootstrap, &[1]).rng();
    let mut means: Vec<f64> = (0..CLUSTER_RESAMPLES)
        .map(|_| {
            let mut of_groups = 0.0;
            for runs in &groups {
                let (rows, columns) = (runs.len(), runs[0].len());
                let mut weights = vec![0.0; columns];
                (0..columns).for_each(|_| weights[rng.random_range(0..columns as u64) as usize] += 1.0);
                let drawn = (0..rows).map(|_| &runs[rng.random_range(0..rows as u64) as usize]);
                let sum: f64 = drawn.map(|items| items.iter().zip(&weights).map(|(d, w)| d * w).sum::<f64>()).sum();
                of_groups += sum / (rows * columns) as f64;
            }
            of_groups / groups.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (quantile_of_sorted(&means, 0.025), quantile_of_sorted(&means, 0.975))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_interval_is_near_the_normal_one_for_many_values() {
        // 300 differences: 60 of +1, 20 of -1, 220 of 0. Mean 40/300 = 0.1333, variance 80/300 -
        // mean² = 0.2489, standard error 0.0288, normal interval 0.1333 ± 0.0565.
        let diffs: Vec<f64> = (0..300)
            .map(|i| {
                if i < 60 {
                    1.0
                } else if i < 80 {
                    -1.0
                } else {
                    0.0
                }
            })
            .collect();
        let (lo, hi) = paired_bootstrap(&diffs, Seed(1));
        assert!((lo - 0.0769).abs() < 0.006 && (hi - 0.1898).abs() < 0.006, "{lo} {hi}");
        assert_eq!((lo, hi), paired_bootstrap(&diffs, Seed(1)), "the same seed gives the same interval");
    }

    #[test]
    fn degenerate_samples_have_degenerate_intervals() {
        assert_eq!(paired_bootstrap(&[], Seed(1)), (0.0, 0.0));
        assert_eq!(paired_bootstrap(&[0.5; 7], Seed(1)), (0.5, 0.5));
    }

    #[test]
    fn runs_and_items_are_both_drawn_anew() {
        // One run: the interval is that of the paired bootstrap, up to the noise of the draws.
        let diffs: Vec<f64> = (0..200).map(|i| if i < 40 { 1.0 } else { 0.0 }).collect();
        let (low, high) = cluster_bootstrap(&[vec![diffs.clone()]], Seed(1));
        let (plain_low, plain_high) = paired_bootstrap(&diffs, Seed(1));
        assert!((low - plain_low).abs() < 0.015 && (high - plain_high).abs() < 0.015, "{low} {high}");
        // Items that all agree, in runs that do not: only the runs give a spread.
        let (low, high) = cluster_bootstrap(&[vec![vec![0.0; 50], vec![1.0; 50]]], Seed(1));
        assert_eq!((low, high), (0.0, 1.0));
        // Twice the same run on the same items is no more than once.
        let twice = cluster_bootstrap(&[vec![diffs.clone(), diffs.clone()]], Seed(1));
        assert!((twice.1 - twice.0) > 0.8 * (plain_high - plain_low), "{twice:?}");
        assert_eq!(cluster_bootstrap(&[], Seed(1)), (0.0, 0.0));
        // The mean over two groups.
        assert_eq!(cluster_bootstrap(&[vec![vec![1.0; 3]], vec![vec![0.0; 9]]], Seed(1)), (0.5, 0.5));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_interval_is_ordered_and_within_the_values(diffs in prop::collection::vec(-1i8..=1, 1..40), seed: u64) {
            let diffs: Vec<f64> = diffs.into_iter().map(f64::from).collect();
            let (lo, hi) = paired_bootstrap(&diffs, Seed(seed));
            prop_assert!(-1.0 <= lo && lo <= hi && hi <= 1.0);
        }
    }
}
