//! A local model as a [`ChatModel`]: tokenizer and chat template before the token engine, detokenization behind it. The only
//! place of the engine that knows both text and tensors.

use super::kernels::{Compute, ComputeError};
use super::memory;
use super::qwen3::{Config, ConfigError, Dtype, Model};
use super::source::{ModelSource, SourceError};
use super::text::{ChatTemplate, ChatText, TextError, Tokenizer, eos_ids, template_source};
use super::token_engine::{Counters, EngineError, EngineOptions, ScoreOutput, TokenEngine, TokenOutput, TokenRequest};
use super::weights::{Checkpoint, Leftover, TensorSource, WeightsError, digest_bytes};
use crate::base::{Digest, Hasher};
use crate::chat::{ChatError, ChatModel, Completion, Message, ModelIdentity, Origin, Request, Scores, Usage};
use futures::FutureExt;
use futures::future::BoxFuture;

/// To be raised when the forward pass gives other results than before: cached answers then no longer count.
const COMPUTE_VERSION: u32 = 1;

/// The largest tensor: its format stands for that of the file.
pub(super) const TABLE: &str = "model.embed_tokens.weight";

/// A running Qwen3 with its text side.
pub struct LocalModel {
    /// Absent only where the caller said that token ids are enough.
    text: Option<ChatText>,
    engine: TokenEngine,
    config: Config,
    dtype: Dtype,
    thinking: bool,
    identity: ModelIdentity,
}

/// Why a model cannot be opened. All of these are faults of the model's files or of what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files that are missing or unreadable.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A configuration that is not that of a supported model.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Weights that do not fit the configuration.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Tokenizer or chat template.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Engine options.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tokenizer knows ids that the model has no row for.
    #[error(
        "tokenizer.json has the token id {largest}, but the model's vocabulary has {vocab_size} entries: they do not belong together"
    )]
    Vocabulary {
        /// The largest id.
        largest: u32,
        /// `vocab_size` of `config.json`.
        vocab_size: usize,
    },
    /// Threads or instruction set.
    #[error(transparent)]
    Compute(#[from] ComputeError),
}

impl LocalModel {
    /// Opens a model: everything is read and checked before this returns.
    ///
    /// # Errors
    /// The first fault found in the model's files or in the options.
    pub fn open(
        source: &ModelSource,
        options: &EngineOptions,
        dtype: Dtype,
        thinking: bool,
    ) -> Result<Self, OpenError> {
        source.required("tokenizer.json")?;
        Self::open_for_tokens(source, options, dtype, thinking)
    }

    /// The same, but a folder without `tokenizer.json` is taken too: then only token ids can be continued, and generated
    /// text is empty.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for_tokens(
        source: &ModelSource,
        options: &EngineOptions,
        dtype: Dtype,
        thinking: bool,
    ) -> Result<Self, OpenError> {
        let config_bytes = source.required("config.json")?;
        let config = Config::from_json(&String::from_utf8_lossy(&config_bytes))?;
        let generation_config = source.file("generation_config.json")?;
        let eos = eos_ids(generation_config.as_deref(), &config_bytes)?;
        let text = open_text(source, &config)?;
        let mut checkpoint = source.checkpoint()?;
        let compute = Compute::cpu(options.threads)?;

        let mut hasher = Hasher::new("maspo local model");
        let dtype = dtype.settle(&config, checkpoint.stored_format(TABLE), memory::free());
        hasher.field(dtype.name().as_bytes()).field(b"cpu").field(compute.kernels().name().as_bytes());
        hasher.field(&COMPUTE_VERSION.to_le_bytes()).field(&[u8::from(thinking)]).field(&config_bytes);
        hasher.field(generation_config.as_deref().unwrap_or_default());
        digest_text(source, text.as_ref(), &mut hasher)?;
        digest_weights(&checkpoint, &mut hasher);
        let identity = ModelIdentity { name: source.name(), digest: hasher.finish() };

        let model = Model::load(&config, &mut checkpoint, dtype, &compute)?;
        check_leftover(&checkpoint, &config)?;
        let engine = TokenEngine::start(model, eos, options)?;
        Ok(Self { text, engine, config, dtype, thinking, identity })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the matrices are kept in; `auto` means: as in the file.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// What the engine has done so far.
    pub fn counters(&self) -> Counters {
        self.engine.counters()
    }

    /// The longest prompt plus new tokens that any request may have.
    pub fn limit(&self) -> usize {
        self.engine.limit()
    }

    /// The prompt of a conversation; message contents never become control tokens.
    ///
    /// # Errors
    /// No tokenizer, or a template that is missing or fails.
    pub fn encode_chat(&self, messages: &[Message]) -> Result<Vec<u32>, TextError> {
        self.text()?.encode_chat(messages, self.thinking)
    }

    /// The ids of raw text in which the texts of control tokens are control tokens.
    ///
    /// # Errors
    /// No tokenizer.
    pub fn encode_raw(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.text()?.tokenizer().encode_raw(text)
    }

    /// The ids of an answer to be scored.
    ///
    /// # Errors
    /// No tokenizer.
    pub fn encode_answer(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.text()?.tokenizer().encode_data(text)
    }

    /// The text of generated ids; empty without a tokenizer.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.text.as_ref().map(|text| text.tokenizer().decode(ids)).unwrap_or_default()
    }

    /// Whether there is a tokenizer.
    pub fn has_text(&self) -> bool {
        self.text.is_some()
    }

    /// Continues token ids.
    pub fn generate(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenOutput, EngineError>> {
        self.engine.generate(request)
    }

    /// Scores token ids.
    pub fn score_tokens(
        &self,
        prompt: Vec<u32>,
        answers: Vec<Vec<u32>>,
    ) -> BoxFuture<'_, Result<ScoreOutput, EngineError>> {
        self.engine.score(prompt, answers)
    }

    fn text(&self) -> Result<&ChatText, TextError> {
        self.text.as_ref().ok_or(TextError::NoTokenizer)
    }
}

