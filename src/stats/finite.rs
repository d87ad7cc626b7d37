//! Bounds on the mean of a finite population in [0, 1] that is drawn without replacement, valid at
//! every number of draws: betting (Waudby-Smith & Ramdas 2020, "Confidence sequences for sampling
//! without replacement"), together with what is certain because the population is finite.

/// The shares of the largest admissible bet whose wealth is averaged: a mixture needs no tuning.
const SHARES: [f64; 6] = [0.1, 0.25, 0.4, 0.6, 0.8, 1.0];

/// The halvings of the search for a bound, which is then exact to 2⁻⁴⁰.
const HALVINGS: u32 = 40;

/// Returns a lower and an upper bound on the mean of all `size` values, of which `drawn` were drawn
/// without replacement in random order. Over all numbers of draws together, each bound is wrong
/// with a probability of at most `error`; with an error of 0 the bounds are what is certain.
///
/// # Panics
/// Panics if more values were drawn than there are.
pub fn finite_mean_bounds(drawn: &[f64], size: usize, error: f64) -> (f64, f64) {
    let mirrored: Vec<f64> = drawn.iter().map(|value| 1.0 - value).collect();
    (1.0 - upper_bound(&mirrored, size, error), upper_bound(drawn, size, error))
}

fn upper_bound(drawn: &[f64], size: usize, error: f64) -> f64 {
    assert!(drawn.len() <= size, "a population of {size} has no {} values", drawn.len());
    if size == 0 {
        return 1.0;
    }
    let sum: f64 = drawn.iter().sum();
    let rest = (size - drawn.len()) as f64;
    let (mut low, mut high) = (sum / size as f64, (sum + rest) / size as f64);
    if error <= 0.0 || high <= low || !is_refuted(drawn, size, high, error) {
        return high;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if is_refuted(drawn, size, middle, error) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Whether the draws refute that the mean of the population is `mean` or more. Under this
/// hypothesis the wealth of a bettor who bets on lower values is a supermartingale that starts at
/// 1, so it ever reaches 1 / `error` with a probability of at most `error` (Ville).
fn is_refuted(drawn: &[f64], size: usize, mean: f64, error: f64) -> bool {
    let mut wealth = [1.0_f64; SHARES.len()];
    let mut sum = 0.0;
    for (at, &value) in drawn.iter().enumerate() {
        // The mean of what is left, if the hypothesis holds.
        let left = (size as f64 * mean - sum) / (size - at) as f64;
        if left > 1.0 {
            return true;
        }
        if left <= 0.0 {
            // What was drawn alone reaches the mean.
            return false;
        }
        for (wealth, share) in wealth.iter_mut().zip(SHARES) {
            *wealth *= 1.0 + share * if left < 1.0 { (left - value) / (1.0 - left) } else { 0.0 };
        }
        if left >= 1.0 && value < 1.0 {
            return true;
        }
        if wealth.iter().sum::<f64>() / SHARES.len() as f64 >= 1.0 / error {
            return true;
        }
        sum += value;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seed, Stage};
    use proptest::prelude::*;
    use rand::RngExt;
    use rand::seq::SliceRandom;

    #[track_caller]
    fn check(drawn: &[f64], size: usize, error: f64, low: f64, high: f64) {
        let found = finite_mean_bounds(drawn, size, error);
        assert!((found.0 - low).abs() < 1e-3 && (found.1 - high).abs() < 1e-3, "{found:?}");
    }

    #[test]
    fn without_error_the_bounds_are_what_is_certain() {
        check(&[], 10, 0.0, 0.0, 1.0);
        check(&[1.0, 0.0, 0.5], 10, 0.0, 0.15, 0.85);
        check(&[1.0, 0.0], 2, 0.0, 0.5, 0.5);
    }

    #[test]
    fn a_whole_population_has_one_mean() {
        check(&[1.0, 0.5, 0.0, 0.0], 4, 0.05, 0.375, 0.375);
    }

    #[test]
    fn a_hand_computed_refutation() {
        // Four of ten are drawn and all are 0. If the mean were 0.5, the bet of everything has the
        // wealth 1 / P(four zeros) = C(10, 4) / C(5, 4) = 42, and the mixture at least a sixth of
        // it.
        let zeros = [0.0; 4];
        assert!(is_refuted(&zeros, 10, 0.5, 6.0 / 42.0));
        assert!(!is_refuted(&zeros, 10, 0.5, 1.0 / 42.0));
        // A mean of 0.7 would need seven ones among six values.
        assert!(is_refuted(&zeros, 10, 0.7, 1e-9));
        assert!(!is_refuted(&[1.0; 5], 10, 0.5, 0.5));
    }

    proptest! {
        #[test]
        fn bounds_are_ordered_and_tighten_with_the_error_allowed(
            drawn in prop::collection::vec(0..=4_u8, 0..12), more in 0..8_usize,
        ) {
            let drawn: Vec<f64> = drawn.iter().map(|&quarter| f64::from(quarter) / 4.0).collect();
            let size = drawn.len() + more;
            let mean_so_far = drawn.iter().sum::<f64>() / size.max(1) as f64;
            let mut last = finite_mean_bounds(&drawn, size, 0.0);
            for error in [0.01, 0.1, 0.3] {
                let bounds = finite_mean_bounds(&drawn, size, error);
                prop_assert!(bounds.0 >= last.0 - 1e-9 && bounds.1 <= last.1 + 1e-9);
                prop_assert!(bounds.1 >= mean_so_far - 1e-9);
                last = bounds;
            }
        }
    }

    #[test]
    fn over_all_draws_a_bound_is_wrong_at_most_as_often_as_stated() {
        let mut rng = Seed(7).derive(Stage::Bootstrap, &[]).rng();
        for (size, error) in [(10, 0.1), (10, 0.25), (30, 0.1)] {
            let mut wrong = 0;
            for _ in 0..400 {
                let share: f64 = rng.random();
                let mut values: Vec<f64> =
                    (0..size).map(|_| if rng.random::<f64>() < share { 1.0 } else { 0.0 }).collect();
                let mean = values.iter().sum::<f64>() / size as f64;
                values.shuffle(&mut rng);
                let too_low = |drawn: usize| finite_mean_bounds(&values[..drawn], size, error).1 < mean - 1e-9;
                wrong += usize::from((1..=size).any(too_low));
            }
            // Three standard deviations above the stated error.
            let most = error + 3.0 * (error * (1.0 - error) / 400.0_f64).sqrt();
            assert!((wrong as f64) < most * 400.0, "{wrong} of 400 at {error}");
        }
    }
}
