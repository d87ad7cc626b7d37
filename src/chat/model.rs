//! The port itself: requests, completions, scores, errors and the trait.

use super::Message;
use crate::base::Digest;
use futures::future::BoxFuture;
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

    /// Sampling at `temperature` from the whole vocabulary (greedy when it is 0, whatever the seed).
    pub fn at(temperature: f64, seed: u64) -> Self {
        if temperature == 0.0 { Self::GREEDY } else { Self { temperature, top_k: 0, top_p: 1.0, seed } }
    }

    /// Whether the most likely token is taken at every step.
    pub fn is_greedy(&self) -> bool {
        self.temperature <= 0.0 || self.top_k == 1
    }
}

/// One generation request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The conversation so far; the model answers it.
    pub messages: Vec<Message>,
    /// At most this many new tokens. Ignored by [`ChatModel::score`].
    pub max_new_tokens: usize,
    /// How tokens are chosen. Ignored by [`ChatModel::score`].
    pub sampling: Sampling,
}

/// Why a generation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FinishReason {
    /// The model ended its turn.
    Stop,
    /// `max_new_tokens` was reached.
    Length,
}

/// Where an answer came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A model computed it for this call.
    #[default]
    Model,
    /// It was read from the response cache.
    Cache,
    /// An identical request was under way, and its answer was shared.
    Shared,
}

/// What one call cost, in tokens. `prompt_tokens = prefilled + reused_tokens`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the rendered prompt (for scores: of the prompt and the answers appended to it).
    pub prompt_tokens: usize,
    /// Of these, tokens whose keys and values were already there.
    pub reused_tokens: usize,
    /// Tokens decoded.
    pub new_tokens: usize,
    /// Where the answer came from; only [`Origin::Model`] cost the tokens above now.
    pub origin: Origin,
}

/// The answer to [`ChatModel::complete`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Completion {
    /// The generated text, without control tokens.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
}

/// The answer to [`ChatModel::score`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scores {
    /// Natural-log probability of each answer text as the next tokens, in the order asked.
    pub logprobs: Vec<f64>,
    /// What it cost.
    pub usage: Usage,
}

/// Everything about a model that can change its answers; part of every cache key.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModelIdentity {
    /// For people: the directory's name or the embedded model's.
    pub name: String,
    /// Digest over weights, configuration, tokenizer, chat template, number format, backend and kernel version.
    #[cfg_attr(test, schemars(with = "String"))]
    pub digest: Digest,
}

/// Why a call gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChatError {
    /// This one request is longer than the model or the K/V pool can hold. Counted per item; the run goes on.
    #[error("the prompt has {prompt_tokens} tokens and {new_tokens} more are asked for, but {limit} fit")]
    Overflow {
        /// Tokens of the rendered prompt.
        prompt_tokens: usize,
        /// New tokens asked for.
        new_tokens: usize,
        /// What fits.
        limit: usize,
    },
    /// The run is being stopped (ctrl-C).
    #[error("stopped on request")]
    Cancelled,
    /// The answer could not be made durable; it is not to be used.
    #[error("the journal could not be written: {0}")]
    Storage(String),
    /// The model failed; the run cannot go on.
    #[error("the model failed: {0}")]
    Model(String),
}

/// A language model, wherever it runs. Implementations answer many calls at once; results never depend on which other
/// calls are under way.
pub trait ChatModel: Send + Sync {
    /// Continues the conversation.
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>>;

    /// The log-probability of each of `answers` as the next tokens after the conversation: prefill only, nothing decoded.
    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>>;

    /// What this model is; constant for its lifetime.
    fn identity(&self) -> ModelIdentity;
}
