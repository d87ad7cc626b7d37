//! A server's model as the port [`ChatModel`].

use super::body::Dialect;
use super::client::Client;
use super::failure::Failure;
use super::pool::Pool;
use super::server::{Facts, tokenize};
use super::{Api, BaseUrl, EndpointOptions, RemoteError, ids, reply};
use crate::base::Hasher;
use crate::chat::{ChatError, ChatModel, Completion, Message, ModelIdentity, Request, Scores, Speaker, Usage};
use crate::engine::ModelText;
use crate::engine::text::TextError;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

/// Tells the user something at once, from any thread.
pub type Notify = Arc<dyn Fn(&str) + Send + Sync>;

/// The route of chat completions.
const CHAT: &str = "/v1/chat/completions";

/// The log-probability of an answer that the server does not list. It stands for "far less likely
/// than what is listed"; JSON has no infinity.
const NOT_LISTED: f64 = -9999.0;

/// The most tokens of an answer to the judge's question where the server gives no
/// log-probabilities.
const TEXT_TOKENS: usize = 4;

/// A model behind a server. Clones share connections.
#[derive(Clone)]
pub struct RemoteModel {
    inner: Arc<Inner>,
    thinking: bool,
    /// What renders prompts in this process; otherwise the server does.
    text: Option<Arc<ModelText>>,
}

struct Inner {
    client: Client,
    pool: Pool,
    facts: Facts,
    options: EndpointOptions,
    /// The token ids of answers that were asked for.
    answers: Mutex<HashMap<String, Option<u32>>>,
    notify: Notify,
    /// What was said once and need not be said again.
    said: Mutex<BTreeSet<&'static str>>,
}

impl RemoteModel {
    /// Asks the servers what they are. `notify` says what the user should know while the model is
    /// used.
    ///
    /// # Errors
    /// A server cannot be reached, or does not have the model.
    pub fn open(options: &EndpointOptions, thinking: bool, notify: Notify) -> Result<Self, RemoteError> {
        let client = Client::new(options, Arc::clone(&notify))?;
        let facts = Facts::read(&client, options)?;
        let pool = Pool::new(options.max_in_flight).map_err(RemoteError::Broker)?;
        let (answers, said) = (Mutex::default(), Mutex::default());
        let inner = Inner { client, pool, facts, options: options.clone(), answers, notify, said };
        Ok(Self { inner: Arc::new(inner), thinking, text: None })
    }

    /// Returns this model with prompts that are rendered here and sent as token ids. Of a server
    /// that takes texts only, that is said, and nothing changes.
    pub fn with_text(self, text: Arc<ModelText>) -> Self {
        if ids::route(self.inner.facts.api).is_none() {
            let message = "it takes no token ids, so its own chat template is used and not `model.tokenizer`";
            self.inner.say_once("ids", message);
            return self;
        }
        Self { text: Some(text), ..self }
    }

    /// Returns this model with thinking turned on or off; connections are shared.
    pub fn with_thinking(&self, thinking: bool) -> Self {
        Self { thinking, ..self.clone() }
    }

    /// Returns what a reader of the results should know of how they were computed.
    pub fn note(&self) -> String {
        let Facts { api, model, version, .. } = &self.inner.facts;
        let version = if version.is_empty() { String::new() } else { format!(" {version}") };
        format!(
            "{model} runs on {} ({}{version}): what a server answers may depend on its other requests, so only the \
             journal reproduces this run",
            self.inner.client.url(),
            api.as_str()
        )
    }

    /// Returns the longest context, if the server tells it.
    pub fn context(&self) -> Option<usize> {
        self.inner.facts.context
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.inner.facts
    }

    pub(super) fn client(&self) -> &Client {
        &self.inner.client
    }
}

