//! Rank correlation of two rankings.

/// Returns Kendall's tau-b, the rank correlation that corrects for ties: 1 for the same order, −1
/// for the opposite order. It is `None` where it is undefined: for fewer than two items, or if all
/// items are tied in one of the rankings.
///
/// # Panics
/// Panics if the two slices differ in length.
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Option<f64> {
    assert_eq!(x.len(), y.len(), "two rankings of the same items");
    // The number of pairs is small (a beam, a pool), so that a quadratic count is fast enough.
    let (mut balance, mut untied_x, mut untied_y) = (0i64, 0i64, 0i64);
    for i in 0..x.len() {
        for j in 0..i {
            let (dx, dy) = (order(x[i], x[j]), order(y[i], y[j]));
            balance += dx * dy;
            untied_x += dx.abs();
            untied_y += dy.abs();
        }
    }
    if untied_x == 0 || untied_y == 0 {
        return None;
    }
    Some(balance as f64 / ((untied_x as f64) * (untied_y as f64)).sqrt())
}

/// Returns −1, 0 or 1 as `a` is less than, equal to or greater than `b`; 0.0 and −0.0 are equal.
fn order(a: f64, b: f64) -> i64 {
    i64::from(a > b) - i64::from(a < b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(x: &[f64], y: &[f64], expected: Option<f64>) {
        let tau = kendall_tau_b(x, y);
        match (tau, expected) {
            (Some(tau), Some(expected)) => assert!((tau - expected).abs() < 1e-12, "{tau}"),
            _ => assert_eq!(tau, expected),
        }
    }

    #[test]
    fn tau_agrees_with_values_worked_by_hand() {
        check(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], Some(1.0));
        check(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0], Some(-1.0));
        // One discordant pair of three: (2 - 1) / 3.
        check(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0], Some(1.0 / 3.0));
        // scipy.stats.kendalltau's example with ties: 2 concordant, 6 discordant, x tied in 2
        // pairs, y in 1.
        check(&[12.0, 2.0, 1.0, 12.0, 2.0], &[1.0, 4.0, 7.0, 1.0, 0.0], Some(-4.0 / 72f64.sqrt()));
        check(&[1.0, 1.0], &[1.0, 2.0], None);
        check(&[0.0, -0.0], &[1.0, 2.0], None);
        check(&[1.0], &[1.0], None);
        check(&[], &[], None);
    }

    proptest! {
        #[test]
        fn tau_is_symmetric_bounded_and_odd(pairs in prop::collection::vec((0i8..5, 0i8..5), 0..12)) {
            let x: Vec<f64> = pairs.iter().map(|p| f64::from(p.0)).collect();
            let y: Vec<f64> = pairs.iter().map(|p| f64::from(p.1)).collect();
            let opposite: Vec<f64> = y.iter().map(|v| 10.0 - v).collect();
            let tau = kendall_tau_b(&x, &y);
            prop_assert_eq!(tau, kendall_tau_b(&y, &x));
            prop_assert_eq!(tau.map(|t| -t), kendall_tau_b(&x, &opposite));
            if let Some(tau) = tau {
                prop_assert!((-1.0 - 1e-12..=1.0 + 1e-12).contains(&tau));
            }
        }
    }
}
