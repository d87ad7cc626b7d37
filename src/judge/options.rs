//! Options of the judge: how comparisons are made and decided.

use crate::base::{Bound, Bounded, Rule};
use serde::{Deserialize, Serialize};

/// How the judge answers a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum JudgeMode {
    /// The judge reads the next-token log-probabilities of the answer letters: one prefill, no
    /// decoding.
    #[default]
    Logit,
    /// The judge generates a reply, from which `<choose>A</choose>` is parsed.
    Text,
    /// A seeded coin replaces the model: the control that shows what the judge is worth.
    Coin,
}

/// Options of the `[judge]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct JudgeOptions {
    /// How the judge answers a comparison.
    pub mode: JudgeMode,
    /// Whether each pair is judged in both orders and the results are combined, which cancels an
    /// additive position bias. Off only for the ablation.
    pub both_orders: bool,
    /// In logit mode, a score |s| below this many nats is a tie.
    pub tie_band: f64,
    /// In logit mode, the slope a that turns a score s outside of the tie band into the value
    /// 1 / (1 + e^(−a·s)), so that a wide margin counts more than a narrow one. Without it the
    /// value is 1 or 0, as in the paper. `maspo judge` fits it on pairs of known order (Platt).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_slope: Option<f64>,
    /// In logit mode, if both letters together have less probability than this, the reply is no
    /// answer; the comparison is a tie and is counted.
    pub min_letter_mass: f64,
    /// The most new tokens of a reply in text mode.
    pub max_new_tokens: usize,
    /// Rubrics: further sentences on what counts. Each is judged on its own, and the scores are
    /// averaged. Without rubrics each pair is judged once.
    pub rubrics: Vec<String>,
    /// The number of models that judge, for the plan. It is no key: `[[model.judges]]` names them.
    #[serde(skip)]
    pub models: usize,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self {
            mode: JudgeMode::Logit,
            both_orders: true,
            tie_band: 0.1,
            margin_slope: None,
            min_letter_mass: 0.05,
            max_new_tokens: 256,
            rubrics: Vec::new(),
            models: 1,
        }
    }
}

impl Bounded for JudgeOptions {
    const SECTION: &'static str = "judge";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("tie_band", Rule::NOT_NEGATIVE, |options| Some(options.tie_band.into())),
        Bound::new("margin_slope", Rule::NOT_NEGATIVE, |options| options.margin_slope.map(Into::into)),
        Bound::new("min_letter_mass", Rule::Real(0.0, 1.0), |options| Some(options.min_letter_mass.into())),
        Bound::new("max_new_tokens", Rule::at_least(1), |options| Some(options.max_new_tokens.into())),
    ];
}
