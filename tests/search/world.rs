//! A small world for the tests of the search. A prompt reads `a1: {question}`; the worker answers
//! `a1(…)` around its input, so an answer shows which prompts produced it. The judge's preferences
//! and the optimizer's proposals are tables.

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use maspo::base::{AgentId, CancelToken, Digest, Seed, Stage};
use maspo::chat::{
    Budget, ChatError, ChatModel, Completion, Ledger, Metered, ModelIdentity, ModelRole, Request, Scores, ScriptedModel,
};
use maspo::graph::{Agent, Edge, EdgeView, Graph, sequential};
use maspo::prompt::Template;
use maspo::search::{Event, EventSink, Options, SearchError, SearchInput, SearchResult, Step, optimize};
use maspo::templates::Templates;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

/// The judge's preferences: (role, text) → how much better an answer is that contains the text.
pub(crate) type Preferences = BTreeMap<(&'static str, String), f64>;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) agents: Vec<Agent>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) pool: Vec<Arc<str>>,
    pub(crate) seed: Seed,
    pub(crate) options: Options,
    pub(crate) preferences: Preferences,
    /// The optimizer's replies, by sampling seed.
    pub(crate) replies: BTreeMap<u64, String>,
    /// The optimizer's reply to every other seed.
    pub(crate) default_reply: String,
    /// Text replies of the judge, for the text mode.
    pub(crate) judge_reply: String,
    /// Whether the judge's preferences are noise instead: always the same for the same two texts.
    pub(crate) noise: bool,
    /// Added to the logit of A, whatever A is.
    pub(crate) position_bias: f64,
    /// Changes the order in which answers arrive; with 0 every answer comes at once.
    pub(crate) shuffle: u64,
    /// Messages that contain this text are too long for the worker and the optimizer.
    pub(crate) too_long: Option<&'static str>,
    pub(crate) cancel: CancelToken,
}

/// The result of a run, its events and the texts that every model received.
pub(crate) struct RunOutcome {
    pub(crate) result: Result<SearchResult, SearchError>,
    pub(crate) events: Vec<Event>,
    pub(crate) worker: Vec<String>,
    pub(crate) optimizer: Vec<String>,
    pub(crate) judge: Vec<String>,
    pub(crate) ledger: Ledger,
}

pub(crate) fn agent(name: &str, optimize: bool) -> Agent {
    let slot = if name.starts_with('a') { "{question}" } else { "{context}" };
    Agent {
        name: name.into(),
        role: format!("role {name}"),
        seed_prompt: Template::new(format!("{name}0: {slot}")),
        frozen: vec![],
        max_new_tokens: 16,
        optimize,
    }
}

impl World {
    /// The chain a → b → c, of which the agents in `optimized` are optimized: one round of one
    /// step, with a pool of `pool` queries q0, q1, … that is one batch.
    pub(crate) fn chain(optimized: &str, pool: usize) -> Self {
        let mut options = Options { templates: Some(Templates::terse()), ..Options::default() };
        (options.search.rounds, options.search.steps) = (1, 1);
        (options.search.batch, options.search.final_check) = (pool, pool);
        Self {
            agents: ["a", "b", "c"].map(|name| agent(name, optimized.contains(name))).into(),
            edges: sequential(3, EdgeView::Raw),
            pool: (0..pool).map(|at| format!("q{at}").into()).collect(),
            seed: Seed(1),
            options,
            preferences: Preferences::new(),
            replies: BTreeMap::new(),
            default_reply: "I would rather not.".into(),
            judge_reply: String::new(),
            noise: false,
            position_bias: 0.0,
            shuffle: 0,
            too_long: None,
            cancel: CancelToken::new(),
        }
    }

    /// Makes the answers of `role` that contain `text` better by `quality`.
    pub(crate) fn prefers(mut self, role: &'static str, text: impl Into<String>, quality: f64) -> Self {
        self.preferences.insert((role, text.into()), quality);
        self
    }

