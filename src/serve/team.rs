//! A team of agents in place of the model: one user message is its question, and its answer is the
//! reply. What a team is made of is not known here.

use super::answer::{Head, Usage};
use super::ask::{messages, stream_options};
use super::fault::Fault;
use super::fields::Fields;
use super::generation::TokenUsage;
use super::server::{Server, Ticket};
use crate::engine::text::{Message, Speaker};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt, once};
use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;

/// A team that answers questions.
pub trait Team: Send + Sync {
    /// Has the team answer a question. The error says why it could not, without words of the
    /// question.
    fn answer(&self, question: Arc<str>) -> BoxFuture<'_, Result<TeamAnswer, String>>;

    /// Returns what `/v1/models` says of the team.
    fn about(&self) -> Value;
}

/// What a team made of a question.
#[derive(Clone, PartialEq, Debug)]
pub struct TeamAnswer {
    /// The last agent's output, which is the reply.
    pub content: String,
    /// The found answer and the outputs of all agents.
    pub details: Value,
    /// The tokens of all prompts of the team.
    pub prompt_tokens: usize,
    /// How many of them were reused.
    pub cached_tokens: usize,
    /// The tokens that all agents wrote.
    pub completion_tokens: usize,
}

/// A checked request to a team.
pub(super) struct TeamAsk {
    question: Arc<str>,
    pub(super) stream: bool,
    include_usage: bool,
}

impl TeamAsk {
    pub(super) fn read(mut fields: Fields, name: &str) -> Result<Self, Fault> {
        let mut said = messages(&mut fields)?;
        let question = match (said.pop(), said.is_empty()) {
            (Some(Message { role: Speaker::User, content }), true) => content,
            _ => {
                let problem = "must be one user message: a team has a question and its own prompts, no conversation";
                return Err(Fault::field("messages", problem));
            }
        };
        if question.trim().is_empty() {
            return Err(Fault::field("messages", "hold an empty question"));
        }
        if let Some(model) = fields.text("model")?
            && model != name
        {
            let message = format!("this server has the model `{name}` only");
            return Err(Fault::new(StatusCode::NOT_FOUND, "model_not_found", message));
        }
        fields.count("n", 1, 1)?;
        let stream = fields.truth("stream")?.unwrap_or(false);
        let include_usage = stream_options(&mut fields)?;
        // Sampling and lengths are the team's own: with others its evidence would not hold.
        fields.finish()?;
        Ok(Self { question: question.into(), stream, include_usage })
    }
}

/// Waits for the team's answer and returns it as one object.
pub(super) async fn whole(team: &dyn Team, head: &Head, ask: TeamAsk) -> Result<Value, Fault> {
    let answer = team.answer(ask.question).await.map_err(failed)?;
    let message = json!({ "role": "assistant", "content": answer.content, "refusal": null });
    let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
    let mut object = head.object("chat.completion", vec![choice]);
    object["usage"] = usage(&answer).json();
    object["maspo"] = answer.details;
    Ok(object)
}

/// Streams the team's answer, which comes whole once it is there.
pub(super) fn stream(server: Arc<Server>, head: Head, ask: TeamAsk, ticket: Ticket) -> BoxStream<'static, Bytes> {
    const KIND: &str = "chat.completion.chunk";
    let chunk = |head: &Head, delta: Value, finish: Value| {
        head.object(KIND, vec![json!({ "index": 0, "delta": delta, "finish_reason": finish })])
    };
    let role = event(&chunk(&head, json!({ "role": "assistant", "content": "" }), Value::Null));
    let rest = async move {
        let _ticket = ticket;
        let team = server.team.as_deref().expect("a team was asked");
        let mut events = Vec::new();
        match team.answer(ask.question).await {
            Ok(answer) => {
                let mut content = chunk(&head, json!({ "content": answer.content }), Value::Null);
                content["maspo"] = answer.details.clone();
                events.extend(event(&content));
                events.extend(event(&chunk(&head, json!({}), json!("stop"))));
                if ask.include_usage {
                    let mut last = head.object(KIND, Vec::new());
                    last["usage"] = usage(&answer).json();
                    events.extend(event(&last));
                }
            }
            Err(reason) => events.extend(event(&failed(reason).json())),
        }
        events.extend(b"data: [DONE]\n\n");
        Bytes::from(events)
    };
    once(async move { Bytes::from(role) }).chain(once(rest)).boxed()
}

fn usage(answer: &TeamAnswer) -> Usage {
    let mut usage = Usage::default();
    let TeamAnswer { prompt_tokens, cached_tokens, completion_tokens, .. } = *answer;
    usage.add(true, TokenUsage { prompt: prompt_tokens, cached: cached_tokens, completion: completion_tokens });
    usage
}

fn failed(reason: String) -> Fault {
    Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "team_failed", reason)
}

fn event(object: &Value) -> Vec<u8> {
    format!("data: {object}\n\n").into_bytes()
}
