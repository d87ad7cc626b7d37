//! The interface itself: requests, completions, scores, errors and the trait.

use super::{FinishReason, Message, Sampling};
use crate::base::Digest;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One generation request.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The conversation so far; the model answers it. If its last message is the assistant's, the
    /// answer begins with that text: the model goes on from its end, and the completion holds only
    /// what it adds.
    pub messages: Vec<Message>,
    /// The most new tokens, reasoning and content together. Ignored by [`ChatModel::score`].
    pub max_new_tokens: usize,
    /// The most tokens of reasoning: a longer thought is closed, and content follows. 0 skips the
    /// thought; `None` leaves it to `max_new_tokens`. Ignored by [`ChatModel::score`], which always
    /// skips it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_thinking_tokens: Option<usize>,
    /// How tokens are chosen. Ignored by [`ChatModel::score`].
    pub sampling: Sampling,
}

/// The origin of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A model computed it for this call.
    #[default]
    Model,
    /// It was read from the response cache.
    Cache,
    /// An identical request was in flight, and its answer was shared.
    Shared,
}

/// The cost of one call in tokens: `prompt_tokens = prefilled + reused_tokens`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the rendered prompt; for scores, of the prompt and the answers appended to it.
    pub prompt_tokens: usize,
    /// The number of these tokens whose keys and values were reused.
    pub reused_tokens: usize,
    /// The number of tokens decoded.
    pub new_tokens: usize,
    /// Where the answer came from. Only an answer of [`Origin::Model`] was computed by this call.
    pub origin: Origin,
}

/// The answer to [`ChatModel::complete`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Completion {
    /// The content: the generated text without control tokens and without the reasoning before it.
    pub text: String,
    /// The reasoning; `None` if the model did not think. Nothing above the port reads it: agents,
    /// scorers and judges see the content only.
    pub reasoning: Option<String>,
    /// Whether the completion ended in its reasoning. Then the content is empty and there is no
    /// answer.
    pub cut_in_reasoning: bool,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// What it cost.
    pub usage: Usage,
}

impl Completion {
    /// A completion of a model that does not think and ended its turn.
    pub fn of(text: impl Into<String>, usage: Usage) -> Self {
        Self { text: text.into(), reasoning: None, cut_in_reasoning: false, finish_reason: FinishReason::Stop, usage }
    }

    /// The completion of a model that was cut off in its reasoning.
    pub fn cut(reasoning: impl Into<String>, usage: Usage) -> Self {
        let (reasoning, finish_reason) = (Some(reasoning.into()), FinishReason::Length);
        Self { text: String::new(), reasoning, cut_in_reasoning: true, finish_reason, usage }
    }
}

/// The answer to [`ChatModel::score`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Scores {
    /// The natural logarithm of the probability of each answer as the next tokens, in the order
    /// given.
    pub logprobs: Vec<f64>,
    /// What it cost.
    pub usage: Usage,
}

/// Everything about a model that can change its answers; it is part of every cache key.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModelIdentity {
    /// The name for people: that of the model's folder, or of the embedded model.
    pub name: String,
    /// The digest over weights, configuration, tokenizer, chat template, number format, backend and
    /// kernel version.
    #[cfg_attr(test, schemars(with = "String"))]
    pub digest: Digest,
}

/// Why a call gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChatError {
    /// This request is longer than the model or the K/V pool can hold. It is counted per item, and
    /// the run goes on.
    #[error("the prompt has {prompt_tokens} tokens and {new_tokens} more are asked for, but {limit} fit")]
    Overflow {
        /// Tokens of the rendered prompt.
        prompt_tokens: usize,
        /// The requested number of new tokens.
        new_tokens: usize,
        /// The most tokens that fit.
        limit: usize,
    },
    /// The run is being stopped (ctrl-C).
    #[error("stopped on request")]
    Cancelled,
    /// The call does not fit into the budget of the run, which ends with what it has.
    #[error("the budget is used up")]
    Budget,
    /// The answer could not be made durable, so it must not be used.
    #[error("the journal could not be written: {0}")]
    Storage(String),
    /// The model's server is away or refuses to answer. A resumed run goes on where it was.
    #[error("{0}")]
    Unavailable(String),
    /// The model failed; the run cannot go on.
    #[error("the model failed: {0}")]
    Model(String),
}

/// A language model, wherever it runs. Implementations process many calls concurrently; results
/// never depend on which other calls are in flight.
pub trait ChatModel: Send + Sync {
    /// Generates the next message of the conversation.
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>>;

    /// Returns the log-probability of each of `answers` as the next tokens after the conversation,
    /// or after the text that the answer begins with, if the last message is the assistant's. This
    /// is prefill only; nothing is decoded.
    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>>;

    /// The identity of this model, constant for its lifetime.
    fn identity(&self) -> ModelIdentity;

    /// The models that this one stands for, which are asked one by one; empty for a single model.
    /// What wraps such a model wraps each of them.
    fn members(&self) -> Vec<Arc<dyn ChatModel>> {
        Vec::new()
    }
}
