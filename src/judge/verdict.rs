//! The answer of the judge.

use serde::{Deserialize, Serialize};

/// How a verdict came about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// The two texts are the same; nobody was asked.
    Identical,
    /// One of the two is better.
    Decided,
    /// The judge sees no difference, or the two orders contradict each other.
    Tie,
    /// The answer letters had next to no probability: the reply would have been something else. A
    /// tie.
    LowMass,
    /// The reply named no answer. A tie.
    Unparsable,
    /// The comparison is too long for the model. A tie.
    Overflow,
    /// A coin decided.
    Coin,
}

/// Which of two answers is better.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// 1 when the candidate is better, 0 when it is worse, ½ for a tie.
    pub value: f64,
    /// How it came about.
    pub kind: VerdictKind,
    /// Logit mode: s in nats, positive when the candidate is better, averaged over orders and
    /// rubrics.
    pub score: Option<f64>,
}

impl Verdict {
    /// A tie of the given kind.
    pub(super) fn tie(kind: VerdictKind) -> Self {
        Self { value: 0.5, kind, score: None }
    }
}
