//! A running model with its text side: tokenizer and chat template before the token engine,
//! detokenization behind it. The only place of the engine that knows both text and tensors.

use crate::base::{Digest, Hasher};
use crate::device::{LoadNotice, LoadOptions, LoadProgress, OpenError, choose, load};
use crate::executor::Backend;
use crate::files::{Ends, ModelFiles, ModelSource, open_files, read_config};
use crate::kernels::Compute;
use crate::qwen3::{Config, Dtype, ResolvedDtype};
use crate::text::{ChatPrompt, ChatTemplate, ChatText, Date, Message, PromptThought, Reply, TextError};
use crate::token_engine::{
    Counters, EngineError, EngineOptions, Extras, ScoreOutput, ThoughtLimit, TokenEngine, TokenOutput, TokenRequest,
};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Part of every model's digest. Raise it when the forward pass gives other results than before, so
/// that cached answers no longer count.
const COMPUTE_VERSION: u32 = 5;

/// A running model with its tokenizer and chat template. Clones share one engine.
#[derive(Clone)]
pub struct TextEngine {
    /// `None` only if the caller needs no tokenizer.
    text: Option<Arc<ChatText>>,
    engine: Arc<TokenEngine>,
    config: Config,
    device: String,
    backend: Backend,
    note: Option<String>,
    /// The threads and kernels, on the CPU.
    compute: Option<Compute>,
    resolved: ResolvedDtype,
    name: String,
    /// The digest of everything that can change an answer, except whether the template asks for
    /// thinking.
    digest: Digest,
}

impl TextEngine {
    /// Opens a model. Everything is read and checked before this returns.
    ///
    /// # Errors
    /// The first fault found in the model's files or in the options.
    pub fn open(
        source: &ModelSource,
        options: &EngineOptions,
        tokenizer: TokenizerRequirement,
        how: LoadOptions<'_>,
    ) -> Result<Self, OpenError> {
        let mut files = open_files(source)?;
        let (config, has_own_head) = read_config(&mut *files)?;
        let text = open_text(&*files, &config, how.date)?.map(Arc::new);
        let ends = files.ends(text.as_deref().map(ChatText::tokenizer))?;
        if text.is_none() && tokenizer == TokenizerRequirement::Required {
            return Err(files.no_tokenizer().into());
        }
        let own_head = has_own_head.then_some(LoadNotice::OwnHead);
        for notice in own_head.into_iter().chain(files.adapter().map(LoadNotice::Adapter)) {
            (how.watch)(LoadProgress::Noticed(notice));
        }
        let placement = choose(options, how.compute.as_ref())?;
        let resolved = how.dtype.resolve(&*placement, &config, files.weights()?)?;

        let mut hasher = Hasher::new("maspo local model");
        hasher.field(resolved.dtype.name().as_bytes());
        placement.identify(options, &mut hasher);
        hasher.field(&COMPUTE_VERSION.to_le_bytes());
        files.digest(&mut hasher)?;
        let template = text.as_deref().and_then(ChatText::template).map(ChatTemplate::source);
        hasher.field(template.unwrap_or_default().as_bytes());
        let weights = files.weights()?;
        let contents = weights.digests();
        for digest in &contents {
            hasher.field(&digest.0);
        }
        hash_rest(&mut hasher, text.as_deref(), &ends, has_own_head);

        let (device, backend, compute) = (placement.name(), placement.backend(), placement.compute().cloned());
        let note = placement.note();
        let loaded = load(placement, &config, weights, resolved, options, Some(&contents), how.watch)?;
        let engine = TokenEngine::start_on(loaded.executor, &config, ends.ids, options, loaded.blocks)?;
        let (name, digest, engine) = (source.name(), hasher.finish(), Arc::new(engine));
        Ok(Self { text, engine, config, device, backend, note, compute, resolved, name, digest })
    }

    /// Returns the model's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the device's name, such as `cpu` or `cuda:0`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Returns what computes on the device, which is never [`Backend::Auto`].
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Returns what a reader of the results should know of how they are computed; `None` if there
    /// is nothing to say.
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Returns the number of tokens whose keys and values there is room for, over all sequences.
    pub fn pool_tokens(&self) -> usize {
        self.engine.pool_tokens()
    }

    /// Returns the number of tokens whose keys and values running sequences hold now.
    pub fn used_tokens(&self) -> usize {
        self.engine.used_tokens()
    }

