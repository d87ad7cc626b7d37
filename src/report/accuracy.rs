//! Held-out accuracy and the difference of two, with what the interval lets one say.

use serde::{Deserialize, Serialize};

/// How many held-out cases were answered correctly.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Accuracy {
    /// Cases.
    pub n: usize,
    /// Of these, answered correctly.
    pub correct: usize,
    /// `correct / n`.
    pub accuracy: f64,
    /// Wilson's 95 % interval of it.
    pub ci95: (f64, f64),
}

/// Optimized minus seed prompts on the same cases.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// The difference of the accuracies.
    pub value: f64,
    /// Its 95 % interval (paired bootstrap).
    pub ci95: (f64, f64),
    /// McNemar's exact test of no difference.
    pub mcnemar_p: f64,
}

impl Accuracy {
    /// The line of the report, after its name.
    pub(super) fn text(&self) -> String {
        let Self { n, correct, accuracy, ci95: (low, high) } = self;
        format!(" {accuracy:.3}  ({correct} of {n}; 95 % interval {low:.3} to {high:.3})")
    }
}

impl Difference {
    /// What the interval lets one say, in plain words.
    pub fn verdict(&self) -> &'static str {
        let (low, high) = self.ci95;
        match () {
            () if low > 0.0 => "the optimized prompts are better",
            () if high < 0.0 => "the optimized prompts are worse",
            () => "within noise: no difference was shown",
        }
    }

    /// The line of the report, after its name.
    pub(super) fn text(&self) -> String {
        let Self { value, ci95: (low, high), mcnemar_p } = self;
        // Adding zero turns -0 into 0.
        let [value, low, high] = [value, low, high].map(|v| (v * 1000.0).round() / 1000.0 + 0.0);
        let p = if *mcnemar_p < 0.0001 { "p < 0.0001".to_string() } else { format!("p = {mcnemar_p:.4}") };
        format!("{value:+.3}  (95 % interval {low:+.3} to {high:+.3}; McNemar {p}): {}", self.verdict())
    }
}
