//! What `maspo doctor --endpoint` finds out about a server.

use super::body::Dialect;
use super::model::{Notify, RemoteModel};
use super::{EndpointOptions, RemoteError, reply};
use crate::chat::{ChatError, ChatModel, Message, Request, Sampling};
use futures::executor::block_on;
use futures::future::join_all;
use serde::Serialize;
use std::sync::Arc;

/// The requests that are sent at once to see whether company changes an answer.
const CROWD: usize = 8;

/// The longest answer that is compared.
const TOKENS: usize = 48;

/// What a server can do.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Probe {
    /// The first URL.
    pub url: String,
    /// The dialect.
    pub api: &'static str,
    /// The model's name there.
    pub model: String,
    /// What the server calls its version; empty if it does not say.
    pub version: String,
    /// The longest context, if the server tells it.
    pub context: Option<usize>,
    /// Where the judge's log-probabilities come from: `chosen` tokens, the `likeliest` ones, or
    /// none: the answer's `text`.
    pub judge: &'static str,
    /// The log-probabilities of A and B as the answer to [`question`], as the judge would read
    /// them; absent if they are read from text.
    pub letters: Option<Vec<f64>>,
    /// Whether one request gave the same text three times, alone.
    pub same_alone: bool,
    /// Whether it gave the same text in a crowd of other requests.
    pub same_in_a_crowd: bool,
    /// What was said while probing.
    pub notes: Vec<String>,
}

/// The question whose answer is a letter.
const LETTER_QUESTION: &str = "Is water wet? Answer A for yes or B for no.";

/// Returns the request whose answers [`Probe::letters`] scores, for the same weights elsewhere.
pub fn question() -> Request {
    Request {
        messages: vec![Message::user(LETTER_QUESTION)],
        max_new_tokens: 1,
        max_thinking_tokens: None,
        sampling: Sampling::GREEDY,
    }
}

/// Returns the answers that are scored.
pub fn letters() -> Vec<String> {
    ["A", "B"].map(str::to_string).to_vec()
}

/// Asks a server what it can do, with a dozen short requests.
///
/// # Errors
/// The server cannot be reached, or does not have the model.
pub fn probe(options: &EndpointOptions) -> Result<Probe, RemoteError> {
    let notes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&notes);
    let notify: Notify =
        Arc::new(move |note| heard.lock().expect("no thread panics while it adds").push(note.to_string()));
    let model = RemoteModel::open(options, false, notify)?;
    let unavailable = |error: ChatError| RemoteError::Unavailable(error.to_string());
    let ask = |text: String| {
        model.complete(Request {
            messages: vec![Message::user(text)],
            max_new_tokens: TOKENS,
            max_thinking_tokens: Some(0),
            sampling: Sampling::GREEDY,
        })
    };
    let primes = || "List the first ten prime numbers.".to_string();
    let mut alone = Vec::new();
    for _ in 0..3 {
        alone.push(block_on(ask(primes())).map_err(unavailable)?.text);
    }
    let others = (1..CROWD).map(|at| ask(format!("Count to {}.", at * 10)));
    let crowd = block_on(join_all(std::iter::once(ask(primes())).chain(others)));
    let crowd = crowd.into_iter().next().expect("the first of the crowd").map_err(unavailable)?.text;

    let (facts, client) = (model.facts(), model.client());
    let dialect = Dialect { api: facts.api, model: &facts.model, thinking: false, extra: &options.extra };
    let messages = [Message::user(LETTER_QUESTION)];
    // A token that is hardly ever likely: a server that names it was asked for it.
    let rare = super::server::tokenize(client, facts, "#").ok().flatten().filter(|ids| ids.len() == 1);
    let answer = client.post("/v1/chat/completions", &dialect.first_token(&messages, rare.as_deref()));
    let listed = answer.ok().and_then(|answer| reply::first_logprobs(&answer).ok().flatten());
    let is_chosen = rare.is_some_and(|ids| {
        let name = format!("token_id:{}", ids[0]);
        listed.as_ref().is_some_and(|listed| listed.iter().any(|(token, _)| *token == name))
    });
    let judge = match (&listed, is_chosen) {
        (None, _) => "text",
        (Some(_), true) => "chosen",
        (Some(_), false) => "likeliest",
    };
    let letters = match judge {
        "text" => None,
        _ => Some(block_on(model.score(question(), letters())).map_err(unavailable)?.logprobs),
    };
    Ok(Probe {
        url: client.url().to_string(),
        api: facts.api.as_str(),
        model: facts.model.clone(),
        version: facts.version.clone(),
        context: facts.context,
        judge,
        letters,
        same_alone: alone.iter().all(|text| *text == alone[0]),
        same_in_a_crowd: crowd == alone[0],
        notes: notes.lock().expect("no thread panics while it adds").clone(),
    })
}