    /// Returns the number format of the weight matrices. `auto` means: as in the file.
    pub fn dtype(&self) -> Dtype {
        self.resolved.dtype
    }

    /// Returns the number format that was requested, what it became and the memory that it takes.
    pub fn resolved_dtype(&self) -> ResolvedDtype {
        self.resolved
    }

    /// Returns the threads that the model computes with, for other models to share; `None` on a
    /// GPU.
    pub fn compute(&self) -> Option<&Compute> {
        self.compute.as_ref()
    }

    /// Starts the engine again on the same weights, without any cached prefix. Only `prefix_reuse`,
    /// `queue`, `draft_tokens` and `draft_rows` of `options` may differ from those that it was
    /// opened with.
    ///
    /// # Errors
    /// An option is out of its range, or the engine has stopped.
    ///
    /// # Panics
    /// Panics if there are clones of this engine: their requests would be lost.
    pub fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        Arc::get_mut(&mut self.engine).expect("an engine that nobody shares").restart(options)
    }

    /// Returns the model's name for people: the name of its folder or file, or `embedded:NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the digest of everything that can change an answer, except whether the template asks
    /// for thinking: weights, configuration, tokenizer, chat template, number format, device and
    /// version of the computation.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns counts of what the engine has done so far.
    pub fn counters(&self) -> Counters {
        self.engine.counters()
    }

    /// Returns the most tokens that a request may have, prompt and new ones together.
    pub fn limit(&self) -> usize {
        self.engine.limit()
    }

    /// Returns the prompt of a conversation as token ids. Message contents never become control
    /// tokens.
    ///
    /// # Errors
    /// The model has no tokenizer, or the template is missing or fails.
    pub fn encode_chat(&self, messages: &[Message], thinking: bool) -> Result<Vec<u32>, TextError> {
        self.text()?.encode_chat(messages, thinking)
    }

    /// Returns the prompt of a conversation, and where it leaves the model: in a thought or outside
    /// of one.
    ///
    /// # Errors
    /// Those of [`encode_chat`](Self::encode_chat).
    pub fn open_turn(&self, messages: &[Message], thinking: bool) -> Result<ChatPrompt, TextError> {
        self.text()?.open_turn(messages, thinking)
    }

    /// Returns the prompt of a conversation after which the model goes on with content: a thought
    /// that it would begin with is closed, empty.
    ///
    /// # Errors
    /// Those of [`encode_chat`](Self::encode_chat).
    pub fn open_content(&self, messages: &[Message], thinking: bool) -> Result<ChatPrompt, TextError> {
        self.text()?.open_content(messages, thinking)
    }

    /// Splits generated ids into reasoning and content; both are empty without a tokenizer.
    pub fn split(&self, prompt: PromptThought, ids: &[u32]) -> Reply {
        self.text.as_ref().map(|text| text.split(prompt, ids)).unwrap_or_default()
    }

    /// Returns the token ids of raw text, in which the texts of control tokens become control
    /// tokens.
    ///
    /// # Errors
    /// The model has no tokenizer.
    pub fn encode_raw(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.text()?.tokenizer().encode_raw(text)
    }

    /// Returns the token ids of an answer that is to be scored.
    ///
    /// # Errors
    /// The model has no tokenizer.
    pub fn encode_answer(&self, text: &str) -> Result<Vec<u32>, TextError> {
        self.text()?.tokenizer().encode_data(text)
    }

    /// Returns the text of generated ids; empty without a tokenizer.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.text.as_ref().map(|text| text.tokenizer().decode(ids)).unwrap_or_default()
    }

    /// Returns whether the model has a tokenizer.
    pub fn has_text(&self) -> bool {
        self.text.is_some()
    }

    /// Generates the continuation of token ids.
    pub fn generate(&self, request: TokenRequest) -> BoxFuture<'_, Result<TokenOutput, EngineError>> {
        self.engine.generate(request)
    }

    /// Generates what follows the prompt of a conversation. A thought of more than
    /// `max_thinking_tokens` tokens is closed as the template would, and content follows. The
    /// prompt of `request` is replaced.
    ///
    /// # Errors
    /// Those of [`generate`](Self::generate).
    pub async fn complete(
        &self,
        prompt: ChatPrompt,
        max_thinking_tokens: Option<usize>,
        request: TokenRequest,
    ) -> Result<TokenOutput, EngineError> {
        let extras = Extras { limit: self.thought_limit(prompt.thought, max_thinking_tokens), ..Extras::default() };
        self.engine.generate_with(TokenRequest { prompt: prompt.ids, ..request }, extras).await
    }

    /// Returns what closes a thought of more than `max_tokens` tokens after such a prompt; `None`
    /// without a limit or without a tokenizer.
    pub fn thought_limit(&self, thought: PromptThought, max_tokens: Option<usize>) -> Option<ThoughtLimit> {
        let (text, max_tokens) = self.text.as_ref().zip(max_tokens)?;
        let (closing, text) = (text.closing().ok()?, Arc::clone(text));
        let is_open = Arc::new(move |ids: &[u32]| text.split(thought, ids).cut_in_reasoning);
        Some(ThoughtLimit { max_tokens, closing, is_open })
    }

    /// Generates the continuation of token ids, with further options.
    pub fn generate_with(
        &self,
        request: TokenRequest,
        extras: Extras,
    ) -> BoxFuture<'_, Result<TokenOutput, EngineError>> {
        self.engine.generate_with(request, extras)
    }

    /// Returns the log-probabilities of answers after a prompt.
    pub fn score_tokens(
        &self,
        prompt: Vec<u32>,
        answers: Vec<Vec<u32>>,
    ) -> BoxFuture<'_, Result<ScoreOutput, EngineError>> {
        self.engine.score(prompt, answers)
    }

    fn text(&self) -> Result<&ChatText, TextError> {
        self.text.as_deref().ok_or(TextError::NoTokenizer)
    }
}

