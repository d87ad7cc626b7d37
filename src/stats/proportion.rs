//! Confidence intervals for a proportion.

use super::summary::Z_95;

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
    let (k, n) = (correct as f64, n as f64);
    let (p, z2) = (k / n, Z_95 * Z_95);
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z_95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At k = 0 and k = n one end is exactly 0 or 1; rounding may miss it by one unit in the last
    // place.
    let lo = if k == 0.0 { 0.0 } else { (centre - half).max(0.0) };
    let hi = if k == n { 1.0 } else { (centre + half).min(1.0) };
    (lo, hi)
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

    proptest! {
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
