//! One completion on its way: the engine's tokens as they come, and their text as far as it is
//! certain. Dropping it takes the request out of the engine.

use super::server::Ticket;
use crate::engine::text::{ChatPrompt, PromptThought, Reply};
use crate::engine::{
    EngineError, Extras, FinishReason, LogprobRequest, NewToken, Sampling, Shaping, TextEngine, TokenOutput,
    TokenRequest, Watch,
};
use futures::channel::mpsc;
use futures::future::{BoxFuture, Either, select};
use futures::{FutureExt, StreamExt};
use std::sync::Arc;

/// A completion that is to be started.
pub(super) struct Job {
    pub(super) prompt: ChatPrompt,
    /// Whether reasoning is split off.
    pub(super) is_chat: bool,
    pub(super) max_new_tokens: usize,
    pub(super) max_thinking_tokens: Option<usize>,
    pub(super) sampling: Sampling,
    pub(super) shaping: Shaping,
    pub(super) ignore_eos: bool,
    pub(super) stop_token_ids: Vec<u32>,
    pub(super) stop: Vec<String>,
    pub(super) logprobs: Option<LogprobRequest>,
    /// Whether text is wanted before the end.
    pub(super) stream: bool,
}

/// What is new in a completion.
#[derive(Debug, Default)]
pub(super) struct Update {
    pub(super) reasoning: String,
    pub(super) content: String,
    /// The new tokens, if their log-probabilities are wanted.
    pub(super) tokens: Vec<NewToken>,
    /// There once the completion has ended.
    pub(super) end: Option<End>,
}

/// How a completion ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) reason: FinishReason,
    /// The text of `stop` that ended it.
    pub(super) stop: Option<String>,
    /// All of its text.
    pub(super) reply: Reply,
    pub(super) usage: TokenUsage,
}

/// The tokens of one completion.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct TokenUsage {
    pub(super) prompt: usize,
    pub(super) cached: usize,
    pub(super) completion: usize,
}

/// What comes from the engine next.
enum Next {
    Token(NewToken),
    Output(Result<TokenOutput, EngineError>),
}

/// A completion under way.
pub(super) struct Generation {
    engine: TextEngine,
    thought: PromptThought,
    is_chat: bool,
    stream: bool,
    stop: Vec<String>,
    keeps_tokens: bool,
    prompt_tokens: usize,
    /// `None` once the completion has ended.
    output: Option<BoxFuture<'static, Result<TokenOutput, EngineError>>>,
    tokens: mpsc::UnboundedReceiver<NewToken>,
    ids: Vec<u32>,
    reused: usize,
    kept: Vec<NewToken>,
    sent_reasoning: String,
    sent_content: String,
    _ticket: Arc<Ticket>,
}

impl Generation {
    /// Prepares a completion; the engine hears of it when [`next`](Self::next) is polled.
    pub(super) fn new(engine: &TextEngine, job: Job, ticket: Arc<Ticket>) -> Self {
        let (sender, tokens) = mpsc::unbounded();
        let prompt_tokens = job.prompt.ids.len();
        let thought = job.prompt.thought;
        let keeps_tokens = job.logprobs.is_some();
        let limit = engine.thought_limit(thought, job.max_thinking_tokens.filter(|_| job.is_chat));
        let watch = Watch { tokens: sender, logprobs: job.logprobs };
        let extras = Extras { limit, shaping: job.shaping, watch: Some(watch) };
        let request = TokenRequest {
            prompt: job.prompt.ids,
            max_new_tokens: job.max_new_tokens,
            sampling: job.sampling,
            ignore_eos: job.ignore_eos,
            stop: job.stop_token_ids,
        };
        let running = engine.clone();
        let output = async move { running.generate_with(request, extras).await }.boxed();
        Self {
            engine: engine.clone(),
            thought,
            is_chat: job.is_chat,
            stream: job.stream,
            stop: job.stop,
            keeps_tokens,
            prompt_tokens,
            output: Some(output),
            tokens,
            ids: Vec::new(),
            reused: 0,
            kept: Vec::new(),
            sent_reasoning: String::new(),
            sent_content: String::new(),
            _ticket: ticket,
        }
    }

