//! A running model with its text side: tokenizer and chat template before the token engine,
//! detokenization behind it. The only place of the engine that knows both text and tensors.

use crate::base::{Digest, Hasher};
use crate::device::{LoadNotice, LoadOptions, LoadProgress, OpenError, choose, load};
use crate::files::{Ends, ModelFiles, ModelSource, open_files, read_config};
use crate::kernels::Compute;
use crate::qwen3::{Config, Dtype, ResolvedDtype};
use crate::text::{ChatTemplate, ChatText, Date, Message, TextError};
use crate::token_engine::{Counters, EngineError, EngineOptions, ScoreOutput, TokenEngine, TokenOutput, TokenRequest};
use futures::future::BoxFuture;
use std::sync::Arc;

/// To be raised when the forward pass gives other results than before: cached answers then no
/// longer count.
const COMPUTE_VERSION: u32 = 5;

/// A running model with its tokenizer and chat template. Clones share one engine.
#[derive(Clone)]
pub struct TextEngine {
    /// Absent only where the caller said that token ids are enough.
    text: Option<Arc<ChatText>>,
    engine: Arc<TokenEngine>,
    config: Config,
    device: String,
    /// On the CPU.
    compute: Option<Compute>,
    resolved: ResolvedDtype,
    name: String,
    /// The digest of everything that can change an answer, except whether the template asks for
    /// thinking.
    digest: Digest,
}

impl TextEngine {
    /// Opens a model: everything is read and checked before this returns.
    ///
    /// # Errors
    /// The first fault found in the model's files or in the options.
    pub fn open(
        source: &ModelSource,
        options: &EngineOptions,
        needs: Text,
        how: LoadOptions<'_>,
    ) -> Result<Self, OpenError> {
        let mut files = open_files(source)?;
        let (config, has_own_head) = read_config(&mut *files)?;
        let text = open_text(&*files, &config, how.date)?.map(Arc::new);
        let ends = files.ends(text.as_deref().map(ChatText::tokenizer))?;
        if text.is_none() && needs == Text::Needed {
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

        let (device, compute) = (placement.name(), placement.compute().cloned());
        let loaded = load(placement, &config, weights, resolved, options, Some(&contents), how.watch)?;
        let engine = TokenEngine::start_on(loaded.executor, &config, ends.ids, options, loaded.blocks)?;
        let (name, digest, engine) = (source.name(), hasher.finish(), Arc::new(engine));
        Ok(Self { text, engine, config, device, compute, resolved, name, digest })
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
        self.resolved.dtype
    }

    /// What was asked for, what became of it and what it takes.
    pub fn resolved_dtype(&self) -> ResolvedDtype {
        self.resolved
    }

    /// The threads it computes with, for other models to share; `None` on a GPU.
    pub fn compute(&self) -> Option<&Compute> {
        self.compute.as_ref()
    }

    /// Starts the engine anew on the same weights, with nothing known of earlier prompts; `options`
    /// are those it was opened with but for `prefix_reuse`, `queue`, `draft_tokens` and
    /// `draft_rows`.
    ///
    /// # Errors
    /// An option out of its range, or an engine that has stopped.
    ///
    /// # Panics
    /// If there are clones: others would lose their requests.
    pub fn restart(&mut self, options: &EngineOptions) -> Result<(), EngineError> {
        Arc::get_mut(&mut self.engine).expect("an engine that nobody shares").restart(options)
    }

    /// The model's name for people: its folder's or file's own name, or `embedded:NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The digest of everything that can change an answer (weights, configuration, tokenizer, chat
    /// template, number format, device, version of the computation), except whether the template
    /// asks for thinking.
    pub fn digest(&self) -> Digest {
        self.digest
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
    pub fn encode_chat(&self, messages: &[Message], thinking: bool) -> Result<Vec<u32>, TextError> {
        self.text()?.encode_chat(messages, thinking)
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
        self.text.as_deref().ok_or(TextError::NoTokenizer)
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

/// Adds to the identity what the digests of the files do not show. A model without any of it has the
/// identity that its files give.
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
