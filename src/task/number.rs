//! Reads decimal numbers in a model's output, and compares them within a tolerance.

use regex::Regex;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// A number in running text: with groups of three digits or without, with an exponent or without.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[-+−]?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?").expect("a valid pattern")
});

/// How far an answer may be from the gold answer: by `abs`, or by `rel` times the gold answer,
/// whichever is more. Both are finite and not negative.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Tolerance {
    /// The absolute tolerance.
    pub abs: f64,
    /// The relative tolerance.
    pub rel: f64,
}

// Tolerances are never NaN.
impl Eq for Tolerance {}

impl Tolerance {
    /// Returns whether `answer` is close enough to `gold`.
    pub(super) fn allows(self, gold: f64, answer: f64) -> bool {
        answer == gold || (answer - gold).abs() <= f64::max(self.abs, self.rel * gold.abs())
    }
}

/// Returns the last number in a text. A sign counts unless it stands between two numbers or behind
/// a letter.
pub(super) fn last_number(text: &str) -> Option<f64> {
    let found = NUMBER.find_iter(text).last()?;
    let follows = text[..found.start()].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == ')');
    let digits = if follows { found.as_str().trim_start_matches(['-', '+', '−']) } else { found.as_str() };
    value(digits)
}

/// Returns the number that the whole text is, with a currency or a percent sign or without.
pub(super) fn whole_number(text: &str) -> Option<f64> {
    let text = text.trim().trim_start_matches(['$', '€', '£']).trim_end_matches(['%', '.']).trim();
    let found = NUMBER.find(text).filter(|found| found.len() == text.len())?;
    value(found.as_str())
}

fn value(digits: &str) -> Option<f64> {
    let plain: String = digits.replace('−', "-").chars().filter(|c| *c != ',').collect();
    plain.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_found() {
        for (text, number) in [
            ("so 12 of 1,234.5 units", Some(1234.5)),
            ("about −3", Some(-3.0)),
            ("3-4", Some(4.0)),
            ("x = .5e-3.", Some(0.5e-3)),
            ("2 + -7 %", Some(-7.0)),
            ("1,2,3", Some(3.0)),
            ("none", None),
            ("", None),
        ] {
            assert_eq!(last_number(text), number, "{text}");
        }
        assert_eq!(
            [" $1,000 ", "50%", "3.", "4 apples", "1e999"].map(whole_number),
            [Some(1000.0), Some(50.0), Some(3.0), None, None]
        );
    }

    #[test]
    fn tolerances_are_absolute_or_relative_to_the_gold_answer() {
        let exact = Tolerance::default();
        assert!(exact.allows(0.1, 0.1) && !exact.allows(0.1, 0.100_000_1));
        assert!(Tolerance { abs: 0.01, rel: 0.0 }.allows(0.0, 0.01));
        let relative = Tolerance { abs: 0.0, rel: 0.01 };
        assert!(relative.allows(-200.0, -202.0) && !relative.allows(-200.0, -202.5));
    }
}