    /// Waits for something new; `None` after the end.
    ///
    /// # Errors
    /// The engine's.
    pub(super) async fn next(&mut self) -> Result<Option<Update>, EngineError> {
        while let Some(output) = self.output.as_mut() {
            let next = match select(self.tokens.next(), output).await {
                Either::Left((Some(token), _)) => Next::Token(token),
                Either::Left((None, output)) => Next::Output(output.await),
                Either::Right((output, _)) => Next::Output(output),
            };
            match next {
                Next::Token(token) => {
                    self.push(token);
                    // What has come meanwhile is worth one look at the text, not one for each
                    // token. Texts that end the output are looked for at every token, so that the
                    // usage does not depend on the clock.
                    while self.stop.is_empty()
                        && let Ok(token) = self.tokens.try_recv()
                    {
                        self.push(token);
                    }
                    if !self.stop.is_empty()
                        && let Some(end) = self.stopped()
                    {
                        self.output = None;
                        return Ok(Some(self.last(end)));
                    }
                    if self.stream
                        && let Some(update) = self.update()
                    {
                        return Ok(Some(update));
                    }
                }
                Next::Output(output) => return output.map(|output| Some(self.finish(output))),
            }
        }
        Ok(None)
    }

    fn push(&mut self, token: NewToken) {
        self.reused = token.reused_tokens;
        if !token.ends {
            self.ids.push(token.id);
        }
        if self.keeps_tokens {
            self.kept.push(token);
        }
    }

    fn finish(&mut self, output: TokenOutput) -> Update {
        self.output = None;
        while let Ok(token) = self.tokens.try_recv() {
            self.push(token);
        }
        debug_assert_eq!(self.ids, output.token_ids, "every token was reported");
        self.reused = output.reused_tokens;
        let end = self.stopped().unwrap_or_else(|| self.end(output.finish_reason, None, self.reply()));
        self.last(end)
    }

    /// Returns the last update: what was not sent yet.
    fn last(&mut self, end: End) -> Update {
        let reasoning = delta(&mut self.sent_reasoning, end.reply.reasoning.as_deref().unwrap_or_default());
        let content = delta(&mut self.sent_content, &end.reply.content);
        Update { reasoning, content, tokens: std::mem::take(&mut self.kept), end: Some(end) }
    }

    /// Returns what is new and certain; `None` if there is nothing.
    fn update(&mut self) -> Option<Update> {
        let reply = self.reply();
        let reasoning = delta(&mut self.sent_reasoning, whole(reply.reasoning.as_deref().unwrap_or_default()));
        let held_back = self.stop.iter().map(String::len).max().unwrap_or(1) - 1;
        let certain = whole(&reply.content);
        let certain = &certain[..certain.floor_char_boundary(certain.len().saturating_sub(held_back))];
        let content = delta(&mut self.sent_content, certain);
        let update = Update { reasoning, content, tokens: std::mem::take(&mut self.kept), end: None };
        let is_empty = update.reasoning.is_empty() && update.content.is_empty() && update.tokens.is_empty();
        (!is_empty).then_some(update)
    }

    /// Returns the end if the content has a text that ends it.
    fn stopped(&self) -> Option<End> {
        if self.stop.is_empty() {
            return None;
        }
        let mut reply = self.reply();
        let found = self.stop.iter().filter_map(|stop| reply.content.find(stop.as_str()).map(|at| (at, stop)));
        let (at, stop) = found.min_by_key(|(at, _)| *at)?;
        reply.content.truncate(at);
        Some(self.end(FinishReason::Stop, Some(stop.clone()), reply))
    }

    fn end(&self, reason: FinishReason, stop: Option<String>, reply: Reply) -> End {
        let usage = TokenUsage { prompt: self.prompt_tokens, cached: self.reused, completion: self.ids.len() };
        End { reason, stop, reply, usage }
    }

    fn reply(&self) -> Reply {
        if self.is_chat {
            self.engine.split(self.thought, &self.ids)
        } else {
            Reply { content: self.engine.decode(&self.ids), ..Reply::default() }
        }
    }
}

/// Returns text without the characters at its end that the next token may complete.
fn whole(text: &str) -> &str {
    text.trim_end_matches(char::REPLACEMENT_CHARACTER)
}

/// Returns what `text` has beyond what was sent, and counts it as sent. Text that turned out to be
/// something else than what was sent (a thought that nothing announced) is sent whole.
fn delta(sent: &mut String, text: &str) -> String {
    let new = text.strip_prefix(sent.as_str()).unwrap_or(if sent.starts_with(text) { "" } else { text });
    let new = new.to_string();
    if !new.is_empty() {
        *sent = text.to_string();
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_add_up_to_the_text() {
        let mut sent = String::new();
        let mut all = String::new();
        for text in ["", "a", "a", "ab\u{FFFD}", "abé", "ab", "abé."] {
            all += &delta(&mut sent, whole(text));
        }
        assert_eq!(all, "abé.");
        assert_eq!(delta(&mut sent, "other"), "other");
    }
}
