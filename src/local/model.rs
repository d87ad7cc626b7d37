//! The adapter from the local engine to the port [`ChatModel`].

use crate::base::Hasher;
use crate::chat::{ChatError, ChatModel, Completion, ModelIdentity, Origin, Request, Scores, Usage};
use futures::FutureExt;
use futures::future::BoxFuture;
use maspo_engine::qwen3::Dtype;
use maspo_engine::text::{ChatPrompt, Message, PromptThought, Reply, Speaker, TextError};
use maspo_engine::{
    Backend, DtypeRequest, EngineError, EngineOptions, LoadOptions, ModelSource, OpenError, TextEngine, TokenRequest,
    TokenizerRequirement,
};

/// Part of the identity of a model that thinks. Raise it when its completions are split otherwise
/// than before, so that cached answers no longer count.
const THOUGHT_VERSION: u32 = 1;

/// A model that runs in this process, as a [`ChatModel`]. Clones share one engine.
#[derive(Clone)]
pub struct LocalModel {
    engine: TextEngine,
    thinking: bool,
}

impl LocalModel {
    /// Opens a model. Everything is read and checked before this returns.
    ///
    /// # Errors
    /// The first fault found in the model's files or in the options.
    pub fn open(
        source: &ModelSource,
        options: &EngineOptions,
        dtype: Dtype,
        thinking: bool,
    ) -> Result<Self, OpenError> {
        Self::open_quietly(source, options, dtype, thinking, TokenizerRequirement::Required)
    }

    /// Opens a model that may lack a tokenizer. Without one, only token ids can be continued, and
    /// generated text is empty.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_for_tokens(
        source: &ModelSource,
        options: &EngineOptions,
        dtype: Dtype,
        thinking: bool,
    ) -> Result<Self, OpenError> {
        Self::open_quietly(source, options, dtype, thinking, TokenizerRequirement::Optional)
    }

    /// Opens a model without telling anybody how far it is.
    fn open_quietly(
        source: &ModelSource,
        options: &EngineOptions,
        dtype: Dtype,
        thinking: bool,
        tokenizer: TokenizerRequirement,
    ) -> Result<Self, OpenError> {
        let how = LoadOptions { dtype: DtypeRequest::Requested(dtype), compute: None, date: None, watch: &mut |_| () };
        Self::open_as(source, options, thinking, tokenizer, how)
    }

    /// Opens a model with every option of loading spelled out.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_as(
        source: &ModelSource,
        options: &EngineOptions,
        thinking: bool,
        tokenizer: TokenizerRequirement,
        how: LoadOptions<'_>,
    ) -> Result<Self, OpenError> {
        Ok(Self { engine: TextEngine::open(source, options, tokenizer, how)?, thinking })
    }

    /// Returns the model of an engine that is open already.
    pub fn of_engine(engine: TextEngine, thinking: bool) -> Self {
        Self { engine, thinking }
    }

    /// Returns this model with thinking turned on or off; weights and engine are shared.
    pub fn with_thinking(&self, thinking: bool) -> Self {
        Self { thinking, ..self.clone() }
    }

    /// Returns the engine, for callers that work on token ids.
    pub fn engine(&self) -> &TextEngine {
        &self.engine
    }

    /// Returns whether the chat template asks the model to think before it answers.
    pub fn thinking(&self) -> bool {
        self.thinking
    }

    /// Returns the prompt of a conversation in whose answer the model goes on from `start`. A
    /// thought that it would begin with is closed, empty.
    fn begun(&self, messages: &[Message], start: &str) -> Result<ChatPrompt, TextError> {
        let mut prompt = self.engine.open_content(messages, self.thinking)?;
        prompt.ids.extend(self.engine.encode_answer(start)?);
        Ok(prompt)
    }

    /// Returns whether a turn begins in a thought, or is expected to open one.
    fn may_think(&self) -> bool {
        let prompt = self.engine.open_turn(&[Message::user("?")], self.thinking);
        prompt.is_ok_and(|prompt| matches!(prompt.thought, PromptThought::Open | PromptThought::Expected))
    }
}

impl From<EngineError> for ChatError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Overflow { prompt_tokens, new_tokens, limit } => {
                Self::Overflow { prompt_tokens, new_tokens, limit }
            }
            other => Self::Model(other.to_string()),
        }
    }
}

impl From<TextError> for ChatError {
    fn from(error: TextError) -> Self {
        Self::Model(error.to_string())
    }
}

impl ChatModel for LocalModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async move {
            let limit = request.max_thinking_tokens;
            let prompt = match (request.messages.split_last(), limit) {
                (Some((Message { role: Speaker::Assistant, content }, before)), _) => self.begun(before, content)?,
                (_, Some(0)) => self.engine.open_content(&request.messages, self.thinking)?,
                _ => self.engine.open_turn(&request.messages, self.thinking)?,
            };
            let thought = prompt.thought;
            let request = TokenRequest {
                prompt: Vec::new(),
                max_new_tokens: request.max_new_tokens,
                sampling: request.sampling,
                ignore_eos: false,
                stop: Vec::new(),
            };
            let output = self.engine.complete(prompt, limit, request).await?;
            let usage = Usage {
                prompt_tokens: output.prompt_tokens,
                reused_tokens: output.reused_tokens,
                new_tokens: output.token_ids.len(),
                origin: Origin::Model,
            };
            let Reply { reasoning, content, cut_in_reasoning } = self.engine.split(thought, &output.token_ids);
            let finish_reason = output.finish_reason;
            Ok(Completion { text: content, reasoning, cut_in_reasoning, finish_reason, usage })
        }
        .boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async move {
            // The answers are content: whatever the model would think before them is skipped.
            let prompt = match request.messages.split_last() {
                Some((Message { role: Speaker::Assistant, content }, before)) => self.begun(before, content)?.ids,
                _ => self.engine.open_content(&request.messages, self.thinking)?.ids,
            };
            let answers =
                answers.iter().map(|answer| self.engine.encode_answer(answer)).collect::<Result<Vec<_>, _>>()?;
            let output = self.engine.score_tokens(prompt, answers).await?;
            let usage = Usage {
                prompt_tokens: output.prompt_tokens,
                reused_tokens: output.reused_tokens,
                new_tokens: 0,
                origin: Origin::Model,
            };
            Ok(Scores { logprobs: output.logprobs, usage })
        }
        .boxed()
    }

    fn identity(&self) -> ModelIdentity {
        let mut hasher = Hasher::new("maspo local model and thinking");
        hasher.field(&self.engine.digest().0).field(&[u8::from(self.thinking)]);
        if self.may_think() {
            hasher.field(&THOUGHT_VERSION.to_le_bytes());
        }
        let digest = hasher.finish();
        let name = match self.engine.backend() {
            Backend::Candle => format!("{} on candle", self.engine.name()),
            Backend::Native | Backend::Auto => self.engine.name().to_string(),
        };
        ModelIdentity { name, digest }
    }
}
