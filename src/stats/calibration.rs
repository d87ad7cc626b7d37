//! Whether stated confidences are kept.

/// The number of equally wide bins of confidence.
const BINS: usize = 10;

/// Returns the expected calibration error: the mean over ten equally wide bins of confidence, by
/// their numbers of cases, of the distance between the mean confidence and the share of right
/// cases. Each case is its confidence, from 0 to 1, and whether it is right. `None` without cases.
///
/// # Panics
/// Panics if a confidence is not between 0 and 1.
pub fn calibration_error(cases: &[(f64, bool)]) -> Option<f64> {
    let mut bins = [(0.0, 0usize); BINS];
    for (confidence, right) in cases {
        assert!((0.0..=1.0).contains(confidence), "a confidence is between 0 and 1");
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        // The sum of the bin's confidences minus the number of its right cases.
        bin.0 += confidence - f64::from(u8::from(*right));
        bin.1 += 1;
    }
    let distance: f64 = bins.iter().map(|(sum, _)| sum.abs()).sum();
    (!cases.is_empty()).then(|| distance / cases.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_agrees_with_one_worked_by_hand() {
        // Two cases near 0.9, one of them right: |1.83 − 1| = 0.83. One at 0.35, wrong: 0.35.
        let cases = [(0.91, true), (0.35, false), (0.92, false)];
        assert!((calibration_error(&cases).unwrap() - (0.83 + 0.35) / 3.0).abs() < 1e-12);
        assert_eq!(calibration_error(&[(1.0, true), (0.0, false)]), Some(0.0));
        assert_eq!(calibration_error(&[]), None);
    }
}
