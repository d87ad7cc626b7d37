//! Means with confidence intervals, and quantiles.

use serde::{Deserialize, Serialize};

/// The 97.5 % quantile of the standard normal distribution.
pub(super) const Z_95: f64 = 1.959_963_984_540_054;

/// 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
const T_95: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157, 2.228_139,
    2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905, 2.109_816, 2.100_922, 2.093_024, 2.085_963,
    2.079_614, 2.073_873, 2.068_658, 2.063_899, 2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
];

/// A mean with its 95 % confidence interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MeanInterval {
    /// The number of values.
    pub n: usize,
    /// The mean of the values.
    pub mean: f64,
    /// The interval by Student's t. For a single value, whose spread is unknown, it is that value
    /// twice.
    pub ci95: (f64, f64),
}

/// Returns the mean of `values` with Student's 95 % interval; `None` without values.
pub fn mean_ci(values: &[f64]) -> Option<MeanInterval> {
    if values.is_empty() {
        return None;
    }
    let (n, mean) = (values.len(), mean(values));
    if n == 1 {
        return Some(MeanInterval { n, mean, ci95: (mean, mean) });
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let half = t_quantile(n - 1) * (variance / n as f64).sqrt();
    Some(MeanInterval { n, mean, ci95: (mean - half, mean + half) })
}

/// Returns the `q`-quantile (0 ≤ q ≤ 1), linearly interpolated between order statistics; `None`
/// without values.
///
/// # Panics
/// Panics if `q` is outside 0..=1.
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    assert!((0.0..=1.0).contains(&q), "a quantile's level is between 0 and 1");
    if values.is_empty() {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(quantile_of_sorted(&sorted, q))
}

/// Returns the sum in index order divided by the count; `values` must not be empty.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}

/// Returns the 97.5 % quantile of Student's t: from the table, and beyond it the normal quantile
/// with Fisher's first three corrections (the error is below 1e-6 beyond 30 degrees of freedom).
fn t_quantile(degrees: usize) -> f64 {
    if let Some(t) = T_95.get(degrees - 1) {
        return *t;
    }
    let (z, v) = (Z_95, degrees as f64);
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / v + second / v.powi(2) + third / v.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_has_students_interval() {
        // Mean 3, standard deviation sqrt(2.5), half width 2.776445 * sqrt(2.5 / 5) = 1.963243.
        let got = mean_ci(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert_eq!((got.n, got.mean), (5, 3.0));
        assert!((got.ci95.0 - 1.036757).abs() < 1e-6 && (got.ci95.1 - 4.963243).abs() < 1e-6, "{got:?}");
        assert_eq!(mean_ci(&[2.0]).unwrap().ci95, (2.0, 2.0));
        assert_eq!(mean_ci(&[]), None);
    }

    #[test]
    fn the_t_quantile_agrees_with_the_tables() {
        let check = |degrees, expected: f64| assert!((t_quantile(degrees) - expected).abs() < 2e-6, "{degrees}");
        check(1, 12.706205);
        check(30, 2.042272);
        check(31, 2.039513);
        check(40, 2.021075);
        check(60, 2.000298);
        check(120, 1.979930);
        check(1000, 1.962339);
    }

    #[test]
    fn quantiles_interpolate() {
        let values = [4.0, 1.0, 3.0, 2.0];
        let check = |q, expected| assert_eq!(quantile(&values, q), Some(expected));
        check(0.0, 1.0);
        check(0.5, 2.5);
        check(0.25, 1.75);
        check(1.0, 4.0);
        assert_eq!(quantile(&[], 0.5), None);
    }
}
