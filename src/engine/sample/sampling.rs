//! The sampling parameters of a request.

use serde::{Deserialize, Serialize};

/// How the next token is chosen.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sampling {
    /// 0 is greedy; otherwise logits are divided by it.
    pub temperature: f64,
    /// Keep only the `top_k` most likely tokens; 0 keeps all.
    pub top_k: u32,
    /// Keep the smallest set of tokens whose probabilities reach `top_p`; 1 keeps all.
    pub top_p: f64,
    /// Seed of this request's own draws; 0 when greedy, so that equal greedy requests are equal.
    pub seed: u64,
}

impl Sampling {
    /// The most likely token at every step; ties go to the lowest token id.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0, seed: 0 };

    /// Returns sampling at `temperature` from the whole vocabulary; greedy if it is 0, whatever the
    /// seed.
    pub fn at(temperature: f64, seed: u64) -> Self {
        if temperature == 0.0 { Self::GREEDY } else { Self { temperature, top_k: 0, top_p: 1.0, seed } }
    }

    /// Returns whether the most likely token is taken at every step.
    pub fn is_greedy(&self) -> bool {
        self.temperature <= 0.0 || self.top_k == 1
    }
}
