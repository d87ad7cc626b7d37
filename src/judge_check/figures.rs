//! What a check of a judge found.

use super::pairs::Known;
use super::slope::Slope;
use crate::stats::wilson;
use serde::Serialize;

/// A share with its Wilson interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Share {
    /// The number of cases in which it was so.
    pub count: usize,
    /// The number of all cases.
    pub n: usize,
    /// The share; `None` without cases.
    pub share: Option<f64>,
    /// Wilson's 95 % interval.
    pub ci95: (f64, f64),
}

impl Share {
    pub(super) fn of(count: usize, n: usize) -> Self {
        Self { count, n, share: (n > 0).then(|| count as f64 / n as f64), ci95: wilson(count, n) }
    }

    /// Counts how often it was so.
    pub(super) fn count(cases: impl IntoIterator<Item = bool>) -> Self {
        let (mut count, mut n) = (0, 0);
        for case in cases {
            count += usize::from(case);
            n += 1;
        }
        Self::of(count, n)
    }
}

/// The verdicts on the pairs of one agent whose order is known for one reason.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct KnownLine {
    /// The agent's name.
    pub agent: String,
    /// Why the order is known.
    pub known: Known,
    /// How often the better answer won, of the verdicts that name one.
    pub right: Share,
    /// The number of verdicts that name none.
    pub ties: usize,
}

/// What one of several models is worth alone.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModelLine {
    /// The model's name.
    pub model: String,
    /// How often both orders preferred the same answer.
    pub consistency: Share,
    /// How often a reply held no answer.
    pub unparsable: Share,
    /// How often the better answer won, of all damaged pairs.
    pub damaged: Share,
    /// How often the better answer won, of the pairs whose order a gold answer or a person gives.
    pub labelled: Share,
}

/// What a check found. Shares are over replies, pairs or verdicts, as each field says.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct JudgeCheck {
    /// How often both orders preferred the same answer, of the pairs of different answers and for
    /// each rubric.
    pub consistency: Share,
    /// How often the answer that is shown first was preferred, of the replies about two equal
    /// answers that prefer one.
    pub first_shown: Share,
    /// How often the verdict was a tie, of the pairs of different outputs of the same prompts.
    pub ties: Share,
    /// How often a reply held no answer.
    pub unparsable: Share,
    /// The mean probability of both letters together; `None` in text mode.
    pub letter_mass: Option<f64>,
    /// How often all rubrics preferred the same answer, of the pairs of different answers; `None`
    /// with fewer than two rubrics.
    pub rubric_agreement: Option<Share>,
    /// How often all models that gave an answer preferred the same one, of the pairs of different
    /// answers; absent with one model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_agreement: Option<Share>,
    /// What each of several models is worth alone; empty with one model.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelLine>,
    /// The pairs of known order, by agent and reason.
    pub known: Vec<KnownLine>,
    /// How often the better answer won, of all damaged pairs.
    pub damaged: Share,
    /// How often the better answer won, of the pairs whose order a gold answer or a person gives.
    pub labelled: Share,
    /// The slope for `judge.margin_slope`; `None` in text mode and with too few pairs.
    pub slope: Option<Slope>,
}

impl JudgeCheck {
    /// What a user should be warned of.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (pairs, what) in [(&self.labelled, "pairs of known order"), (&self.damaged, "damaged pairs")] {
            if pairs.n > 0 && pairs.ci95.0 <= 0.5 {
                let (low, high) = pairs.ci95;
                warnings.push(format!(
                    "on {what} the judge is not shown to be better than a coin: the better answer won {} of {} \
                     (95 % interval {low:.2} to {high:.2})",
                    pairs.count, pairs.n
                ));
            }
        }
        for line in &self.models {
            let pairs = if line.labelled.n > 0 { &line.labelled } else { &line.damaged };
            if pairs.ci95.0 <= 0.5 {
                warnings.push(format!(
                    "{} alone is not shown to be better than a coin: the better answer won {} of {}; leave it out, or \
                     give more --queries",
                    line.model, pairs.count, pairs.n
                ));
            }
        }
        if self.labelled.n + self.damaged.n == 0 {
            warnings
                .push("no verdict on a pair of known order names an answer, so nothing shows what it is worth".into());
        }
        if self.consistency.n > 0 && self.consistency.ci95.1 < 0.8 {
            warnings.push(format!(
                "the verdict depends on the order of the answers in {} of {} pairs; both orders cancel much of it, at \
                 twice the cost of one",
                self.consistency.n - self.consistency.count,
                self.consistency.n
            ));
        }
        if self.unparsable.share.is_some_and(|share| share > 0.1) {
            warnings.push(format!(
                "{} of {} replies hold no answer: the judge's template set or `judge.mode` does not suit this model",
                self.unparsable.count, self.unparsable.n
            ));
        }
        warnings
    }
}
