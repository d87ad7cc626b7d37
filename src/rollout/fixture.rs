//! Small graphs, and a model with delays, limits and counters, for the tests of this module and of
//! those above it.

use crate::base::{AgentId, Digest};
use crate::chat::{ChatError, ChatModel, Completion, ModelIdentity, Request, Scores, Usage};
use crate::graph::{Agent, Edge, EdgeView, Graph};
use crate::prompt::Template;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// A graph of agents named by letters, with `edges` as (from, to, view). An agent without
/// predecessors has the prompt `<name> {question}`, any other `<name> {context}`; its role is `role
/// <name>`.
pub(crate) fn graph(names: &str, edges: &[(usize, usize, EdgeView)]) -> Arc<Graph> {
    let agent = |(at, name): (usize, char)| {
        let slot = if edges.iter().any(|(_, to, _)| *to == at) { "{context}" } else { "{question}" };
        Agent {
            name: name.to_string(),
            role: format!("role {name}"),
            seed_prompt: Template::new(format!("{name} {slot}")),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        }
    };
    let edge =
        |(from, to, view): &(usize, usize, EdgeView)| Edge { from: AgentId(*from), to: AgentId(*to), view: *view };
    let agents = names.chars().enumerate().map(agent).collect();
    Arc::new(Graph::new(agents, edges.iter().map(edge).collect(), 1000).expect("a sound graph"))
}

/// Returns the text of a request's only message.
pub(crate) fn text(request: &Request) -> &str {
    &request.messages[0].content
}

/// Yields to the other futures `times` times.
pub(crate) async fn step_back(times: usize) {
    let mut left = times;
    futures::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

type Answer = dyn Fn(&str) -> Result<String, ChatError> + Send + Sync;
type Delay = dyn Fn(&str) -> usize + Send + Sync;

/// A model that completes with a function of the message's text, which may return an error, after a
/// delay that is another such function.
pub(crate) struct SlowModel {
    answer: Box<Answer>,
    delay: Box<Delay>,
    seen: Mutex<Vec<String>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl SlowModel {
    pub(crate) fn new(answer: impl Fn(&str) -> Result<String, ChatError> + Send + Sync + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            delay: Box::new(|_| 0),
            seen: Mutex::default(),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
        }
    }

    pub(crate) fn with_delay(mut self, delay: impl Fn(&str) -> usize + Send + Sync + 'static) -> Self {
        self.delay = Box::new(delay);
        self
    }

    /// The texts received so far, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The most calls that were open at once.
    pub(crate) fn most_open(&self) -> usize {
        self.most_open.load(Ordering::SeqCst)
    }
}

/// The error for a message that is too long.
pub(crate) const OVERFLOW: ChatError = ChatError::Overflow { prompt_tokens: 9, new_tokens: 8, limit: 10 };

impl ChatModel for SlowModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async move {
            self.seen.lock().unwrap().push(text(&request).to_string());
            let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_open.fetch_max(open, Ordering::SeqCst);
            step_back((self.delay)(text(&request))).await;
            self.open.fetch_sub(1, Ordering::SeqCst);
            let text = (self.answer)(text(&request))?;
            Ok(Completion::of(text, Usage::default()))
        }
        .boxed()
    }

    fn score(&self, _: Request, _: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async { Err(OVERFLOW) }.boxed()
    }

    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: "slow".into(), digest: Digest::of(b"slow") }
    }
}
