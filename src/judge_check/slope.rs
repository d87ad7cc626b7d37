//! The slope that turns a judge's score into the probability that the answer is better, fitted on
//! pairs of known order (Platt scaling). Both orders are averaged, so there is no intercept.

use serde::Serialize;

/// The fewest scores that a slope is fitted on.
const MIN_SCORES: usize = 20;
/// The largest slope, where the scores are separated without error.
const MAX_SLOPE: f64 = 100.0;

/// A fitted slope.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Slope {
    /// The slope a: a score s becomes 1 / (1 + e^(−a·s)).
    pub slope: f64,
    /// The number of scores that it was fitted on.
    pub n: usize,
    /// The mean negative log-likelihood of the better answer, in nats; a coin has 0.693.
    pub log_loss: f64,
}

/// Fits the slope to scores that would all be positive if the judge were always right; `None` if
/// there are too few.
///
/// As Platt does, the targets are (n + 1) / (n + 2) instead of 1, so that scores without an error
/// have a finite slope, too. A judge that is wrong more often than right gets the slope 0.
pub(super) fn fit(scores: &[f64]) -> Option<Slope> {
    let n = scores.len();
    if n < MIN_SCORES {
        return None;
    }
    let target = (n as f64 + 1.0) / (n as f64 + 2.0);
    let derivative = |slope: f64| scores.iter().map(|score| score * (target - logistic(slope * score))).sum::<f64>();
    // The log-likelihood is concave in the slope, so its derivative falls.
    let (mut low, mut high) = (0.0, MAX_SLOPE);
    if derivative(low) <= 0.0 {
        high = low;
    }
    while high - low > 1e-6 {
        let middle = (low + high) / 2.0;
        if derivative(middle) > 0.0 { low = middle } else { high = middle }
    }
    let slope = (low + high) / 2.0;
    let loss = |score: &f64| -logistic(slope * score).max(f64::MIN_POSITIVE).ln();
    Some(Slope { slope, n, log_loss: scores.iter().map(loss).sum::<f64>() / n as f64 })
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_log_odds() {
        // Of 1,000 scores of one size, 881 are right: log odds of 2 for a score of 1.
        let scores = |size: f64| -> Vec<f64> { (0..1000).map(|at| if at < 881 { size } else { -size }).collect() };
        let one = fit(&scores(1.0)).unwrap();
        assert!((one.slope - 2.0).abs() < 0.02, "{one:?}");
        let half = fit(&scores(0.5)).unwrap();
        assert!((half.slope - 2.0 * one.slope).abs() < 0.02, "{half:?}");
        assert!(one.log_loss < 0.38 && one.log_loss > 0.35, "{one:?}");
    }

    #[test]
    fn extremes_stay_finite() {
        let right = fit(&[3.0; 40]).unwrap();
        assert!(right.slope > 1.0 && right.slope < MAX_SLOPE, "{right:?}");
        assert_eq!(fit(&[-1.0; 40]).unwrap().slope, 0.0);
        assert_eq!(fit(&[1.0; 19]), None);
    }
}