    /// Sets the optimizer's reply to the proposal (round, agent, step, index of the parent,
    /// candidate).
    pub(crate) fn replies(mut self, draw: [u64; 5], reply: impl Into<String>) -> Self {
        self.replies.insert(self.seed.derive(Stage::Proposal, &draw).0, reply.into());
        self
    }

    /// Sets a well-formed reply to a proposal.
    pub(crate) fn proposes(self, draw: [u64; 5], prompt: &str) -> Self {
        self.replies(draw, format!("Better: <prompt>{prompt}</prompt>"))
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn graph(&self) -> Arc<Graph> {
        Arc::new(Graph::new(self.agents.clone(), self.edges.clone(), 8000).expect("the test's graph is sound"))
    }

    pub(crate) fn run(&self) -> RunOutcome {
        self.run_into(&mut Collector::default())
    }

    pub(crate) fn run_into(&self, sink: &mut Collector) -> RunOutcome {
        let worker = Arc::new(ScriptedModel::new(|request| answer(&request.messages[0].content)));
        let (replies, default_reply) = (self.replies.clone(), self.default_reply.clone());
        let optimizer = Arc::new(ScriptedModel::new(move |request| {
            replies.get(&request.sampling.seed).unwrap_or(&default_reply).replace("SEED", &tail(request.sampling.seed))
        }));
        let (preferences, bias, reply) = (self.preferences.clone(), self.position_bias, self.judge_reply.clone());
        let by_noise = self.noise;
        let judge = Arc::new(ScriptedModel::new(move |_| reply.clone()).with_scores(move |request, _| {
            let message = &request.messages[0].content;
            let difference = if by_noise { noise(message) } else { preference(&preferences, message) + bias };
            [difference, -difference].map(|d| -(1.0 + (-d).exp()).ln()).into()
        }));
        let ledger = Ledger::new();
        let metered = |model: &Arc<ScriptedModel>, role| {
            let delayed = DelayedModel { inner: model.clone(), shuffle: self.shuffle, too_long: self.too_long };
            Arc::new(Metered::new(Arc::new(delayed), role, ledger.clone(), self.cancel.clone()))
        };
        let input = SearchInput {
            graph: self.graph(),
            pool: self.pool.clone(),
            worker: metered(&worker, ModelRole::Worker),
            optimizer: metered(&optimizer, ModelRole::Optimizer),
            judge: metered(&judge, ModelRole::Judge),
            seed: self.seed,
            options: self.options.clone(),
            cancel: self.cancel.clone(),
            budget: Budget::default(),
            closing_check: true,
            method: None,
        };
        // Boxed as `Send`: a caller may run it on any thread.
        let result = block_on(optimize(input, sink).boxed());
        let texts = |model: &ScriptedModel| model.seen().iter().map(|r| r.messages[0].content.clone()).collect();
        RunOutcome {
            result,
            events: std::mem::take(&mut sink.events),
            worker: texts(&worker),
            optimizer: texts(&optimizer),
            judge: texts(&judge),
            ledger,
        }
    }
}

impl RunOutcome {
    pub(crate) fn result(&self) -> &SearchResult {
        self.result.as_ref().expect("the run ends well")
    }

    pub(crate) fn step(&self, at: usize) -> &Step {
        &self.result().steps[at]
    }

    /// The number of worker messages that begin with `prefix`.
    pub(crate) fn worker_calls(&self, prefix: &str) -> usize {
        self.worker.iter().filter(|text| text.starts_with(prefix)).count()
    }

    /// The messages that asked the optimizer for a prompt of the agent `agent`.
    pub(crate) fn optimizer_inputs(&self, agent: &str) -> Vec<&str> {
        let marker = format!("\nAgent: {agent}\n");
        self.optimizer.iter().filter(|text| text.contains(&marker)).map(String::as_str).collect()
    }

