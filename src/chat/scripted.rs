//! A model whose answers are a function of the request. The search logic is tested against it,
//! without any weights.

use super::{ChatError, ChatModel, Completion, ModelIdentity, Origin, Request, Scores, Usage};
use crate::base::Digest;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Mutex;

type CompleteFn = dyn Fn(&Request) -> Completion + Send + Sync;
type ScoreFn = dyn Fn(&Request, &[String]) -> Vec<f64> + Send + Sync;

/// A model that answers by calling the functions it was made with, and that records every request.
/// Its "tokens" are words.
pub struct ScriptedModel {
    complete: Box<CompleteFn>,
    score: Box<ScoreFn>,
    seen: Mutex<Vec<Request>>,
}

impl ScriptedModel {
    /// A model that completes with `complete`, and gives all answers equal scores.
    pub fn new(complete: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        Self::thinking(move |request| Completion::of(complete(request), Usage::default()))
    }

    /// A model whose completions may have reasoning; their usage is counted here.
    pub fn thinking(complete: impl Fn(&Request) -> Completion + Send + Sync + 'static) -> Self {
        Self {
            complete: Box::new(complete),
            score: Box::new(|_, answers| vec![-(answers.len() as f64).ln(); answers.len()]),
            seen: Mutex::default(),
        }
    }

    /// Uses `score` for the log-probabilities of the answers.
    pub fn with_scores(mut self, score: impl Fn(&Request, &[String]) -> Vec<f64> + Send + Sync + 'static) -> Self {
        self.score = Box::new(score);
        self
    }

    /// All requests so far, in the order of arrival.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("no thread panics while it holds the list").clone()
    }

    fn record(&self, request: &Request) -> usize {
        self.seen.lock().expect("no thread panics while it holds the list").push(request.clone());
        request.messages.iter().map(|message| message.content.split_whitespace().count()).sum()
    }
}

impl ChatModel for ScriptedModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async move {
            let prompt_tokens = self.record(&request);
            let completion = (self.complete)(&request);
            let texts = completion.reasoning.iter().chain([&completion.text]);
            let new_tokens = texts.map(|text| text.split_whitespace().count()).sum();
            let usage = Usage { prompt_tokens, reused_tokens: 0, new_tokens, origin: Origin::Model };
            Ok(Completion { usage, ..completion })
        }
        .boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async move {
            let prompt_tokens = self.record(&request);
            let logprobs = (self.score)(&request, &answers);
            let usage = Usage { prompt_tokens, reused_tokens: 0, new_tokens: 0, origin: Origin::Model };
            Ok(Scores { logprobs, usage })
        }
        .boxed()
    }

    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: "scripted".into(), digest: Digest::of(b"scripted") }
    }
}
