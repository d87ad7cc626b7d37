//! What abstention buys: the share of cases that are still decided, and how many of these are
//! wrong.

/// The cases whose margin is at least `margin`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CoveragePoint {
    /// The least margin.
    pub margin: f64,
    /// The number of cases with that margin or more.
    pub covered: usize,
    /// The number of these that are wrong.
    pub wrong: usize,
}

impl CoveragePoint {
    /// The share of the covered cases that are wrong.
    pub fn risk(&self) -> f64 {
        self.wrong as f64 / self.covered as f64
    }
}

/// Returns the cases that are covered as the margin falls, one point for every distinct margin, the
/// highest first. Each case is its margin and whether it is wrong.
///
/// # Panics
/// Panics if a margin is not a number.
pub fn coverage(cases: &[(f64, bool)]) -> Vec<CoveragePoint> {
    assert!(cases.iter().all(|(margin, _)| !margin.is_nan()), "a margin is a number");
    let mut sorted = cases.to_vec();
    sorted.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut points: Vec<CoveragePoint> = Vec::new();
    let mut wrong = 0;
    for (at, (margin, is_wrong)) in sorted.into_iter().enumerate() {
        wrong += usize::from(is_wrong);
        let point = CoveragePoint { margin, covered: at + 1, wrong };
        match points.last_mut() {
            Some(last) if last.margin == margin => *last = point,
            _ => points.push(point),
        }
    }
    points
}

/// Returns the area under the curve of risk over coverage: the mean of the risk over all cases,
/// each counted where it becomes covered. 0 is best; `None` without cases.
pub fn risk_area(points: &[CoveragePoint]) -> Option<f64> {
    let all = points.last()?.covered;
    let before = |at: usize| if at == 0 { 0 } else { points[at - 1].covered };
    let sum: f64 = points.iter().enumerate().map(|(at, p)| (p.covered - before(at)) as f64 * p.risk()).sum();
    Some(sum / all as f64)
}

/// Returns the point with the highest margin that covers at least `share` of all cases; `None`
/// without cases.
pub fn at_coverage(points: &[CoveragePoint], share: f64) -> Option<CoveragePoint> {
    let all = points.last()?.covered as f64;
    points.iter().find(|point| point.covered as f64 >= share * all).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_over_coverage_agrees_with_values_worked_by_hand() {
        // Sorted margins 3, 2, 2, 1, of which the second and the last are wrong.
        let points = coverage(&[(2.0, true), (1.0, true), (3.0, false), (2.0, false)]);
        let shown: Vec<_> = points.iter().map(|p| (p.margin, p.covered, p.wrong)).collect();
        assert_eq!(shown, [(3.0, 1, 0), (2.0, 3, 1), (1.0, 4, 2)]);
        // (1 · 0 + 2 · 1/3 + 1 · 2/4) / 4.
        assert!((risk_area(&points).unwrap() - (2.0 / 3.0 + 0.5) / 4.0).abs() < 1e-12);
        let margin = |share| at_coverage(&points, share).unwrap().margin;
        assert_eq!((margin(0.1), margin(0.25), margin(0.5), margin(1.0)), (3.0, 3.0, 2.0, 1.0));
        assert_eq!((risk_area(&[]), at_coverage(&[], 0.5)), (None, None));
    }
}
