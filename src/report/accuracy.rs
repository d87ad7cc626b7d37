//! Held-out accuracy, the scorer that it was measured with, and the difference of two accuracies
//! with the conclusion that its confidence interval allows.

use serde::{Deserialize, Serialize};

/// The most characters of a line of running text.
const COLUMNS: usize = 100;

/// The scorer that accuracies were measured with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScoredBy {
    /// The scorer's name.
    pub scorer: String,
    /// The version of its rules, which changes whenever an outcome could.
    pub scorer_version: u32,
    /// The rules in words.
    pub convention: String,
}

impl ScoredBy {
    /// Returns its lines in a report, after a label of `indent` characters: name, version, rules.
    pub fn text(&self, indent: usize) -> String {
        let Self { scorer, scorer_version, convention } = self;
        // A convention may begin with the scorer's name, which stands here already.
        let rules = convention.strip_prefix(&format!("{scorer}: ")).unwrap_or(convention);
        let mut text = String::new();
        let mut column = indent;
        for word in format!("{scorer} version {scorer_version}: {rules}").split(' ') {
            let length = word.chars().count();
            if column > indent && column + 1 + length > COLUMNS {
                text += &format!("\n{:indent$}", "");
                column = indent;
            }
            if column > indent {
                text.push(' ');
                column += 1;
            }
            text += word;
            column += length;
        }
        text
    }
}

/// The accuracy on held-out cases.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Accuracy {
    /// The number of cases.
    pub n: usize,
    /// The number of cases answered correctly.
    pub correct: usize,
    /// The accuracy `correct / n`.
    pub accuracy: f64,
    /// Wilson's 95 % confidence interval.
    pub ci95: (f64, f64),
}

/// The accuracy of the optimized prompts minus that of the seed prompts, on the same cases.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// The difference of the accuracies.
    pub value: f64,
    /// The 95 % confidence interval of the paired bootstrap.
    pub ci95: (f64, f64),
    /// The two-sided p-value of McNemar's exact test.
    pub mcnemar_p: f64,
}

impl Accuracy {
    /// The rest of its line in the report, after the name.
    pub(super) fn text(&self) -> String {
        let Self { n, correct, accuracy, ci95: (low, high) } = self;
        format!(" {accuracy:.3}  ({correct} of {n}; 95 % interval {low:.3} to {high:.3})")
    }
}

impl Difference {
    /// Returns the conclusion that the confidence interval allows, in plain words.
    pub fn verdict(&self) -> &'static str {
        let (low, high) = self.ci95;
        match () {
            () if low > 0.0 => "the optimized prompts are better",
            () if high < 0.0 => "the optimized prompts are worse",
            () => "within noise: no difference was shown",
        }
    }

    /// The rest of its line in the report, after the name.
    pub(super) fn text(&self) -> String {
        let Self { value, ci95: (low, high), mcnemar_p } = self;
        // Adding zero turns -0 into 0.
        let [value, low, high] = [value, low, high].map(|v| (v * 1000.0).round() / 1000.0 + 0.0);
        let p = if *mcnemar_p < 0.0001 { "p < 0.0001".to_string() } else { format!("p = {mcnemar_p:.4}") };
        format!("{value:+.3}  (95 % interval {low:+.3} to {high:+.3}; McNemar {p}): {}", self.verdict())
    }
}
