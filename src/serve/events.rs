//! Completions as a stream of server-sent events.

use super::answer::{Head, Usage, reason};
use super::ask::Logprobs;
use super::fault::Fault;
use super::generation::{Generation, Update};
use super::logprobs;
use super::server::Server;
use futures::Stream;
use futures::stream::{StreamExt, once, select_all, unfold};
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// Streams all completions of a request, in the order in which their tokens come.
pub(super) fn stream(
    server: Arc<Server>,
    head: Head,
    asked: Option<Logprobs>,
    include_usage: bool,
    generations: Vec<Generation>,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let usage = Arc::new(Mutex::new(Usage::default()));
    let kind = if head.is_chat { "chat.completion.chunk" } else { "text_completion" };
    let choices = generations.into_iter().enumerate().map(|(index, generation)| {
        let choice = Choice {
            server: Arc::clone(&server),
            head: head.clone(),
            asked: asked.clone(),
            usage: Arc::clone(&usage),
            index,
            generation,
            begun: false,
            offset: 0,
            ended: false,
        };
        unfold(choice, Choice::next).boxed()
    });
    let choices: Vec<_> = choices.collect();
    let last = once(async move {
        let mut bytes = Vec::new();
        if include_usage {
            let mut object = head.object(kind, Vec::new());
            object["usage"] = usage.lock().expect("no thread panics while it adds").json();
            bytes.extend(event(&object));
        }
        bytes.extend(b"data: [DONE]\n\n");
        Bytes::from(bytes)
    });
    select_all(choices).chain(last.boxed())
}

/// One completion of a stream.
struct Choice {
    server: Arc<Server>,
    head: Head,
    asked: Option<Logprobs>,
    usage: Arc<Mutex<Usage>>,
    index: usize,
    generation: Generation,
    /// Whether the role was sent.
    begun: bool,
    /// The characters of a plain completion that were sent.
    offset: usize,
    ended: bool,
}

impl Choice {
    /// Returns the next events, and the rest of the stream.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.ended {
            return None;
        }
        if !self.begun {
            self.begun = true;
            if self.head.is_chat {
                let role = json!({ "role": "assistant", "content": "" });
                let events = self.chunk(json!({ "index": self.index, "delta": role, "finish_reason": null }));
                return Some((events, self));
            }
        }
        match self.generation.next().await {
            Ok(Some(update)) => {
                let events = self.events(update);
                Some((events, self))
            }
            Ok(None) => None,
            Err(error) => {
                self.ended = true;
                Some((Bytes::from(event(&Fault::from(error).json())), self))
            }
        }
    }

    fn events(&mut self, update: Update) -> Bytes {
        let Update { reasoning, content, tokens, end } = update;
        let (server, index) = (Arc::clone(&self.server), self.index);
        let logprobs = self.asked.as_ref().filter(|_| !tokens.is_empty()).map(|asked| {
            if self.head.is_chat {
                logprobs::of_chat(&server.engine, asked, &tokens)
            } else {
                logprobs::of_completion(&server.engine, asked, &tokens, &mut self.offset)
            }
        });
        let mut events = Vec::new();
        if !(reasoning.is_empty() && content.is_empty() && logprobs.is_none()) {
            let mut choice = json!({ "index": index });
            if self.head.is_chat {
                let mut delta = json!({});
                if !reasoning.is_empty() {
                    delta["reasoning_content"] = json!(reasoning);
                }
                if !content.is_empty() {
                    delta["content"] = json!(content);
                }
                choice["delta"] = delta;
            } else {
                choice["text"] = json!(content);
            }
            choice["logprobs"] = json!(logprobs);
            choice["finish_reason"] = Value::Null;
            events.extend(self.chunk(choice));
        }
        if let Some(end) = end {
            self.ended = true;
            self.usage.lock().expect("no thread panics while it adds").add(self.head.is_first(index), end.usage);
            let mut choice = json!({ "index": index });
            if self.head.is_chat {
                choice["delta"] = json!({});
            } else {
                choice["text"] = json!("");
            }
            choice["finish_reason"] = json!(reason(end.reason));
            choice["stop_reason"] = json!(end.stop);
            events.extend(self.chunk(choice));
        }
        Bytes::from(events)
    }

    fn chunk(&self, choice: Value) -> Bytes {
        let kind = if self.head.is_chat { "chat.completion.chunk" } else { "text_completion" };
        Bytes::from(event(&self.head.object(kind, vec![choice])))
    }
}

fn event(object: &Value) -> Vec<u8> {
    format!("data: {object}\n\n").into_bytes()
}
