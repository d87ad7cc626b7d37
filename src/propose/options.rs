//! Options of the optimizer model: how candidates are written.

use crate::base::{Bound, Bounded, Rule};
use serde::{Deserialize, Serialize};

/// Options of the `[propose]` section.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ProposeOptions {
    /// The sampling temperature of the optimizer model; each candidate has its own derived seed.
    pub temperature: f64,
    /// The most new tokens of one proposal.
    pub max_new_tokens: usize,
    /// The number of the parent's traces shown in one proposal.
    pub traces: usize,
    /// The longest excerpt of one quoted text, in bytes.
    pub excerpt_bytes: usize,
    /// The longest candidate prompt, in bytes.
    pub max_prompt_bytes: usize,
    /// What the optimizer model's reply begins with; the model goes on from there, without a
    /// thought. A small model that never gets to its prompt writes one at once after `<prompt>`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reply_start: String,
}

impl Default for ProposeOptions {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            max_new_tokens: 4096,
            traces: 3,
            excerpt_bytes: 2000,
            max_prompt_bytes: 8000,
            reply_start: String::new(),
        }
    }
}

impl Bounded for ProposeOptions {
    const SECTION: &'static str = "propose";

    const BOUNDS: &'static [Bound<Self>] = &[
        Bound::new("temperature", Rule::NOT_NEGATIVE, |options| Some(options.temperature.into())),
        Bound::new("max_new_tokens", Rule::at_least(1), |options| Some(options.max_new_tokens.into())),
        Bound::new("excerpt_bytes", Rule::at_least(1), |options| Some(options.excerpt_bytes.into())),
        Bound::new("max_prompt_bytes", Rule::at_least(1), |options| Some(options.max_prompt_bytes.into())),
    ];
}
