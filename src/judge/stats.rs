//! What the judge did in a run, for the report.

use super::VerdictKind;
use serde::{Deserialize, Serialize};

/// Counts of comparisons. `comparisons = identical + coin + judged`, and
/// `judged = decided + ties + low_mass + unparsable + overflow`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JudgeStats {
    /// Comparisons asked of the judge.
    pub comparisons: u64,
    /// Calls made to the model for them.
    pub asked: u64,
    /// Comparisons of two equal texts.
    pub identical: u64,
    /// Comparisons decided by a coin.
    pub coin: u64,
    /// Comparisons that the model decided.
    pub decided: u64,
    /// Comparisons in which the model saw no difference or contradicted itself.
    pub ties: u64,
    /// Comparisons whose letters had next to no probability.
    pub low_mass: u64,
    /// Comparisons whose reply named no answer.
    pub unparsable: u64,
    /// Comparisons too long for the model.
    pub overflow: u64,
    /// Pairs of orders that named the same answer.
    pub consistent: u64,
    /// Pairs of orders that did not.
    pub inconsistent: u64,
}

impl JudgeStats {
    /// Comparisons in which a model was asked.
    pub fn judged(&self) -> u64 {
        self.comparisons - self.identical - self.coin
    }

    /// How often both orders name the same answer; `None` before the first pair.
    pub fn position_consistency(&self) -> Option<f64> {
        rate(self.consistent, self.consistent + self.inconsistent)
    }

    /// How many of the judged comparisons gave ½, for whatever reason.
    pub fn tie_rate(&self) -> Option<f64> {
        rate(self.judged() - self.decided, self.judged())
    }

    /// How many of the judged comparisons had a reply that named no answer (too little probability on the letters included).
    pub fn unparsable_rate(&self) -> Option<f64> {
        rate(self.unparsable + self.low_mass, self.judged())
    }

    pub(super) fn count(&mut self, kind: VerdictKind) {
        self.comparisons += 1;
        *match kind {
            VerdictKind::Identical => &mut self.identical,
            VerdictKind::Decided => &mut self.decided,
            VerdictKind::Tie => &mut self.ties,
            VerdictKind::LowMass => &mut self.low_mass,
            VerdictKind::Unparsable => &mut self.unparsable,
            VerdictKind::Overflow => &mut self.overflow,
            VerdictKind::Coin => &mut self.coin,
        } += 1;
    }
}

fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
