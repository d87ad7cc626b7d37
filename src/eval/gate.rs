//! Gates: conditions that an evaluation has to meet, as a build needs them. They decide and say
//! why; what happens then is up to the caller.

use super::difference::Difference;
use super::evaluation::Accuracy;
use serde::Serialize;

/// The p-value below which a paired difference counts.
pub const GATE_LEVEL: f64 = 0.05;

/// A gate with what it was decided by.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "gate", rename_all = "kebab-case")]
pub enum Gate {
    /// The accuracy must not be below a bound. Its point estimate counts, not its interval.
    FailBelow {
        /// The least accuracy that passes.
        least: f64,
        /// The accuracy of the evaluation.
        accuracy: f64,
        /// Whether the gate is passed.
        passed: bool,
    },
    /// The evaluation must not be worse than another one of the same cases. It is worse if its
    /// accuracy is lower and McNemar's exact two-sided p-value is below [`GATE_LEVEL`].
    FailIfWorseThan {
        /// The name of the other evaluation: the path that the user gave.
        baseline: String,
        /// The accuracy of the other evaluation.
        accuracy: f64,
        /// The gain over the other evaluation.
        difference: Difference,
        /// The p-value below which a difference counts.
        level: f64,
        /// Whether the gate is passed.
        passed: bool,
    },
}

impl Gate {
    /// Decides whether `accuracy` is at least `least`.
    pub fn fail_below(least: f64, accuracy: &Accuracy) -> Self {
        let accuracy = accuracy.accuracy;
        Self::FailBelow { least, accuracy, passed: accuracy >= least }
    }

    /// Decides whether the second evaluation of `difference` is worse than the first, whose
    /// accuracy is `accuracy`.
    pub fn fail_if_worse_than(baseline: String, accuracy: &Accuracy, difference: Difference) -> Self {
        let passed = difference.value >= 0.0 || difference.mcnemar_p >= GATE_LEVEL;
        Self::FailIfWorseThan { baseline, accuracy: accuracy.accuracy, difference, level: GATE_LEVEL, passed }
    }

    /// Whether the gate is passed.
    pub fn passed(&self) -> bool {
        match self {
            Self::FailBelow { passed, .. } | Self::FailIfWorseThan { passed, .. } => *passed,
        }
    }

    /// Returns the name of the gate, which is the flag that sets it.
    pub fn name(&self) -> String {
        match self {
            Self::FailBelow { least, .. } => format!("--fail-below {least}"),
            Self::FailIfWorseThan { baseline, .. } => format!("--fail-if-worse-than {baseline}"),
        }
    }

    /// Returns what was found, in one sentence without a full stop.
    pub fn finding(&self) -> String {
        match self {
            Self::FailBelow { least, accuracy, passed } => {
                let is = if *passed { "not below" } else { "below" };
                // More digits than elsewhere, so that the two never look equal where they are not.
                format!("the accuracy {} is {is} {least}", short(*accuracy))
            }
            Self::FailIfWorseThan { accuracy, difference, level, passed, .. } => {
                let Difference { value, mcnemar_p, n, only_first, only_second, .. } = difference;
                let counts = format!(
                    "on {n} cases, {only_first} right only there and {only_second} right only here, McNemar p \
                     {mcnemar_p:.4}"
                );
                let is = match (passed, *value) {
                    (false, _) => format!("worse, with p below {level}"),
                    (true, value) if value < 0.0 => {
                        format!("lower, but not shown to be worse (p is not below {level})")
                    }
                    (true, 0.0) => "equally high".to_string(),
                    (true, _) => "higher".to_string(),
                };
                format!("the accuracy is {is}: {value:+.3} against {} ({counts})", short(*accuracy))
            }
        }
    }
}

/// Returns the number with six digits at most and no zeros at its end.
fn short(number: f64) -> String {
    let text = format!("{number:.6}");
    let text = text.trim_end_matches('0');
    text.strip_suffix('.').unwrap_or(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::{Evaluation, ItemResult, compare};
    use super::*;
    use crate::base::Seed;
    use crate::task::Outcome;

    fn evaluation(pattern: &str) -> Evaluation {
        let item = |(at, c): (usize, char)| ItemResult {
            id: at.to_string(),
            answer: None,
            outcome: if c == '1' { Outcome::Correct } else { Outcome::Wrong },
            overflow: false,
            cut_in_reasoning: false,
        };
        Evaluation::new(pattern.chars().enumerate().map(item).collect())
    }

    #[track_caller]
    fn check(gate: &Gate, passed: bool, finding: &str) {
        assert_eq!((gate.passed(), gate.finding().as_str()), (passed, finding));
    }

    #[test]
    fn the_point_estimate_decides_and_the_bound_itself_passes() {
        let four_fifths = evaluation("1111011110").accuracy;
        check(&Gate::fail_below(0.8, &four_fifths), true, "the accuracy 0.8 is not below 0.8");
        check(&Gate::fail_below(0.80001, &four_fifths), false, "the accuracy 0.8 is below 0.80001");
        assert_eq!(Gate::fail_below(0.9, &four_fifths).name(), "--fail-below 0.9");
        let third = evaluation("100").accuracy;
        check(&Gate::fail_below(0.33334, &third), false, "the accuracy 0.333333 is below 0.33334");
    }

    /// Six cases lost and none won: p = 2 / 64 = 0.03125. Five: p = 2 / 32 = 0.0625.
    #[test]
    fn only_a_difference_that_the_test_shows_is_worse() {
        let gate = |before: &str, after: &str| {
            let (before, after) = (evaluation(before), evaluation(after));
            Gate::fail_if_worse_than("old".into(), &before.accuracy, compare(&before, &after, Seed(1)))
        };
        check(
            &gate("11111111", "11000000"),
            false,
            "the accuracy is worse, with p below 0.05: -0.750 against 1 (on 8 cases, 6 right only there and 0 right \
             only here, McNemar p 0.0313)",
        );
        check(
            &gate("11111111", "11100000"),
            true,
            "the accuracy is lower, but not shown to be worse (p is not below 0.05): -0.625 against 1 (on 8 cases, 5 \
             right only there and 0 right only here, McNemar p 0.0625)",
        );
        assert!(gate("11000000", "11111111").passed(), "better is not worse");
        assert!(gate("10", "01").finding().starts_with("the accuracy is equally high: +0.000 against 0.5 (on 2 cases"));
    }
}
