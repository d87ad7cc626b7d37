//! How comparisons are made and decided.

use serde::{Deserialize, Serialize};

/// How the judge answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JudgeMode {
    /// Read the next-token log-probabilities of the answer letters: one prefill, no decoding.
    #[default]
    Logit,
    /// Generate a reply and parse `<choose>A</choose>`.
    Text,
    /// A seeded coin instead of a model: the control that shows what the judge is worth.
    Coin,
}

/// Options of the `[judge]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JudgeOptions {
    /// How the judge answers.
    pub mode: JudgeMode,
    /// Ask in both orders and combine, which cancels an additive position bias. Off only for the
    /// ablation.
    pub both_orders: bool,
    /// Logit mode: |s| below this (nats) is a tie.
    pub tie_band: f64,
    /// Logit mode: when the two letters together have less probability than this, the reply is no
    /// answer: a tie, counted.
    pub min_letter_mass: f64,
    /// Text mode: most new tokens of a reply.
    pub max_new_tokens: usize,
    /// Further sentences on what counts; each is asked on its own and the scores are averaged.
    /// Empty asks once without one.
    pub rubrics: Vec<String>,
}

impl Default for JudgeOptions {
    fn default() -> Self {
        Self {
            mode: JudgeMode::Logit,
            both_orders: true,
            tie_band: 0.1,
            min_letter_mass: 0.05,
            max_new_tokens: 256,
            rubrics: Vec::new(),
        }
    }
}
