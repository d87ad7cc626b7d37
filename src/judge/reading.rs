//! Parses what the judge's model answered into a score: positive for the candidate, negative for
//! the base. What a model writes is data, so whatever is no answer becomes a [`Reading::Failed`],
//! never an error and never a panic.

use super::VerdictKind;
use crate::prompt::last_tagged;
use std::cmp::Ordering;

/// The result of one reply, of both orders of a rubric, or of all rubrics.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Reading {
    /// A finite score: nats in logit mode; 1, 0 or −1 in text mode.
    Score(f64),
    /// The reply held no answer.
    Failed(VerdictKind),
}

/// Returns l = log p(A) − log p(B), from the log-probabilities of the two letters.
pub(super) fn read_letters(logprobs: &[f64], min_letter_mass: f64) -> Reading {
    match *logprobs {
        [a, b] if a.is_finite() && b.is_finite() => {
            if a.exp() + b.exp() < min_letter_mass {
                Reading::Failed(VerdictKind::LowMass)
            } else {
                Reading::Score(a - b)
            }
        }
        _ => Reading::Failed(VerdictKind::Unparsable),
    }
}

/// Returns the probability of both letters together; `None` if a log-probability is not a number.
pub(super) fn letter_mass(logprobs: &[f64]) -> Option<f64> {
    let mass: f64 = logprobs.iter().map(|logprob| logprob.exp()).sum();
    mass.is_finite().then_some(mass)
}

/// Returns 1 for `<choose>A</choose>` and −1 for `<choose>B</choose>`; the last tag counts.
pub(super) fn read_choice(reply: &str) -> Reading {
    match last_tagged(reply, "choose") {
        Some(letter) if letter.eq_ignore_ascii_case("a") => Reading::Score(1.0),
        Some(letter) if letter.eq_ignore_ascii_case("b") => Reading::Score(-1.0),
        _ => Reading::Failed(VerdictKind::Unparsable),
    }
}

impl Reading {
    /// Returns the reading from the other answer's side, with its sign flipped.
    pub(super) fn flipped(self) -> Self {
        match self {
            Self::Score(score) => Self::Score(-score),
            failed => failed,
        }
    }

    /// Returns how the score compares with 0; `None` if there is no score.
    pub(super) fn sign(self) -> Option<Ordering> {
        match self {
            Self::Score(score) => score.partial_cmp(&0.0),
            Self::Failed(_) => None,
        }
    }
}

/// Returns the mean of the scores. If `strict`, one failure fails the whole; otherwise failures are
/// left out. The first failure stands for several.
pub(super) fn mean(readings: &[Reading], strict: bool) -> Reading {
    let failure = readings.iter().find(|reading| matches!(reading, Reading::Failed(_)));
    let scores = readings.iter().filter_map(|reading| match reading {
        Reading::Score(score) => Some(*score),
        Reading::Failed(_) => None,
    });
    let count = scores.clone().count();
    match failure {
        Some(failure) if strict || count == 0 => *failure,
        _ => Reading::Score(scores.sum::<f64>() / count.max(1) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_probabilities_are_read_and_invalid_ones_are_no_answer() {
        let check = |logprobs: &[f64], expected| assert_eq!(read_letters(logprobs, 0.05), expected, "{logprobs:?}");
        check(&[-1.0, -1.5], Reading::Score(0.5));
        check(&[-5.0, -6.0], Reading::Failed(VerdictKind::LowMass));
        check(&[f64::NAN, -1.0], Reading::Failed(VerdictKind::Unparsable));
        check(&[-0.1, f64::NEG_INFINITY], Reading::Failed(VerdictKind::Unparsable));
        check(&[f64::INFINITY, f64::INFINITY], Reading::Failed(VerdictKind::Unparsable));
        check(&[-1.0], Reading::Failed(VerdictKind::Unparsable));
        check(&[], Reading::Failed(VerdictKind::Unparsable));
    }

    #[test]
    fn tagged_choices_are_read_and_other_text_is_no_answer() {
        let check = |reply, expected| assert_eq!(read_choice(reply), expected, "{reply}");
        check("<choose>A</choose>", Reading::Score(1.0));
        check("not <choose>A</choose> but <choose> b </choose>.", Reading::Score(-1.0));
        check("A", Reading::Failed(VerdictKind::Unparsable));
        check("<choose>A or B</choose>", Reading::Failed(VerdictKind::Unparsable));
        check("", Reading::Failed(VerdictKind::Unparsable));
    }

    #[test]
    fn a_mean_is_strict_over_orders_and_lenient_over_rubrics() {
        let (one, three, bad) = (Reading::Score(1.0), Reading::Score(3.0), Reading::Failed(VerdictKind::LowMass));
        assert_eq!(mean(&[one, three], true), Reading::Score(2.0));
        assert_eq!(mean(&[one, bad], true), bad);
        assert_eq!(mean(&[one, bad, three], false), Reading::Score(2.0));
        assert_eq!(mean(&[bad, bad], false), bad);
    }
}