impl Inner {
    fn dialect(&self, thinking: bool) -> Dialect<'_> {
        let Facts { api, model, .. } = &self.facts;
        Dialect { api: *api, model, thinking, extra: &self.options.extra }
    }

    /// Says something the first time.
    fn say_once(&self, key: &'static str, message: &str) {
        if self.said.lock().is_ok_and(|mut said| said.insert(key)) {
            (self.notify)(&format!("warning: {}: {message}", self.client.url()));
        }
    }

    fn post(&self, route: &str, body: &Value) -> Result<Value, ChatError> {
        self.client.post(route, body).map_err(|(url, failure)| failure.into_chat_error(&url))
    }

    /// Posts a request and reads its answer; an answer without its parts is asked for again, once.
    fn ask<T>(&self, route: &str, body: &Value, read: impl Fn(&Value) -> Result<T, Failure>) -> Result<T, ChatError> {
        match read(&self.post(route, body)?) {
            Ok(read) => Ok(read),
            Err(_) => read(&self.post(route, body)?).map_err(|failure| failure.into_chat_error(self.client.url())),
        }
    }

    fn complete(&self, request: &Request, text: Option<&ModelText>, thinking: bool) -> Result<Completion, ChatError> {
        let api = self.facts.api;
        let by_ids = text.zip(ids::route(api));
        let is_limited = request.max_thinking_tokens.is_some_and(|tokens| tokens > 0);
        if is_limited && thinking && (api != Api::Maspo || by_ids.is_some()) {
            let message = "`max_thinking_tokens` cannot be sent to it; `max_new_tokens` bounds thought and answer";
            self.say_once("thought", message);
        }
        let dialect = self.dialect(thinking);
        let Some((text, route)) = by_ids else {
            return self.ask(CHAT, &dialect.completion(request), reply::completion);
        };
        let prompt = match request.max_thinking_tokens {
            Some(0) => text.chat().open_content(&request.messages, thinking),
            _ => text.chat().open_turn(&request.messages, thinking),
        };
        let prompt = prompt.map_err(|error| text_error(&error))?;
        let body = dialect.continuation(&prompt.ids, request.max_new_tokens, &request.sampling);
        self.ask(route, &body, |answer| ids::completion(api, answer, prompt.thought))
    }

    fn score(
        &self,
        request: &Request,
        answers: &[String],
        text: Option<&ModelText>,
        thinking: bool,
    ) -> Result<Scores, ChatError> {
        let scores = match text.zip(ids::route(self.facts.api)) {
            Some((text, route)) => self.score_by_ids(request, answers, (text, route), thinking)?,
            None => None,
        };
        match scores {
            Some(scores) => Ok(scores),
            None => self.score_by_names(request, answers, thinking),
        }
    }

    /// Returns scores from log-probabilities, and warns if an answer is not among them.
    fn listed(&self, logprobs: Vec<f64>, usage: Usage) -> Scores {
        if logprobs.contains(&NOT_LISTED) {
            let message = "an answer of the judge is not among the log-probabilities that it lists and counts as \
                impossible; many of those read as low mass";
            self.say_once("unlisted", message);
        }
        Scores { logprobs, usage }
    }

    /// Scores answers as this process tokenizes them, token by token; `None` if the server gives no
    /// log-probabilities on this route.
    fn score_by_ids(
        &self,
        request: &Request,
        answers: &[String],
        (text, route): (&ModelText, &str),
        thinking: bool,
    ) -> Result<Option<Scores>, ChatError> {
        let (api, dialect) = (self.facts.api, self.dialect(thinking));
        let fault = |error| text_error(&error);
        // The answers are content: whatever the model would think before them is skipped.
        let (messages, start) = match request.messages.split_last() {
            Some((Message { role: Speaker::Assistant, content }, before)) => (before, content.as_str()),
            _ => (&request.messages[..], ""),
        };
        let mut prompt = text.chat().open_content(messages, thinking).map_err(fault)?.ids;
        prompt.extend(text.chat().tokenizer().encode_data(start).map_err(fault)?);
        let encode = |answer: &String| text.chat().tokenizer().encode_data(answer).map_err(fault);
        let answers: Vec<Vec<u32>> = answers.iter().map(encode).collect::<Result<_, _>>()?;
        let mut usage = Usage::default();
        let mut post = |body: &Value| match self.client.post(route, body) {
            Ok(answer) => {
                let more = ids::usage(api, &answer);
                usage.prompt_tokens += more.prompt_tokens;
                usage.reused_tokens += more.reused_tokens;
                usage.new_tokens += more.new_tokens;
                Ok(Some(answer))
            }
            // Some servers refuse the fields of log-probabilities.
            Err((_, Failure::Refused { status: 400 | 404 | 422 | 501, .. })) => Ok(None),
            Err((url, failure)) => Err(failure.into_chat_error(&url)),
        };
        let mut next = |prompt: &[u32], wanted: &[u32]| -> Result<Option<Vec<(u32, f64)>>, ChatError> {
            Ok(post(&dialect.next_token(prompt, wanted))?.and_then(|answer| ids::next_logprobs(api, &answer)))
        };
        let firsts: Vec<u32> = answers.iter().filter_map(|answer| answer.first().copied()).collect();
        let Some(listed) = next(&prompt, &firsts)? else { return Ok(None) };
        let mut sums = Vec::with_capacity(answers.len());
        for answer in &answers {
            let mut sum = answer.first().and_then(|first| of_id(&listed, *first));
            for at in 1..answer.len() {
                let Some(before) = sum else { break };
                let further = next(&[&prompt[..], &answer[..at]].concat(), &answer[at..=at])?;
                sum = further.and_then(|listed| of_id(&listed, answer[at])).map(|logprob| before + logprob);
            }
            sums.push(sum);
        }
        if api == Api::Vllm {
            // One that is too old for `logprob_token_ids` tells of the prompt's own tokens.
            for (answer, sum) in answers.iter().zip(&mut sums).filter(|(_, sum)| sum.is_none()) {
                let told = post(&dialect.tokens_of_prompt(&[&prompt[..], answer].concat()))?;
                *sum = told.and_then(|told| ids::end_of_prompt(&told, prompt.len(), answer));
            }
        }
        Ok(Some(self.listed(sums.into_iter().map(|sum| sum.unwrap_or(NOT_LISTED)).collect(), usage)))
    }

    /// Scores answers by the names of tokens in the server's own answer to the conversation.
    fn score_by_names(&self, request: &Request, answers: &[String], thinking: bool) -> Result<Scores, ChatError> {
        if request.messages.last().is_some_and(|message| message.role == Speaker::Assistant) {
            let message = "the server takes no token ids, so an answer that has begun cannot be scored";
            return Err(ChatError::Model(message.to_string()));
        }
        let ids = self.ids(answers)?;
        let body = self.dialect(thinking).first_token(&request.messages, ids.as_deref());
        let answer = match self.client.post(CHAT, &body) {
            Ok(answer) => answer,
            // Some servers refuse the fields of log-probabilities.
            Err((_, Failure::Refused { status: 400 | 422 | 501, .. })) => {
                return self.score_by_text(request, answers, thinking);
            }
            Err((url, failure)) => return Err(failure.into_chat_error(&url)),
        };
        let listed = reply::first_logprobs(&answer).map_err(|failure| failure.into_chat_error(self.client.url()))?;
        let Some(listed) = listed else { return self.score_by_text(request, answers, thinking) };
        let logprobs: Vec<f64> = answers
            .iter()
            .enumerate()
            .map(|(at, answer)| find(&listed, answer, ids.as_ref().map(|ids| ids[at])).unwrap_or(NOT_LISTED))
            .collect();
        Ok(self.listed(logprobs, reply::usage(&answer)))
    }

    /// Scores by what the model writes: the answer that it begins with is certain. It is the
    /// fallback where a server gives no log-probabilities.
    fn score_by_text(&self, request: &Request, answers: &[String], thinking: bool) -> Result<Scores, ChatError> {
        let message = "it gives no log-probabilities, so the judge's answers are read from its text: every comparison \
            is certain, and none is a tie within `judge.tie_band`";
        self.say_once("text", message);
        let request = Request {
            max_new_tokens: TEXT_TOKENS,
            max_thinking_tokens: Some(0),
            sampling: crate::chat::Sampling::GREEDY,
            ..request.clone()
        };
        let completion = self.complete(&request, None, thinking)?;
        let text = completion.text.trim_start();
        let begins = |answer: &String| {
            let rest = text.strip_prefix(answer.as_str());
            rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        };
        let logprobs = answers.iter().map(|answer| if begins(answer) { 0.0 } else { NOT_LISTED }).collect();
        Ok(Scores { logprobs, usage: completion.usage })
    }

    /// Returns the token of each answer; `None` if the server does not tell, or if an answer has
    /// several tokens.
    fn ids(&self, answers: &[String]) -> Result<Option<Vec<u32>>, ChatError> {
        let mut ids = Vec::with_capacity(answers.len());
        for answer in answers {
            let known = self.answers.lock().ok().and_then(|known| known.get(answer).copied());
            let id = match known {
                Some(id) => id,
                None => {
                    let tokens = tokenize(&self.client, &self.facts, answer)
                        .map_err(|failure| failure.into_chat_error(self.client.url()))?;
                    let id = tokens.and_then(|tokens| if let [id] = tokens[..] { Some(id) } else { None });
                    if let Ok(mut known) = self.answers.lock() {
                        known.insert(answer.clone(), id);
                    }
                    id
                }
            };
            ids.extend(id);
        }
        Ok((ids.len() == answers.len()).then_some(ids))
    }
}

