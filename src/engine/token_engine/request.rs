//! Requests to the token engine, its answers, and what can go wrong.

use crate::base::OutOfBounds;
use crate::executor::DeviceError;
use crate::sample::{Sampling, Shaping};
use futures::channel::mpsc;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A request to continue token ids.
#[derive(Clone, PartialEq, Debug)]
pub struct TokenRequest {
    /// The prompt; not empty.
    pub prompt: Vec<u32>,
    /// The most new tokens.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Whether to go on past the model's end-of-turn tokens.
    pub ignore_eos: bool,
    /// Further tokens that end the output, whatever `ignore_eos` says.
    pub stop: Vec<u32>,
}

/// Says of the new tokens whether a thought is open after them.
type IsOpen = dyn Fn(&[u32]) -> bool + Send + Sync;

/// Closes the thought of a generation that has become too long.
#[derive(Clone)]
pub struct ThoughtLimit {
    /// The number of new tokens after which an open thought is closed.
    pub max_tokens: usize,
    /// The tokens that close it. They take the place of tokens that the model would choose, and
    /// count as new ones.
    pub closing: Vec<u32>,
    /// Returns whether a thought is open after these new tokens.
    pub is_open: Arc<IsOpen>,
}

/// What a generation may have beside its [`TokenRequest`].
#[derive(Clone, Default)]
pub struct Extras {
    /// Closes a thought that becomes too long.
    pub limit: Option<ThoughtLimit>,
    /// Changes the logits before a token is chosen.
    pub shaping: Shaping,
    /// Reports every token at once.
    pub watch: Option<Watch>,
}

/// Reports the tokens of a generation as they are chosen, the one that ends it included.
#[derive(Clone)]
pub struct Watch {
    /// Where the tokens go. There are never more of them than the request's `max_new_tokens`.
    pub tokens: mpsc::UnboundedSender<NewToken>,
    /// Which log-probabilities come with each token; none at all if absent.
    pub logprobs: Option<LogprobRequest>,
}

/// Which log-probabilities come with each token of a generation, beside those of the token itself.
/// They are the model's own, before temperature, penalties and cuts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogprobRequest {
    /// The number of the likeliest tokens.
    pub top: usize,
    /// Further tokens.
    pub of: Vec<u32>,
}

/// One token of a generation.
#[derive(Clone, PartialEq, Debug)]
pub struct NewToken {
    /// The token.
    pub id: u32,
    /// Whether the token ends the output, of which it is no part.
    pub ends: bool,
    /// How many tokens of the prompt had their keys and values in the pool already.
    pub reused_tokens: usize,
    /// The log-probabilities, if they were asked for.
    pub logprobs: Option<TokenLogprobs>,
}

/// The log-probabilities at one token of a generation.
#[derive(Clone, PartialEq, Debug)]
pub struct TokenLogprobs {
    /// That of the chosen token.
    pub chosen: f64,
    /// The likeliest tokens with theirs, the likeliest first.
    pub top: Vec<(u32, f64)>,
    /// Those of [`LogprobRequest::of`], in its order.
    pub of: Vec<f64>,
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

/// The answer to a [`TokenRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenOutput {
    /// The new tokens, without the one that ended the output.
    pub token_ids: Vec<u32>,
    /// Why the generation ended.
    pub finish_reason: FinishReason,
    /// The number of tokens of the prompt.
    pub prompt_tokens: usize,
    /// How many of these had their keys and values in the pool already.
    pub reused_tokens: usize,
}

/// The answer to [`TokenEngine::score`](super::TokenEngine::score).
#[derive(Clone, PartialEq, Debug)]
pub struct ScoreOutput {
    /// The natural logarithm of each answer's probability as the next tokens, in the order of the
    /// request.
    pub logprobs: Vec<f64>,
    /// The number of tokens of the prompt and of the answers appended to it. (An answer of one
    /// token appends none.)
    pub prompt_tokens: usize,
    /// How many of these had their keys and values in the pool already.
    pub reused_tokens: usize,
}

/// Counts of what the engine has done since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Accepted requests.
    pub requests: u64,
    /// Steps (forward passes).
    pub steps: u64,
    /// Prompt tokens computed, including those computed again after a preemption.
    pub prefilled_tokens: u64,
    /// Prompt tokens whose keys and values were in the pool already.
    pub reused_tokens: u64,
    /// Tokens decoded.
    pub decoded_tokens: u64,
    /// Sequences that were put back into the queue because blocks ran out.
    pub preemptions: u64,
    /// The most sequences that ran in one step.
    pub peak_running: u64,
    /// The most K/V blocks in use by running sequences at once.
    pub peak_blocks: u64,
    /// Draft tokens that were computed.
    pub drafted_tokens: u64,
    /// Draft tokens that the model chose too.
    pub accepted_tokens: u64,
    /// The number of sizes of decode steps that a GPU could not capture as a graph and whose
    /// kernels are launched one by one. It tells of the machine and not of a run: no journal has
    /// it.
    #[serde(skip)]
    pub refused_captures: u64,
    /// Sequences that wait now.
    #[serde(skip)]
    pub waiting: u64,
    /// Sequences that run now.
    #[serde(skip)]
    pub running: u64,
    /// The K/V blocks that running sequences hold now.
    #[serde(skip)]
    pub used_blocks: u64,
}

/// Why the engine gave no answer.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum EngineError {
    /// The request can never fit.
    #[error("the prompt has {prompt_tokens} tokens and {new_tokens} more are asked for, but {limit} fit")]
    Overflow {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// The most new tokens; for a score, the longest answer's.
        new_tokens: usize,
        /// The most tokens that fit.
        limit: usize,
    },
    /// The prompt is empty.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// The answer with this index is empty.
    #[error("answer {0} has no tokens")]
    EmptyAnswer(usize),
    /// A token id that the model's vocabulary lacks.
    #[error("token {id} is not in the model's vocabulary of {vocab_size}")]
    Token {
        /// The token id.
        id: u32,
        /// The size of the vocabulary.
        vocab_size: usize,
    },
    /// An option is out of its range.
    #[error(transparent)]
    Option(OutOfBounds),
    /// The engine's thread could not start.
    #[error("the engine's thread could not start: {0}")]
    Thread(String),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(DeviceError),
    /// The engine's thread ended.
    #[error("the engine has stopped")]
    Stopped,
}
