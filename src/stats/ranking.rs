//! How well a score tells positive cases from negative ones: the ROC curve with its area, precision
//! and recall, and the threshold for a rate of false positives that must not be exceeded.

use super::binomial::{fewest_draws, most_successes};
use super::summary::{Z_95, quantile_of_sorted};
use crate::base::{Seed, Stage};
use rand::RngExt;

/// The number of resamples for the interval of the average precision.
const RESAMPLES: usize = 2000;

/// Positive and negative cases ordered by their score.
#[derive(Clone, PartialEq, Debug)]
pub struct Ranking {
    /// The distinct scores, the highest first.
    steps: Vec<Step>,
    positives: usize,
    negatives: usize,
}

/// The cases of one score.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Step {
    score: f64,
    positives: usize,
    negatives: usize,
}

/// What is found if the cases with a score of `threshold` or more are called positive.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CurvePoint {
    /// The score.
    pub threshold: f64,
    /// The number of positive cases that are called positive.
    pub true_positives: usize,
    /// The number of negative cases that are called positive.
    pub false_positives: usize,
}

/// A threshold on the score, or why there is none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Threshold {
    /// Cases whose score is greater than this are called positive.
    Above(f64),
    /// There are too few negative cases to show so low a rate.
    TooFewNegatives {
        /// The number of negative cases.
        found: usize,
        /// The number that would be needed.
        needed: usize,
    },
}

impl Ranking {
    /// Orders cases, each a score and whether the case is positive.
    ///
    /// # Panics
    /// Panics if a score is not a number.
    pub fn new(cases: &[(f64, bool)]) -> Self {
        assert!(cases.iter().all(|(score, _)| !score.is_nan()), "a score is a number");
        let mut sorted = cases.to_vec();
        sorted.sort_by(|one, other| other.0.total_cmp(&one.0));
        let mut steps: Vec<Step> = Vec::new();
        for (score, positive) in sorted {
            let (positives, negatives) = (usize::from(positive), usize::from(!positive));
            match steps.last_mut() {
                // 0 and −0 are equal, too.
                Some(step) if step.score == score => {
                    step.positives += positives;
                    step.negatives += negatives;
                }
                _ => steps.push(Step { score, positives, negatives }),
            }
        }
        let positives = cases.iter().filter(|case| case.1).count();
        Self { steps, positives, negatives: cases.len() - positives }
    }

    /// The number of positive cases.
    pub fn positives(&self) -> usize {
        self.positives
    }

    /// The number of negative cases.
    pub fn negatives(&self) -> usize {
        self.negatives
    }

    /// Returns the points of the curves, one for every distinct score, the highest first.
    pub fn points(&self) -> Vec<CurvePoint> {
        let mut point = CurvePoint { threshold: f64::INFINITY, true_positives: 0, false_positives: 0 };
        let next = |step: &Step| {
            point.threshold = step.score;
            point.true_positives += step.positives;
            point.false_positives += step.negatives;
            point
        };
        self.steps.iter().map(next).collect()
    }

    /// Returns the points at which the ROC curve turns, and its last one: all others lie on the
    /// lines between them.
    pub fn corners(&self) -> Vec<CurvePoint> {
        let points = self.points();
        let step = |at: usize| (self.steps[at].positives, self.steps[at].negatives);
        // The product compares the slopes of two pieces without a division.
        let turns = |at: usize| at + 1 == points.len() || step(at).0 * step(at + 1).1 != step(at).1 * step(at + 1).0;
        points.iter().enumerate().filter(|(at, _)| turns(*at)).map(|(_, point)| *point).collect()
    }

    /// Returns the area under the ROC curve: the chance that a positive case has a higher score
    /// than a negative one, where equal scores count half (Mann and Whitney). `None` if there are
    /// no positive or no negative cases.
    pub fn auc(&self) -> Option<f64> {
        if self.positives == 0 || self.negatives == 0 {
            return None;
        }
        let (mut below, mut twice) = (self.negatives, 0.0);
        for step in &self.steps {
            below -= step.negatives;
            twice += step.positives as f64 * (2 * below + step.negatives) as f64;
        }
        Some(twice / (2.0 * self.positives as f64 * self.negatives as f64))
    }

    /// Returns the 95 % interval of the area: the normal one with the variance of DeLong, DeLong
    /// and Clarke-Pearson (1988). Where that variance is 0 or unknown, because the cases are
    /// separated or there is a single one of a kind, it is Newcombe's interval (2006, method 5).
    pub fn auc_interval(&self) -> Option<(f64, f64)> {
        let auc = self.auc()?;
        let (m, n) = (self.positives as f64, self.negatives as f64);
        // The share of the other kind that each case is ranked rightly against.
        let (mut of_positives, mut of_negatives) = (0.0, 0.0);
        let (mut below, mut above) = (self.negatives, 0);
        for step in &self.steps {
            below -= step.negatives;
            let share = (below as f64 + 0.5 * step.negatives as f64) / n;
            of_positives += step.positives as f64 * (share - auc).powi(2);
            let share = (above as f64 + 0.5 * step.positives as f64) / m;
            of_negatives += step.negatives as f64 * (share - auc).powi(2);
            above += step.positives;
        }
        let variance = of_positives / ((m - 1.0) * m) + of_negatives / ((n - 1.0) * n);
        if self.positives < 2 || self.negatives < 2 || variance <= 0.0 {
            return Some(newcombe(auc, m, n));
        }
        let half = Z_95 * variance.sqrt();
        Some(((auc - half).max(0.0), (auc + half).min(1.0)))
    }

