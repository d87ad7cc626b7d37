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
    /// `judge.margin_slope` or with several models, anything between.
    pub value: f64,
    /// Why it is so.
    pub kind: VerdictKind,
    /// In logit mode, the score s in nats, averaged over orders, rubrics and models; it is positive
    /// if the candidate is better.
    pub score: Option<f64>,
}

impl Verdict {
    /// Returns what several models' verdicts add up to: the mean of their values. Models whose
    /// replies held no answer have no vote; if all are such, the first of them stands for all.
    pub(super) fn joint(verdicts: &[Self]) -> Self {
        let votes: Vec<&Self> = verdicts.iter().filter(|verdict| verdict.is_vote()).collect();
        let (Some(first), false) = (verdicts.first(), votes.is_empty()) else {
            return verdicts.first().copied().unwrap_or_else(|| Self::tie(VerdictKind::Tie));
        };
        if verdicts.len() == 1 {
            return *first;
        }
        let mean = |sum: f64| sum / votes.len() as f64;
        let value = mean(votes.iter().map(|vote| vote.value).sum());
        let scores: Option<Vec<f64>> = votes.iter().map(|vote| vote.score).collect();
        let kind = if value == 0.5 { VerdictKind::Tie } else { VerdictKind::Decided };
        Self { value, kind, score: scores.map(|scores| mean(scores.iter().sum())) }
    }

    /// Returns whether all of several models that have a vote are of one mind; `None` if fewer than
    /// two have one.
    pub(super) fn agree(verdicts: &[Self]) -> Option<bool> {
        let sides: Vec<_> =
            verdicts.iter().filter(|verdict| verdict.is_vote()).map(|vote| vote.value.partial_cmp(&0.5)).collect();
        (sides.len() > 1).then(|| sides.windows(2).all(|two| two[0] == two[1]))
    }

    fn is_vote(&self) -> bool {
        matches!(self.kind, VerdictKind::Decided | VerdictKind::Tie)
    }

    /// Returns a tie of the given kind.
    pub(super) fn tie(kind: VerdictKind) -> Self {
        Self { value: 0.5, kind, score: None }
    }
}
