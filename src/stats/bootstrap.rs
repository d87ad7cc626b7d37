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
