//! The verdict of a comparison.

use serde::{Deserialize, Serialize};

/// Why a verdict is what it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// The two texts are equal, so the model was not asked.
    Identical,
    /// One of the two answers is better.
    Decided,
    /// A tie: the judge sees no difference, or the two orders contradict each other.
    Tie,
    /// A tie: the answer letters had too little probability, so the reply would have been something
    /// else.
    LowMass,
    /// A tie: the reply named no answer.
    Unparsable,
    /// A tie: the comparison is too long for the model.
    Overflow,
    /// A coin decided, instead of a model.
    Coin,
}

/// The verdict on a candidate and its base.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The value: 1 if the candidate is better, 0 if it is worse, ½ for a tie; with
    /// `judge.margin_slope`, anything between.
    pub value: f64,
    /// Why it is so.
    pub kind: VerdictKind,
    /// In logit mode, the score s in nats, averaged over orders and rubrics; it is positive if the
    /// candidate is better.
    pub score: Option<f64>,
}

impl Verdict {
    /// Returns a tie of the given kind.
    pub(super) fn tie(kind: VerdictKind) -> Self {
        Self { value: 0.5, kind, score: None }
    }
}
