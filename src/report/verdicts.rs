//! What the optimized prompts are worth if their labels are used as verdicts.

use serde::{Deserialize, Serialize};

/// The figures about verdicts on the held-out cases, with the prompts to use. The whole of them is
/// in the run's journal, and `maspo eval --prompts` gives it again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerdictFigures {
    /// The labels that stand for a positive case.
    pub positive: Vec<String>,
    /// The number of cases whose labels could not be scored.
    pub unread: usize,
    /// The mean of −ln of the probability of the gold label; absent without cases.
    pub log_loss: Option<f64>,
    /// The expected calibration error of the likeliest label; absent without cases.
    pub calibration_error: Option<f64>,
    /// The area under the ROC curve; absent without positive labels, or cases of a single kind.
    pub roc_area: Option<Estimate>,
    /// The average precision; absent without positive labels or positive cases.
    pub average_precision: Option<Estimate>,
    /// The threshold; absent if none was asked for.
    pub threshold: Option<VerdictThreshold>,
}

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The interval.
    pub ci95: (f64, f64),
}

/// A threshold for a rate of false positives, chosen on `data.train`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerdictThreshold {
    /// The rate that it must keep to, with 95 % confidence.
    pub max_fpr: f64,
    /// Cases whose score is greater than this are called positive; absent if there are too few
    /// negative cases to choose it.
    pub above: Option<f64>,
    /// The number of negative cases that it was chosen on.
    pub negatives: usize,
    /// The number of negative cases that a threshold needs at least.
    pub needed_negatives: usize,
    /// The rate of false positives on the held-out cases; absent without a threshold.
    pub held_out_fpr: Option<f64>,
    /// The share of the positive held-out cases that are found; absent without a threshold.
    pub held_out_recall: Option<f64>,
}

impl VerdictThreshold {
    /// Returns what the threshold is and what it does to the held-out cases, or why there is none.
    pub fn words(&self) -> String {
        let Self { max_fpr, above, negatives, needed_negatives, .. } = self;
        let Some(above) = above else {
            return format!(
                "none for at most {max_fpr} false positives: {negatives} negative cases in data.train, \
                 {needed_negatives} are needed"
            );
        };
        let held_out = self
            .held_out_fpr
            .zip(self.held_out_recall)
            .map_or(String::new(), |(fpr, recall)| format!(": {fpr:.3} on the held-out cases, and {recall:.3} found"));
        format!("score above {above:+.3} for at most {max_fpr} false positives{held_out}")
    }
}

impl VerdictFigures {
    /// Returns the lines of a report.
    pub(super) fn text(&self) -> String {
        let mut text = "Verdicts on the held-out cases\n".to_string();
        let mut line = |name: &str, facts: String| text.push_str(&format!("  {name:<19}{facts}\n"));
        let estimate = |estimate: &Estimate| {
            let Estimate { value, ci95: (low, high) } = estimate;
            format!("{value:.3}  (95 % interval {low:.3} to {high:.3})")
        };
        if let Some(area) = &self.roc_area {
            line("ROC area", estimate(area));
        }
        if let Some(precision) = &self.average_precision {
            line("average precision", estimate(precision));
        }
        if let Some(error) = self.calibration_error {
            line("calibration error", format!("{error:.3}"));
        }
        if let Some(threshold) = &self.threshold {
            line("threshold", threshold.words());
        }
        if self.unread > 0 {
            line("not read", self.unread.to_string());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_figures_are_listed() {
        let threshold = VerdictThreshold {
            max_fpr: 0.05,
            above: Some(1.25),
            negatives: 93,
            needed_negatives: 59,
            held_out_fpr: Some(0.03),
            held_out_recall: Some(0.7),
        };
        let mut figures = VerdictFigures {
            positive: vec!["scraper".into()],
            unread: 2,
            log_loss: Some(0.5),
            calibration_error: Some(0.125),
            roc_area: Some(Estimate { value: 0.9, ci95: (0.85, 0.95) }),
            average_precision: Some(Estimate { value: 0.8, ci95: (0.7, 0.9) }),
            threshold: Some(threshold),
        };
        expect![[r#"
            Verdicts on the held-out cases
              ROC area           0.900  (95 % interval 0.850 to 0.950)
              average precision  0.800  (95 % interval 0.700 to 0.900)
              calibration error  0.125
              threshold          score above +1.250 for at most 0.05 false positives: 0.030 on the held-out cases, and 0.700 found
              not read           2
        "#]]
        .assert_eq(&figures.text());
        figures.threshold = Some(VerdictThreshold { above: None, negatives: 20, held_out_fpr: None, ..threshold });
        let none = "none for at most 0.05 false positives: 20 negative cases in data.train, 59 are needed\n";
        assert!(figures.text().contains(none));
    }
}