fn of_id(listed: &[(u32, f64)], id: u32) -> Option<f64> {
    listed.iter().find(|(other, _)| *other == id).map(|(_, logprob)| *logprob)
}

/// Returns the error of a prompt that cannot be rendered here.
fn text_error(error: &TextError) -> ChatError {
    ChatError::Model(format!("`model.tokenizer`: {error}"))
}

/// Returns the log-probability of an answer: by its id if tokens are named so, by its text, or by
/// its text without the blanks around it.
fn find(listed: &[(String, f64)], answer: &str, id: Option<u32>) -> Option<f64> {
    let by = |is: &dyn Fn(&str) -> bool| listed.iter().find(|(token, _)| is(token)).map(|(_, logprob)| *logprob);
    let by_id = id.and_then(|id| by(&|token| token == format!("token_id:{id}")));
    by_id.or_else(|| by(&|token| token == answer)).or_else(|| by(&|token| token.trim() == answer))
}

impl ChatModel for RemoteModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        let Self { inner, thinking, text } = self.clone();
        self.inner.pool.run(move || inner.complete(&request, text.as_deref(), thinking)).boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        let Self { inner, thinking, text } = self.clone();
        self.inner.pool.run(move || inner.score(&request, &answers, text.as_deref(), thinking)).boxed()
    }

    fn identity(&self) -> ModelIdentity {
        let extra = serde_json::to_vec(&self.inner.options.extra).expect("plain data");
        let mut hasher = Hasher::new("maspo remote model and thinking");
        hasher.field(&self.inner.facts.digest.0).field(&[u8::from(self.thinking)]).field(&extra);
        if let Some(text) = &self.text {
            hasher.field(b"rendered here").field(&text.digest().0);
        }
        let url: &BaseUrl = self.inner.client.url();
        ModelIdentity { name: format!("{} at {url}", self.inner.facts.model), digest: hasher.finish() }
    }
}
