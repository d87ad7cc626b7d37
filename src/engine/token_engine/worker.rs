//! The engine's thread and the handle to it.

use super::{Counters, EngineError, EngineOptions, ScoreOutput, TokenOutput, TokenRequest};
use crate::engine::qwen3::Model;
use futures::future::BoxFuture;

/// A running engine. Dropping it stops its thread.
pub struct TokenEngine {}

impl TokenEngine {
    /// Starts the thread that owns `model`; `eos` are the tokens that end a turn.
    ///
    /// # Errors
    /// An option out of its range.
    pub fn start(model: Model, eos: Vec<u32>, options: &EngineOptions) -> Result<Self, EngineError> {
        let _ = (model, eos, options);
        todo!()
    }

    /// Continues a prompt. The result depends on the request alone.
    pub fn generate(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenOutput, EngineError>> {
        let _ = request;
        todo!()
    }

    /// Log-probabilities of `answers` as the next tokens after `prompt`: prefill only.
    pub fn score(&self, prompt: Vec<u32>, answers: Vec<Vec<u32>>) -> BoxFuture<'_, Result<ScoreOutput, EngineError>> {
        let _ = (prompt, answers);
        todo!()
    }

    /// What the engine has done so far.
    pub fn counters(&self) -> Counters {
        todo!()
    }

    /// The longest prompt plus new tokens that any request may have.
    pub fn limit(&self) -> usize {
        todo!()
    }
}
