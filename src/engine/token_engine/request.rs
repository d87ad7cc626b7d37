//! What goes in and comes out of the token engine, and what can go wrong.

use crate::chat::{FinishReason, Sampling};
use crate::engine::executor::DeviceError;
use serde::{Deserialize, Serialize};

/// One generation over token ids.
#[derive(Clone, PartialEq, Debug)]
pub struct TokenRequest {
    /// The prompt; not empty.
    pub prompt: Vec<u32>,
    /// At most this many new tokens.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Whether to go on past the model's end-of-turn tokens.
    pub ignore_eos: bool,
    /// Further tokens that end the output, whatever `ignore_eos` says.
    pub stop: Vec<u32>,
}

/// The answer to a [`TokenRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenOutput {
    /// The new tokens, without the one that ended the output.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Length of the prompt.
    pub prompt_tokens: usize,
    /// Of these, tokens whose keys and values were already there.
    pub reused_tokens: usize,
}

/// The answer to [`TokenEngine::score`](super::TokenEngine::score).
#[derive(Clone, PartialEq, Debug)]
pub struct ScoreOutput {
    /// Natural-log probability of each answer as the next tokens, in the order asked.
    pub logprobs: Vec<f64>,
    /// Tokens of the prompt and of the answers appended to it (an answer of one token appends none).
    pub prompt_tokens: usize,
    /// Of these, tokens whose keys and values were already there.
    pub reused_tokens: usize,
}

/// What the engine has done since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Requests accepted.
    pub requests: u64,
    /// Steps (forward passes).
    pub steps: u64,
    /// Prompt tokens computed, those computed again after a preemption among them.
    pub prefilled_tokens: u64,
    /// Prompt tokens whose keys and values were already there.
    pub reused_tokens: u64,
    /// Tokens decoded.
    pub decoded_tokens: u64,
    /// Sequences put back into the queue because blocks ran out.
    pub preemptions: u64,
    /// Most sequences that ran in one step.
    pub peak_running: u64,
    /// Most K/V blocks in use by running sequences at once.
    pub peak_blocks: u64,
    /// Tokens drafted: guessed, and computed along with what they were guessed to follow.
    pub drafted_tokens: u64,
    /// Of these, tokens that came true.
    pub accepted_tokens: u64,
    /// Sizes of decode steps that a GPU could not capture as a graph and whose kernels are launched one by one. Of the machine
    /// and not of a run: no journal has it.
    #[serde(skip)]
    pub refused_captures: u64,
}

/// Why the engine gave no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EngineError {
    /// This request can never fit.
    #[error("the prompt has {prompt_tokens} tokens and {new_tokens} more are asked for, but {limit} fit")]
    Overflow {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// New tokens asked for (of a score: the longest answer).
        new_tokens: usize,
        /// What fits.
        limit: usize,
    },
    /// Nothing to continue.
    #[error("the prompt has no tokens")]
    EmptyPrompt,
    /// Nothing to score.
    #[error("answer {0} has no tokens")]
    EmptyAnswer(usize),
    /// A token that the model lacks.
    #[error("token {id} is not in the model's vocabulary of {vocab_size}")]
    Token {
        /// The token.
        id: u32,
        /// How many the model has.
        vocab_size: usize,
    },
    /// An option out of its range.
    #[error("engine option `{key}` is {value}; {rule}")]
    Option {
        /// Which one.
        key: &'static str,
        /// Its value.
        value: usize,
        /// What would be right.
        rule: &'static str,
    },
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
