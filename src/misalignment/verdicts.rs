//! The judge's verdicts on one sample in words: better, equal or worse, per term of Eq. 5.

use crate::reward::SampleReward;
use std::cmp::Ordering;

/// How the terms of a sample compare with a tie: `Greater` is better, `Less` is worse. A term that
/// does not exist or was not judged is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdicts {
    /// The agent's own output.
    pub local: Option<Ordering>,
    /// The outputs of its successors.
    pub lookahead: Option<Ordering>,
    /// The system's answer.
    pub global: Option<Ordering>,
}

impl Verdicts {
    /// The verdicts on a sample.
    pub fn of(sample: &SampleReward) -> Self {
        let compared = |term: Option<f64>| term.and_then(|value| value.partial_cmp(&0.5));
        Self { local: compared(sample.local), lookahead: compared(sample.lookahead), global: compared(sample.global) }
    }

    /// Whether a comparison was lost.
    pub fn lost(&self) -> bool {
        [self.local, self.lookahead, self.global].contains(&Some(Ordering::Less))
    }
}