    /// Returns the average precision: the mean of the precision over the steps of recall, without
    /// interpolation. `None` without positive cases.
    pub fn average_precision(&self) -> Option<f64> {
        let counts = self.steps.iter().map(|step| (step.positives, step.negatives));
        (self.positives > 0).then(|| average_precision(counts, self.positives))
    }

    /// Returns the 95 % percentile interval of the average precision, from 2,000 resamples of the
    /// positive and of the negative cases.
    pub fn average_precision_interval(&self, seed: Seed) -> Option<(f64, f64)> {
        if self.positives == 0 {
            return None;
        }
        let of = |count: fn(&Step) -> usize| -> Vec<usize> {
            self.steps.iter().enumerate().flat_map(|(at, step)| std::iter::repeat_n(at, count(step))).collect()
        };
        let (positives, negatives) = (of(|step| step.positives), of(|step| step.negatives));
        let mut rng = seed.derive(Stage::Bootstrap, &[2]).rng();
        let mut counts = vec![(0, 0); self.steps.len()];
        let mut values: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                counts.fill((0, 0));
                for _ in &positives {
                    counts[positives[rng.random_range(0..positives.len() as u64) as usize]].0 += 1;
                }
                for _ in &negatives {
                    counts[negatives[rng.random_range(0..negatives.len() as u64) as usize]].1 += 1;
                }
                average_precision(counts.iter().copied(), self.positives)
            })
            .collect();
        values.sort_by(f64::total_cmp);
        Some((quantile_of_sorted(&values, 0.025), quantile_of_sorted(&values, 0.975)))
    }

    /// Returns the lowest threshold whose rate of false positives is, with 95 % confidence, at most
    /// `rate`. It is the score of the (k+1)-th highest negative case, where k is the most false
    /// positives that Clopper and Pearson's bound allows among so many negative cases. As k depends
    /// on their number alone, the confidence holds although the threshold is chosen by them.
    ///
    /// # Panics
    /// Panics unless `0 < rate < 1`.
    pub fn threshold(&self, rate: f64) -> Threshold {
        let Some(mut allowed) = most_successes(rate, self.negatives) else {
            return Threshold::TooFewNegatives { found: self.negatives, needed: fewest_draws(rate) };
        };
        for step in &self.steps {
            if step.negatives > allowed {
                return Threshold::Above(step.score);
            }
            allowed -= step.negatives;
        }
        unreachable!("fewer false positives are allowed than there are negative cases")
    }

    /// Returns how many positive and how many negative cases have a score greater than `threshold`.
    pub fn above(&self, threshold: f64) -> (usize, usize) {
        let above = self.steps.iter().take_while(|step| step.score > threshold);
        above.fold((0, 0), |(positives, negatives), step| (positives + step.positives, negatives + step.negatives))
    }
}

fn average_precision(steps: impl Iterator<Item = (usize, usize)>, positives: usize) -> f64 {
    let (mut hits, mut called, mut sum) = (0, 0, 0.0);
    for (more, less) in steps.filter(|(more, less)| more + less > 0) {
        hits += more;
        called += more + less;
        sum += more as f64 * hits as f64 / called as f64;
    }
    sum / positives as f64
}

/// Returns Newcombe's interval of an area over `m` positive and `n` negative cases: the areas from
/// which `auc` is 1.96 of their own standard errors away.
fn newcombe(auc: f64, m: f64, n: f64) -> (f64, f64) {
    let star = (m + n) / 2.0 - 1.0;
    let error = |area: f64| {
        let factor = 1.0 + star * ((1.0 - area) / (2.0 - area) + area / (1.0 + area));
        Z_95 * (area * (1.0 - area) * factor / (m * n)).sqrt()
    };
    // Halvings between an end that is too far away and one that is too near.
    let solve = |mut far: f64, mut near: f64| {
        for _ in 0..60 {
            let middle = 0.5 * (far + near);
            if (auc - middle).abs() > error(middle) { far = middle } else { near = middle }
        }
        0.5 * (far + near)
    };
    let inside = |end: f64| auc + (end - auc) * 1e-9;
    let low = if auc <= 0.0 { 0.0 } else { solve(0.0, inside(0.0)) };
    let high = if auc >= 1.0 { 1.0 } else { solve(1.0, inside(1.0)) };
    (low, high)
}