/// To be called when the model is loaded: tensors that nobody asked for are a fault.
pub(super) fn check_leftover(checkpoint: &Checkpoint, config: &Config) -> Result<(), WeightsError> {
    checkpoint.check_all_used(if config.tie_word_embeddings { Leftover::TiedHead } else { Leftover::Nothing })
}

fn open_text(source: &ModelSource, config: &Config) -> Result<Option<ChatText>, OpenError> {
    let Some(tokenizer_json) = source.file("tokenizer.json")? else { return Ok(None) };
    let tokenizer = Tokenizer::from_json(&tokenizer_json)?;
    if tokenizer.id_bound() as usize > config.vocab_size {
        let (largest, vocab_size) = (tokenizer.id_bound() - 1, config.vocab_size);
        return Err(OpenError::Vocabulary { largest, vocab_size });
    }
    let jinja = source.file("chat_template.jinja")?;
    let tokenizer_config = source.file("tokenizer_config.json")?;
    let template = template_source(jinja.as_deref(), tokenizer_config.as_deref())?;
    let template = template.map(|source| ChatTemplate::new(&source)).transpose()?;
    Ok(Some(ChatText::new(tokenizer, template)))
}

fn digest_text(source: &ModelSource, text: Option<&ChatText>, hasher: &mut Hasher) -> Result<(), SourceError> {
    let tokenizer = source.file("tokenizer.json")?;
    hasher.field(&digest_bytes(tokenizer.as_deref().unwrap_or_default()).0);
    let template = text.and_then(ChatText::template).map(ChatTemplate::source);
    hasher.field(template.unwrap_or_default().as_bytes());
    Ok(())
}

fn digest_weights(checkpoint: &Checkpoint, hasher: &mut Hasher) {
    let digests: Vec<Digest> = checkpoint.contents().map(digest_bytes).collect();
    for digest in &digests {
        hasher.field(&digest.0);
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
            let prompt = self.encode_chat(&request.messages)?;
            let output = self
                .engine
                .generate(TokenRequest {
                    prompt,
                    max_new_tokens: request.max_new_tokens,
                    sampling: request.sampling,
                    ignore_eos: false,
                    stop: Vec::new(),
                })
                .await?;
            let usage = Usage {
                prompt_tokens: output.prompt_tokens,
                reused_tokens: output.reused_tokens,
                new_tokens: output.token_ids.len(),
                origin: Origin::Model,
            };
            Ok(Completion { text: self.decode(&output.token_ids), finish_reason: output.finish_reason, usage })
        }
        .boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async move {
            let prompt = self.encode_chat(&request.messages)?;
            let answers = answers.iter().map(|answer| self.encode_answer(answer)).collect::<Result<Vec<_>, _>>()?;
            let output = self.engine.score(prompt, answers).await?;
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
        self.identity.clone()
    }
}