/// The text side of a model alone, for prompts that another process computes.
pub struct ModelText {
    text: ChatText,
    digest: Digest,
}

impl ModelText {
    /// Opens tokenizer and chat template; weights are neither needed nor read.
    ///
    /// # Errors
    /// The first fault found in the model's files. Both parts must be there.
    pub fn open(source: &ModelSource, date: Option<Date>) -> Result<Self, OpenError> {
        let files = open_files(source)?;
        let text = open_text(&*files, &files.config()?, date)?.ok_or_else(|| files.no_tokenizer())?;
        let template = text.template().ok_or(TextError::NoTemplate)?;
        let mut hasher = Hasher::new("maspo text of a model");
        files.digest(&mut hasher)?;
        hasher.field(template.source().as_bytes());
        hash_rest(&mut hasher, Some(&text), &files.ends(Some(text.tokenizer()))?, false);
        Ok(Self { digest: hasher.finish(), text })
    }

    /// Returns the tokenizer with the chat template.
    pub fn chat(&self) -> &ChatText {
        &self.text
    }

    /// Returns the digest of everything that can change a prompt.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// Whether a model must have a tokenizer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenizerRequirement {
    /// A model without a tokenizer is refused.
    Required,
    /// Without a tokenizer, only token ids can be continued.
    Optional,
}

/// Adds to the identity what the digests of the files do not show. A model without any of it has
/// the identity that its files give.
fn hash_rest(hasher: &mut Hasher, text: Option<&ChatText>, ends: &Ends, has_own_head: bool) {
    let inputs = text.and_then(ChatText::template).map(ChatTemplate::inputs).unwrap_or_default();
    for (name, value) in inputs {
        hasher.field(b"template input").field(name.as_bytes()).field(value.as_bytes());
    }
    for token in text.map(|text| text.tokenizer().further_tokens()).unwrap_or_default() {
        hasher.field(b"added token").field(token.as_bytes());
    }
    for id in &ends.further {
        hasher.field(b"end of turn").field(&id.to_le_bytes());
    }
    if has_own_head {
        hasher.field(b"own head");
    }
}

fn open_text(files: &dyn ModelFiles, config: &Config, date: Option<Date>) -> Result<Option<ChatText>, OpenError> {
    let Some(tokenizer) = files.tokenizer()? else { return Ok(None) };
    let special_tokens = files.special_tokens()?;
    let tokenizer = tokenizer.with_tokens(&special_tokens, config.vocab_size);
    if tokenizer.id_bound() as usize > config.vocab_size {
        let (largest, vocab_size) = (tokenizer.id_bound() - 1, config.vocab_size);
        return Err(OpenError::Vocabulary { largest, vocab_size });
    }
    let template = files.template()?.map(|source| ChatTemplate::new(&source)).transpose()?;
    let template = template.map(|template| template.with_special_tokens(special_tokens));
    let template = template.map(|template| match date {
        Some(date) => template.with_date(date),
        None => template,
    });
    Ok(Some(ChatText::new(tokenizer, template)))
}
