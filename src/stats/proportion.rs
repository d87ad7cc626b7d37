//! Confidence intervals for a proportion, and the estimate of pass@k.

use super::summary::{Z_95, mean};

/// Returns the 95 % Wilson score interval of `correct` out of `n`; (0, 1) if `n` is 0, since
/// nothing is known then.
///
/// # Panics
/// Panics if `correct > n`.
pub fn wilson(correct: usize, n: usize) -> (f64, f64) {
    assert!(correct <= n, "{correct} of {n} cannot be correct");
    if n == 0 {
        return (0.0, 1.0);
    }
    interval(correct as f64 / n as f64, n as f64)
}

/// Returns the score interval of the proportion `p` that was measured on `n` draws.
fn interval(p: f64, n: f64) -> (f64, f64) {
    let z2 = Z_95 * Z_95;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At 0 and 1 one end is exact; rounding may miss it by one unit in the last place.
    let lo = if p == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let hi = if p == 1.0 { 1.0 } else { (centre + half).min(1.0) };
    (lo, hi)
}

/// Returns the mean of values between 0 and 1, each estimated from `draws` draws of its own, with
/// its 95 % interval; `None` without values.
///
/// It is Wilson's interval for an effective number of draws: as many as would give a plain
/// proportion the variance that the values show, but no fewer than there are values and no more
/// than there were draws. With one draw a value, this is Wilson's interval.
///
/// # Panics
/// Panics if a value is not between 0 and 1, or if `draws` is 0.
pub fn mean_proportion(values: &[f64], draws: usize) -> Option<(f64, (f64, f64))> {
    assert!(draws > 0, "an estimate needs a draw");
    assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "a proportion is between 0 and 1");
    if values.is_empty() {
        return None;
    }
    let (n, mean) = (values.len() as f64, mean(values).clamp(0.0, 1.0));
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let most = n * draws as f64;
    // A single value has no variance, and equal values have none, either.
    let effective = if n > 1.0 && variance > 0.0 { n * mean * (1.0 - mean) / variance } else { most };
    let effective = if n > 1.0 { effective.clamp(n, most) } else { n };
    Some((mean, interval(mean, effective)))
}

/// Returns the unbiased estimate of pass@k: how likely at least one of `k` samples is right, if
/// `correct` of `n` samples were. It is 1 − C(n − correct, k) / C(n, k), the share of all choices
/// of `k` among the `n` that have a right one among them (Chen et al. 2021).
///
/// # Panics
/// Panics unless `correct <= n` and `1 <= k <= n`.
pub fn pass_at(n: usize, correct: usize, k: usize) -> f64 {
    assert!(correct <= n && (1..=n).contains(&k), "pass@{k} of {correct} among {n}");
    if n - correct < k {
        return 1.0;
    }
    1.0 - (n - correct + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(correct: usize, n: usize, expected: (f64, f64)) {
        let (lo, hi) = wilson(correct, n);
        assert!((lo - expected.0).abs() < 5e-5 && (hi - expected.1).abs() < 5e-5, "{lo} {hi}");
    }

    #[test]
    fn the_interval_agrees_with_published_ones() {
        // Newcombe 1998, table I: 81/263, 15/148, 0/20, 1/29; and 8/10 worked by hand.
        check(81, 263, (0.2553, 0.3662));
        check(15, 148, (0.0624, 0.1605));
        check(0, 20, (0.0, 0.1611));
        check(1, 29, (0.0061, 0.1718));
        check(8, 10, (0.4902, 0.9433));
        check(10, 10, (0.7225, 1.0));
        check(0, 0, (0.0, 1.0));
    }

    #[test]
    fn pass_at_k_counts_the_choices_with_a_right_sample() {
        let check = |n, correct, k, expected: f64| {
            let got = pass_at(n, correct, k);
            assert!((got - expected).abs() < 1e-12, "pass@{k} of {correct} in {n}: {got}");
        };
        check(5, 2, 1, 0.4);
        // Of the ten pairs among five samples, three have neither of the two right ones.
        check(5, 2, 2, 0.7);
        check(5, 2, 3, 0.9);
        check(5, 2, 4, 1.0);
        check(5, 2, 5, 1.0);
        check(5, 0, 5, 0.0);
        check(5, 5, 1, 1.0);
        // 1 − C(97, 10) / C(100, 10) = 1 − (90·89·88) / (100·99·98).
        check(100, 3, 10, 1.0 - 704_880.0 / 970_200.0);
    }

    #[test]
    fn the_mean_of_estimates_has_the_interval_of_its_spread() {
        let check = |values: &[f64], draws, n: usize| {
            let (value, interval) = mean_proportion(values, draws).unwrap();
            let correct = (value * n as f64).round() as usize;
            let expected = wilson(correct, n);
            assert!((interval.0 - expected.0).abs() < 1e-9 && (interval.1 - expected.1).abs() < 1e-9, "{interval:?}");
        };
        // Values of 0 and 1, and one draw each: Wilson's interval of their number.
        check(&[1.0, 0.0, 0.0, 1.0], 1, 4);
        check(&[1.0, 0.0, 0.0, 1.0], 5, 4);
        check(&[0.0; 4], 1, 4);
        // Equal values vary by the draws alone: 8 draws, of which 4 were right.
        check(&[0.5; 4], 2, 8);
        // 0.25 and 0.75, twice: mean 0.5, variance 0.0833, so 0.25 / 0.0833 = 3 draws a value.
        check(&[0.25, 0.75, 0.25, 0.75], 4, 12);
        assert_eq!(mean_proportion(&[0.5], 4).unwrap().1, interval(0.5, 1.0));
        assert_eq!(mean_proportion(&[], 1), None);
    }

    proptest! {
        #[test]
        fn pass_at_k_is_the_share_of_choices(n in 1usize..9, part in 0.0f64..=1.0, k_part in 0.0f64..1.0) {
            let (correct, k) = ((part * n as f64) as usize, 1 + (k_part * n as f64) as usize);
            let choices = (0u32..1 << n).filter(|choice| choice.count_ones() as usize == k);
            let (hits, all) = choices.fold((0, 0), |(hits, all), choice| {
                (hits + usize::from(choice & ((1 << correct) - 1) != 0), all + 1)
            });
            prop_assert!((pass_at(n, correct, k) - hits as f64 / all as f64).abs() < 1e-12);
        }

        #[test]
        fn the_interval_contains_the_estimate_and_mirrors(n in 1usize..500, part in 0.0f64..=1.0) {
            let k = (part * n as f64) as usize;
            let (lo, hi) = wilson(k, n);
            let p = k as f64 / n as f64;
            prop_assert!(0.0 <= lo && lo <= p && p <= hi && hi <= 1.0);
            let (mirrored_lo, mirrored_hi) = wilson(n - k, n);
            prop_assert!((lo + mirrored_hi - 1.0).abs() < 1e-12 && (hi + mirrored_lo - 1.0).abs() < 1e-12);
        }
    }
}
