//! A local model as a [`ChatModel`]: tokenizer and chat template before the token engine, detokenization behind it. The only
//! place of the engine that knows both text and tensors.

use super::executor::DeviceError;
use super::files::{FilesError, ModelFiles, open_files};
use super::kernels::ComputeError;
use super::place::Place;
use super::qwen3::{Config, Dtype};
use super::source::ModelSource;
use super::text::{ChatTemplate, ChatText, TextError};
use super::token_engine::{Counters, EngineError, EngineOptions, ScoreOutput, TokenEngine, TokenOutput, TokenRequest};
use super::weights::{CachedWeights, Leftover, WatchedWeights, WeightFiles, WeightsError};
use crate::base::Hasher;
use crate::chat::{ChatError, ChatModel, Completion, Message, ModelIdentity, Origin, Request, Scores, Usage};
use futures::FutureExt;
use futures::future::BoxFuture;

/// To be raised when the forward pass gives other results than before: cached answers then no longer count.
const COMPUTE_VERSION: u32 = 4;

/// Weights of a model whose conversion takes long enough to be kept on disk.
const WORTH_KEEPING: usize = 200_000_000;

/// The largest tensor: its format stands for that of the file.
pub(super) const TABLE: &str = "model.embed_tokens.weight";

/// A running Qwen3 with its text side.
pub struct LocalModel {
    /// Absent only where the caller said that token ids are enough.
    text: Option<ChatText>,
    engine: TokenEngine,
    config: Config,
    device: String,
    dtype: Dtype,
    thinking: bool,
    identity: ModelIdentity,
}

/// Why a model cannot be opened. All of these are faults of the model's files or of what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Files that are missing, unreadable or not those of a supported model.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Weights that do not fit the configuration.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A chat template that is none.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Engine options.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tokenizer knows ids that the model has no row for.
    #[error(
        "the tokenizer has the token id {largest}, but the model's vocabulary has {vocab_size} entries: they do not belong together"
    )]
    Vocabulary {
        /// The largest id.
        largest: u32,
        /// Rows of the embedding table.
        vocab_size: usize,
    },
    /// Threads or instruction set.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// A device that is not there, that this build cannot use, or that has too little memory.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A shape or format that the device has no kernels for.
    #[error("{0}")]
    Unsupported(String),
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
        Self::open_watched(source, options, dtype, thinking, Text::Needed, &mut |_, _| ())
    }

    /// The same, but a model without a tokenizer is taken too: then only token ids can be continued, and generated text is
    /// empty.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for_tokens(
        source: &ModelSource,
        options: &EngineOptions,
        dtype: Dtype,
        thinking: bool,
    ) -> Result<Self, OpenError> {
        Self::open_watched(source, options, dtype, thinking, Text::Optional, &mut |_, _| ())
    }

    /// The same; `watch` hears again and again how many of all weights are loaded.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_watched(
        source: &ModelSource,
        options: &EngineOptions,
        dtype: Dtype,
        thinking: bool,
        needs: Text,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, OpenError> {
        let mut files = open_files(source)?;
        let config = files.config()?;
        let eos = files.eos()?;
        let text = open_text(&*files, &config)?;
        if text.is_none() && needs == Text::Needed {
            return Err(files.no_tokenizer().into());
        }
        let stored = files.weights()?.stored_format(TABLE);
        let place = Place::choose(options)?;

        let mut hasher = Hasher::new("maspo local model");
        let dtype = place.settle(dtype, &config, stored)?;
        hasher.field(dtype.name().as_bytes());
        place.identify(options, &mut hasher);
        hasher.field(&COMPUTE_VERSION.to_le_bytes()).field(&[u8::from(thinking)]);
        files.digest(&mut hasher)?;
        let template = text.as_ref().and_then(ChatText::template).map(ChatTemplate::source);
        hasher.field(template.unwrap_or_default().as_bytes());
        let weights = files.weights()?;
        let mut content = Hasher::new("maspo weights");
        for digest in &weights.digests() {
            hasher.field(&digest.0);
            content.field(&digest.0);
        }
        let identity = ModelIdentity { name: source.name(), digest: hasher.finish() };

        let root =
            CachedWeights::default_root().filter(|_| options.weight_cache && config.parameters() >= WORTH_KEEPING);
        let all = config.parameters() as u64;
        let mut tell = |done: u64| watch(done, all);
        let device = place.device();
        let loaded = match root {
            Some(root) => {
                let mut cached = CachedWeights::new(weights, &root, content.finish());
                place.load(&config, &mut WatchedWeights::new(&mut cached, &mut tell), dtype, options)?
            }
            None => place.load(&config, &mut WatchedWeights::new(weights, &mut tell), dtype, options)?,
        };
        check_leftover(weights, &config)?;
        let engine = TokenEngine::start_on(loaded.executor, &config, eos, options, loaded.blocks)?;
        Ok(Self { text, engine, config, device, dtype, thinking, identity })
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it runs, such as `cpu` or `cuda:0`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// What the matrices are kept in; `auto` means: as in the file.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Starts the engine anew on the same weights, with nothing known of earlier prompts; `options` are those it was opened with but for
    /// `prefix_reuse`, `queue`, `draft_tokens` and `draft_rows`.
    ///
    /// # Errors
    /// An option out of its range, or an engine that has stopped.
    pub fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        self.engine.restart(options)
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

/// Whether a model must have a tokenizer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text {
    /// It must.
    Needed,
    /// Without one, only token ids can be continued.
    Optional,
}

/// To be called when the model is loaded: tensors that nobody asked for are a fault.
pub(super) fn check_leftover(weights: &dyn WeightFiles, config: &Config) -> Result<(), WeightsError> {
    weights.check_all_used(if config.tie_word_embeddings { Leftover::TiedHead } else { Leftover::Nothing })
}

fn open_text(files: &dyn ModelFiles, config: &Config) -> Result<Option<ChatText>, OpenError> {
    let Some(tokenizer) = files.tokenizer()? else { return Ok(None) };
    if tokenizer.id_bound() as usize > config.vocab_size {
        let (largest, vocab_size) = (tokenizer.id_bound() - 1, config.vocab_size);
        return Err(OpenError::Vocabulary { largest, vocab_size });
    }
    let template = files.template()?.map(|source| ChatTemplate::new(&source)).transpose()?;
    Ok(Some(ChatText::new(tokenizer, template)))
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