    pub(crate) fn prompt(&self, agent: usize) -> &str {
        self.result().prompts.get(AgentId(agent)).text()
    }
}

/// A beam as `id:score` pairs.
pub(crate) fn show(beam: &[maspo::search::Ranked]) -> String {
    beam.iter().map(|ranked| format!("{}:{}", ranked.id, ranked.score)).collect::<Vec<_>>().join(" ")
}

/// `a1: text` → `a1(text)`.
fn answer(message: &str) -> String {
    let (prompt, input) = message.split_once(": ").unwrap_or(("?", message));
    format!("{}({input})", prompt.trim())
}

/// A text that differs from seed to seed: three digits, which a judge may prefer, and the whole
/// seed in letters.
fn tail(seed: u64) -> String {
    let letters: String = format!("{seed:x}").bytes().map(|digit| char::from(b'A' + digit % 32)).collect();
    format!("{}{letters}", seed % 1000)
}

/// How much better answer A is than answer B by the preferences of the role that is judged.
fn preference(preferences: &Preferences, message: &str) -> f64 {
    // "Task: " or "The agent's task: ".
    let role = between(message, "ask: ", "\n");
    let quality = |text: &str| -> f64 {
        preferences
            .iter()
            .filter(|((who, what), _)| format!("role {who}") == role && text.contains(what))
            .map(|(_, q)| q)
            .sum()
    };
    let [a, b] = shown(message);
    quality(a) - quality(b)
}

/// How much better answer A is than answer B by a coin that the two texts decide.
fn noise(message: &str) -> f64 {
    let [a, b] = shown(message);
    let [first, second] = if a < b { [a, b] } else { [b, a] };
    let heads = Digest::of(format!("{first}\n{second}").as_bytes()).0[0] & 1 == 1;
    if heads == (a < b) { 3.0 } else { -3.0 }
}

/// The two answers that a judge's message shows.
fn shown(message: &str) -> [&str; 2] {
    ["A", "B"].map(|letter| between(message, &format!("Answer {letter}:\n<data>\n"), "\n</data>"))
}

fn between<'a>(message: &'a str, from: &str, to: &str) -> &'a str {
    let start = message.find(from).expect("the message has its parts") + from.len();
    &message[start..start + message[start..].find(to).expect("the message has its parts")]
}

type Watch = dyn FnMut(&Event) + Send;

/// Collects the events, and fails at the first one that `fail_at` selects.
#[derive(Default)]
pub(crate) struct Collector {
    pub(crate) events: Vec<Event>,
    pub(crate) fail_at: Option<fn(&Event) -> bool>,
    pub(crate) after: Option<Box<Watch>>,
}

impl EventSink for Collector {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        let fails = self.fail_at.is_some_and(|at| at(event));
        if !fails {
            self.events.push(event.clone());
        }
        if let Some(after) = &mut self.after {
            after(event);
        }
        async move { if fails { Err(ChatError::Storage("disk full".into())) } else { Ok(()) } }.boxed()
    }
}

/// A model that answers after a number of polls that depends on the request, and that has a limit
/// on what it can read.
struct DelayedModel {
    inner: Arc<ScriptedModel>,
    shuffle: u64,
    too_long: Option<&'static str>,
}

impl DelayedModel {
    async fn delay_and_check(&self, request: &Request) -> Result<(), ChatError> {
        let text = &request.messages[0].content;
        if self.too_long.is_some_and(|long| text.contains(long)) {
            return Err(ChatError::Overflow { prompt_tokens: 9, new_tokens: 1, limit: 8 });
        }
        let digest = Digest::of(format!("{} {text} {}", self.shuffle, request.sampling.seed).as_bytes());
        let mut polls = if self.shuffle == 0 { 0 } else { digest.0[0] % 8 };
        futures::future::poll_fn(|context| {
            if polls == 0 {
                return Poll::Ready(());
            }
            polls -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        Ok(())
    }
}

impl ChatModel for DelayedModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async move {
            self.delay_and_check(&request).await?;
            self.inner.complete(request).await
        }
        .boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async move {
            self.delay_and_check(&request).await?;
            self.inner.score(request, answers).await
        }
        .boxed()
    }

    fn identity(&self) -> ModelIdentity {
        self.inner.identity()
    }
}
