//! The counters of the judge, for the report.

use super::VerdictKind;
use serde::{Deserialize, Serialize};

/// Counters of comparisons: `comparisons = identical + coin + judged`, and `judged = decided + ties
/// + low_mass + unparsable + overflow`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct JudgeStats {
    /// The number of all comparisons.
    pub comparisons: u64,
    /// The number of model calls made for them.
    pub asked: u64,
    /// The number of comparisons of two equal texts.
    pub identical: u64,
    /// The number of comparisons decided by a coin.
    pub coin: u64,
    /// The number of comparisons that the model decided.
    pub decided: u64,
    /// The number of comparisons in which the model saw no difference or contradicted itself.
    pub ties: u64,
    /// The number of comparisons in which the answer letters had too little probability.
    pub low_mass: u64,
    /// The number of comparisons whose reply named no answer.
    pub unparsable: u64,
    /// The number of replies that ended in their reasoning, each of which makes its comparison
    /// unparsable.
    #[serde(default)]
    pub cut_in_reasoning: u64,
    /// The number of comparisons too long for the model.
    pub overflow: u64,
    /// The number of pairs of orders that agreed on the better answer.
    pub consistent: u64,
    /// The number of pairs of orders that disagreed.
    pub inconsistent: u64,
    /// With several models, the number of comparisons in which those that gave an answer agreed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub models_agreed: u64,
    /// With several models, the number of comparisons in which they did not.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub models_split: u64,
}

impl JudgeStats {
    /// The number of comparisons in which a model was asked.
    pub fn judged(&self) -> u64 {
        self.comparisons - self.identical - self.coin
    }

    /// Returns the share of pairs of orders that agreed; `None` before the first pair.
    pub fn position_consistency(&self) -> Option<f64> {
        rate(self.consistent, self.consistent + self.inconsistent)
    }

    /// Returns the share of the comparisons in which several models agreed; `None` with one model.
    pub fn model_agreement(&self) -> Option<f64> {
        rate(self.models_agreed, self.models_agreed + self.models_split)
    }

    /// Returns the share of the judged comparisons that ended in a tie, for whatever reason.
    pub fn tie_rate(&self) -> Option<f64> {
        rate(self.judged() - self.decided, self.judged())
    }

    /// Returns the share of the judged comparisons whose reply named no answer, including those
    /// with too little probability on the letters.
    pub fn unparsable_rate(&self) -> Option<f64> {
        rate(self.unparsable + self.low_mass, self.judged())
    }

    /// Adds the counters of other comparisons.
    pub fn add(&mut self, other: &Self) {
        let Self { comparisons, asked, identical, coin, decided, ties, low_mass, unparsable, .. } = *other;
        let Self { cut_in_reasoning, overflow, consistent, inconsistent, models_agreed, models_split, .. } = *other;
        self.comparisons += comparisons;
        self.asked += asked;
        self.identical += identical;
        self.coin += coin;
        self.decided += decided;
        self.ties += ties;
        self.low_mass += low_mass;
        self.unparsable += unparsable;
        self.cut_in_reasoning += cut_in_reasoning;
        self.overflow += overflow;
        self.consistent += consistent;
        self.inconsistent += inconsistent;
        self.models_agreed += models_agreed;
        self.models_split += models_split;
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

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn rate(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
