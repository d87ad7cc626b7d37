//! A small world for the tests of the methods. A prompt reads `a1: {question}`; the worker answers
//! `a1(…)` around its input, so an answer shows which prompts produced it. What the optimizer
//! proposes is a table, and the judge counts what it likes.

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use maspo::base::{AgentId, CancelToken, Digest, Seed, Stage};
use maspo::chat::{
    Budget, BudgetOptions, ChatError, ChatModel, Completion, Ledger, Metered, ModelIdentity, ModelRole, Request,
    Scores, ScriptedModel, Spent,
};
use maspo::graph::{Agent, Edge, EdgeView, Graph};
use maspo::method::{Labels, MethodInput, MethodKind, MethodOptions, run};
use maspo::prompt::Template;
use maspo::search::{Event, EventSink, Options, SearchError, SearchInput, SearchResult};
use maspo::templates::Templates;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) agents: Vec<Agent>,
    pub(crate) edges: Vec<(usize, usize)>,
    pub(crate) pool: usize,
    pub(crate) seed: Seed,
    pub(crate) options: Options,
    pub(crate) methods: MethodOptions,
    pub(crate) budget: BudgetOptions,
    /// How much better an answer is for every time that it contains the text.
    pub(crate) likes: Vec<(&'static str, f64)>,
    /// The optimizer's replies, by sampling seed.
    pub(crate) replies: BTreeMap<u64, String>,
    /// Whether it writes a prompt that differs from seed to seed where there is no reply.
    pub(crate) writes_anything: bool,
    /// Whether an answer to a labelled item is right.
    pub(crate) right: Option<fn(&str) -> bool>,
    /// Changes the order in which answers arrive.
    pub(crate) shuffle: u64,
}

/// The result of a run with what the models received.
pub(crate) struct Ran {
    pub(crate) result: Result<SearchResult, SearchError>,
    pub(crate) events: Vec<Event>,
    pub(crate) worker: Vec<Request>,
    pub(crate) optimizer: Vec<Request>,
    pub(crate) judge: Vec<Request>,
    pub(crate) spent: [Spent; 3],
}

pub(crate) fn agent(name: &str, slot: &str) -> Agent {
    Agent {
        name: name.into(),
        role: format!("role {name}"),
        seed_prompt: Template::new(format!("{name}0: {slot}")),
        frozen: vec![],
        max_new_tokens: 16,
        optimize: true,
    }
}

struct Gold {
    questions: Vec<Arc<str>>,
    right: fn(&str) -> bool,
}

impl Labels for Gold {
    fn questions(&self) -> &[Arc<str>] {
        &self.questions
    }

    fn score(&self, answers: &[(usize, &str)]) -> Result<Vec<f64>, ChatError> {
        Ok(answers.iter().map(|(_, answer)| f64::from(u8::from((self.right)(answer)))).collect())
    }
}

impl World {
    /// The chain a → b with a pool of `pool` queries.
    pub(crate) fn chain(pool: usize) -> Self {
        let mut options = Options { templates: Some(Templates::terse()), ..Options::default() };
        (options.search.rounds, options.search.steps) = (1, 1);
        (options.search.batch, options.search.final_check) = (pool, pool);
        Self {
            agents: vec![agent("a", "{question}"), agent("b", "{context}")],
            edges: vec![(0, 1)],
            pool,
            seed: Seed(1),
            options,
            methods: MethodOptions::default(),
            budget: BudgetOptions::default(),
            likes: vec![],
            replies: BTreeMap::new(),
            writes_anything: false,
            right: None,
            shuffle: 0,
        }
    }

    /// Two agents side by side, x and y, and a third, t, that reads both.
    pub(crate) fn pair(pool: usize) -> Self {
        let agents = vec![agent("x", "{question}"), agent("y", "{question}"), agent("t", "{context}")];
        Self { agents, edges: vec![(0, 2), (1, 2)], ..Self::chain(pool) }
    }

