//! The exact test for paired outcomes that are right or wrong.

/// Returns McNemar's exact two-sided p-value, where `b` cases were right only in the first run and
/// `c` only in the second. It is 1 if the two runs never differ.
pub fn mcnemar_exact(b: usize, c: usize) -> f64 {
    let n = b + c;
    let fewer = b.min(c);
    // Twice the lower tail of Binomial(n, 1/2), summed in logarithms so that n may be thousands.
    let mut ln_choose = 0.0;
    let mut tail = 0.0;
    for k in 0..=fewer {
        tail += (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
        ln_choose += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(b: usize, c: usize, expected: f64) {
        let p = mcnemar_exact(b, c);
        assert!((p - expected).abs() < 1e-12, "{p}");
    }

    #[test]
    fn the_p_value_agrees_with_values_worked_by_hand() {
        check(0, 0, 1.0);
        check(1, 1, 1.0);
        check(0, 5, 2.0 / 32.0);
        check(1, 9, 2.0 * 11.0 / 1024.0);
        check(2, 8, 2.0 * 56.0 / 1024.0);
        check(5, 5, 1.0);
    }

    #[test]
    fn thousands_of_cases_do_not_underflow_into_nonsense() {
        // Normal approximation with continuity correction: z = (200 - 1) / sqrt(4000) = 3.146, p =
        // 0.00165.
        let p = mcnemar_exact(1900, 2100);
        assert!((p - 0.00165).abs() < 2e-5, "{p}");
        assert!(mcnemar_exact(0, 5000) < 1e-300);
    }

    proptest! {
        #[test]
        fn the_p_value_is_a_symmetric_probability(b in 0usize..300, c in 0usize..300) {
            let p = mcnemar_exact(b, c);
            prop_assert!(p > 0.0 && p <= 1.0);
            prop_assert_eq!(p, mcnemar_exact(c, b));
        }
    }
}
