//! Completions as one JSON object.

use super::ask::{Ask, Input, Logprobs};
use super::fault::Fault;
use super::generation::{End, Generation, TokenUsage, Update};
use super::logprobs;
use super::server::Server;
use crate::engine::{FinishReason, NewToken};
use futures::future::try_join_all;
use serde_json::{Value, json};

/// What every part of one answer carries.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) fingerprint: String,
    pub(super) is_chat: bool,
    /// The number of completions of each prompt.
    n: usize,
}

impl Head {
    pub(super) fn new(server: &Server, ask: &Ask, number: u64) -> Self {
        let is_chat = matches!(ask.input, Input::Chat { .. });
        let prefix = if is_chat { "chatcmpl" } else { "cmpl" };
        Self {
            id: format!("{prefix}-{:08x}-{number}", server.start),
            created: crate::base::unix_seconds(),
            model: server.options.name.clone(),
            fingerprint: server.fingerprint(),
            is_chat,
            n: ask.n,
        }
    }

    /// The head of a team's answer.
    pub(super) fn of_team(server: &Server, number: u64) -> Self {
        Self {
            id: format!("chatcmpl-{:08x}-{number}", server.start),
            created: crate::base::unix_seconds(),
            model: server.options.name.clone(),
            fingerprint: server.fingerprint(),
            is_chat: true,
            n: 1,
        }
    }

    /// Returns whether completion `index` is the first one of its prompt.
    pub(super) fn is_first(&self, index: usize) -> bool {
        index.is_multiple_of(self.n)
    }

    /// Returns an object of this answer; `kind` is the object's name.
    pub(super) fn object(&self, kind: &str, choices: Vec<Value>) -> Value {
        let Self { id, created, model, fingerprint, .. } = self;
        json!({
            "id": id, "object": kind, "created": created, "model": model, "system_fingerprint": fingerprint,
            "choices": choices,
        })
    }
}

/// Waits for all completions of a request and returns them as one object.
pub(super) async fn whole(
    server: &Server,
    head: &Head,
    asked: Option<&Logprobs>,
    generations: Vec<Generation>,
) -> Result<Value, Fault> {
    let ends = try_join_all(generations.into_iter().map(run)).await?;
    let mut usage = Usage::default();
    let mut choices = Vec::with_capacity(ends.len());
    for (index, (end, tokens)) in ends.into_iter().enumerate() {
        usage.add(head.is_first(index), end.usage);
        let logprobs = asked.map(|asked| {
            let engine = &server.engine;
            if head.is_chat {
                logprobs::of_chat(engine, asked, &tokens)
            } else {
                logprobs::of_completion(engine, asked, &tokens, &mut 0)
            }
        });
        let mut choice = json!({ "index": index });
        if head.is_chat {
            let mut message = json!({ "role": "assistant", "content": end.reply.content, "refusal": null });
            if let Some(reasoning) = &end.reply.reasoning {
                message["reasoning_content"] = json!(reasoning);
            }
            choice["message"] = message;
        } else {
            choice["text"] = json!(end.reply.content);
        }
        choice["logprobs"] = json!(logprobs);
        choice["finish_reason"] = json!(reason(end.reason));
        choice["stop_reason"] = json!(end.stop);
        choices.push(choice);
    }
    let kind = if head.is_chat { "chat.completion" } else { "text_completion" };
    let mut object = head.object(kind, choices);
    object["usage"] = usage.json();
    Ok(object)
}

/// Runs a completion to its end.
async fn run(mut generation: Generation) -> Result<(End, Vec<NewToken>), Fault> {
    let mut tokens = Vec::new();
    while let Some(Update { tokens: more, end, .. }) = generation.next().await? {
        tokens.extend(more);
        if let Some(end) = end {
            return Ok((end, tokens));
        }
    }
    unreachable!("a completion ends with its last update")
}

pub(super) fn reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}

/// The usage of a whole request. A prompt counts once, however many completions it has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage(TokenUsage);

impl Usage {
    /// Adds a completion, which may be the first one of its prompt.
    pub(super) fn add(&mut self, is_first: bool, usage: TokenUsage) {
        if is_first {
            self.0.prompt += usage.prompt;
            self.0.cached += usage.cached;
        }
        self.0.completion += usage.completion;
    }

    pub(super) fn json(&self) -> Value {
        let TokenUsage { prompt, cached, completion } = self.0;
        json!({
            "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
            "prompt_tokens_details": { "cached_tokens": cached },
        })
    }
}