    /// Sets the prompt that is proposed at a draw.
    pub(crate) fn proposes(mut self, draw: [u64; 5], prompt: &str) -> Self {
        self.replies.insert(self.seed.derive(Stage::Proposal, &draw).0, format!("<prompt>{prompt}</prompt>"));
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn graph(&self) -> Arc<Graph> {
        let edge = |(from, to): &(usize, usize)| Edge { from: AgentId(*from), to: AgentId(*to), view: EdgeView::Raw };
        let edges = self.edges.iter().map(edge).collect();
        Arc::new(Graph::new(self.agents.clone(), edges, 8000).expect("the test's graph is sound"))
    }

    pub(crate) fn worker(&self) -> Arc<ScriptedModel> {
        Arc::new(ScriptedModel::new(|request| {
            let message = &request.messages[0].content;
            let (prompt, input) = message.split_once(": ").unwrap_or(("?", message));
            format!("{}({input})", prompt.trim())
        }))
    }

    pub(crate) fn optimizer(&self) -> Arc<ScriptedModel> {
        let (replies, anything) = (self.replies.clone(), self.writes_anything);
        Arc::new(ScriptedModel::new(move |request| {
            let (text, seed) = (&request.messages[0].content, request.sampling.seed);
            let slot = if text.contains("Keep {question}") { "{question}" } else { "{context}" };
            match replies.get(&seed) {
                Some(reply) => reply.clone(),
                None if anything => format!("<prompt>p{}: {slot}</prompt>", seed % 7),
                None => "I would rather not.".to_string(),
            }
        }))
    }

    pub(crate) fn judge(&self) -> Arc<ScriptedModel> {
        let likes = self.likes.clone();
        Arc::new(ScriptedModel::new(|_| String::new()).with_scores(move |request, _| {
            let text = &request.messages[0].content;
            let (rest, b) = text.split_once("Answer B:\n<data>").expect("there are two answers");
            let (_, a) = rest.split_once("Answer A:\n<data>").expect("there are two answers");
            let quality = |text: &str| likes.iter().map(|(what, q)| q * text.matches(what).count() as f64).sum::<f64>();
            let difference = quality(a) - quality(b);
            [difference, -difference].map(|d| -(1.0 + (-d).exp()).ln()).into()
        }))
    }

    pub(crate) fn input(&self, method: MethodKind, models: [Arc<dyn ChatModel>; 3], budget: Budget) -> MethodInput {
        let ledger = Ledger::new();
        let metered = |role: ModelRole| -> Arc<dyn ChatModel> {
            let inner = Arc::new(Delayed { inner: models[role as usize].clone(), shuffle: self.shuffle });
            let metered = Metered::new(inner, role, ledger.clone(), CancelToken::new());
            Arc::new(metered.charged_to(budget.clone()))
        };
        let search = SearchInput {
            graph: self.graph(),
            pool: (0..self.pool).map(|at| format!("q{at}").into()).collect(),
            worker: metered(ModelRole::Worker),
            optimizer: metered(ModelRole::Optimizer),
            judge: metered(ModelRole::Judge),
            seed: self.seed,
            options: self.options.clone(),
            cancel: CancelToken::new(),
            budget: budget.clone(),
            closing_check: true,
            method: None,
        };
        let questions = (0..8).map(|at| format!("train{at}").into()).collect();
        let labels = self.right.map(|right| -> Arc<dyn Labels> { Arc::new(Gold { questions, right }) });
        MethodInput { method, options: self.methods.clone(), search, labels }
    }

    pub(crate) fn run(&self, method: MethodKind) -> Ran {
        let (worker, optimizer, judge) = (self.worker(), self.optimizer(), self.judge());
        let budget = Budget::new(self.budget.clone());
        let input = self.input(method, [worker.clone(), optimizer.clone(), judge.clone()], budget.clone());
        let mut events = Collector::default();
        // Boxed as `Send`: a caller may run it on any thread.
        let result = block_on(run(input, &mut events).boxed());
        Ran {
            result,
            events: events.0,
            worker: worker.seen(),
            optimizer: optimizer.seen(),
            judge: judge.seen(),
            spent: ModelRole::ALL.map(|role| budget.spent(role)),
        }
    }
}

impl Ran {
    pub(crate) fn result(&self) -> &SearchResult {
        self.result.as_ref().expect("the run ends well")
    }

    pub(crate) fn prompt(&self, agent: usize) -> &str {
        self.result().prompts.get(AgentId(agent)).text()
    }

    /// The number of worker messages that begin with `prefix`.
    pub(crate) fn worker_calls(&self, prefix: &str) -> usize {
        self.worker.iter().filter(|request| request.messages[0].content.starts_with(prefix)).count()
    }
}

/// Collects the events.
#[derive(Default)]
pub(crate) struct Collector(pub(crate) Vec<Event>);

impl EventSink for Collector {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        self.0.push(event.clone());
        async { Ok(()) }.boxed()
    }
}

/// A model that answers after a number of polls that depends on the request.
struct Delayed {
    inner: Arc<dyn ChatModel>,
    shuffle: u64,
}

impl Delayed {
    async fn delay(&self, request: &Request) {
        let digest = Digest::of(format!("{} {request:?}", self.shuffle).as_bytes());
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
    }
}

impl ChatModel for Delayed {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async move {
            self.delay(&request).await;
            self.inner.complete(request).await
        }
        .boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async move {
            self.delay(&request).await;
            self.inner.score(request, answers).await
        }
        .boxed()
    }

    fn identity(&self) -> ModelIdentity {
        self.inner.identity()
    }
}
