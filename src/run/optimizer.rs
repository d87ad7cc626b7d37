//! One search with its models and its ledger.

use super::labels::TrainLabels;
use crate::base::{CancelToken, Seed};
use crate::chat::{Budget, BudgetOptions, ChatError, ChatModel, Ledger, Metered, ModelRole, Spent, each_member};
use crate::config::Settings;
use crate::graph::Graph;
use crate::method::{self, Labels, MethodInput, MethodKind, MethodOptions};
use crate::search::{Event, EventSink, Options, Plan, SearchError, SearchInput, SearchResult};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use std::sync::Arc;

/// Optimizes the prompts of an agent graph on unlabelled queries.
///
/// One model plays all three roles (it runs the agents, writes candidate prompts and judges
/// answers) unless [`model`](Self::model) gives a role to another one. The same optimizer gives the
/// same result, bit for bit.
#[derive(Clone)]
pub struct Optimizer {
    graph: Arc<Graph>,
    pool: Vec<Arc<str>>,
    models: [Arc<dyn ChatModel>; 3],
    seed: Seed,
    options: Options,
    method: MethodKind,
    method_options: MethodOptions,
    labels: Option<Arc<dyn Labels>>,
    budget: Budget,
    cancel: CancelToken,
    ledger: Ledger,
}

impl Optimizer {
    /// An optimizer of `graph` whose only model is `model`, with default options, seed 1 and no
    /// queries yet.
    pub fn new(graph: Graph, model: impl ChatModel + 'static) -> Self {
        let model: Arc<dyn ChatModel> = Arc::new(model);
        Self {
            graph: Arc::new(graph),
            pool: Vec::new(),
            models: ModelRole::ALL.map(|_| Arc::clone(&model)),
            seed: Seed(1),
            options: Options::default(),
            method: MethodKind::Maspo,
            method_options: MethodOptions::default(),
            labels: None,
            budget: Budget::default(),
            cancel: CancelToken::new(),
            ledger: Ledger::new(),
        }
    }

    /// Returns the optimizer that an experiment file describes, with the models in the order of
    /// [`ModelRole::ALL`].
    #[doc(hidden)]
    pub fn of_settings(settings: &Settings, models: [Arc<dyn ChatModel>; 3]) -> Self {
        Self {
            graph: settings.graph.clone(),
            pool: settings.pool.iter().map(|query| query.question.clone()).collect(),
            models,
            seed: settings.seed,
            options: settings.options.clone(),
            method: settings.method.kind,
            method_options: settings.method.options.clone(),
            labels: TrainLabels::of(settings),
            budget: Budget::new(settings.method.budget.clone()),
            cancel: CancelToken::new(),
            ledger: Ledger::new(),
        }
    }

    /// Adds unlabelled queries to optimize on.
    #[must_use]
    pub fn queries(mut self, queries: impl IntoIterator<Item: Into<Arc<str>>>) -> Self {
        self.pool.extend(queries.into_iter().map(Into::into));
        self
    }

    /// Gives one role to another model.
    #[must_use]
    pub fn model(mut self, role: ModelRole, model: impl ChatModel + 'static) -> Self {
        self.models[role as usize] = Arc::new(model);
        self
    }

    /// Sets the seed that every random draw of the search derives from.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Seed(seed);
        self
    }

    /// Sets all options of the search and of its parts.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Chooses another method than MASPO.
    #[must_use]
    pub fn method(mut self, method: MethodKind, options: MethodOptions) -> Self {
        (self.method, self.method_options) = (method, options);
        self
    }

    /// Sets hard limits on the calls and tokens of the search.
    #[must_use]
    pub fn budget(mut self, limits: BudgetOptions) -> Self {
        self.budget = Budget::new(limits);
        self
    }

    /// Sets the token that stops the search before its next step.
    #[must_use]
    pub fn cancel(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// The upper bound for the search: its steps, and the most calls and tokens that they take.
    pub fn plan(&self) -> Plan {
        let labelled = self.labels.as_ref().map_or(0, |labels| labels.questions().len());
        let sizes = (self.pool.len(), labelled);
        method::plan(self.method, &self.method_options, &self.graph, &self.with_judges(), sizes)
    }

    /// The options with the number of models that judge.
    fn with_judges(&self) -> Options {
        let mut options = self.options.clone();
        options.judge.models = each_member(&self.models[ModelRole::Judge as usize]).len();
        options
    }

    /// The costs of every role so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What `role` has taken of the budget so far. Unlike the ledger it counts the tokens of cached
    /// answers, and no call of an evaluation.
    pub fn spent(&self, role: ModelRole) -> Spent {
        self.budget.spent(role)
    }

    /// Returns the model of `role`; its calls are counted in the ledger.
    pub fn metered(&self, role: ModelRole) -> Arc<dyn ChatModel> {
        let model = Arc::clone(&self.models[role as usize]);
        Arc::new(Metered::new(model, role, self.ledger.clone(), self.cancel.clone()))
    }

    /// Returns the model of `role`; its calls are counted in the ledger and charged to `budget`.
    fn charged(&self, role: ModelRole, budget: &Budget) -> Arc<dyn ChatModel> {
        let model = Arc::clone(&self.models[role as usize]);
        let metered = Metered::new(model, role, self.ledger.clone(), self.cancel.clone());
        Arc::new(metered.charged_to(budget.clone()))
    }

    /// Runs the search and returns its result.
    ///
    /// # Errors
    /// Returns an error if there are no queries or no agent that may be optimized, if a size is 0,
    /// if a model fails, or if the token is cancelled.
    pub fn run(&self) -> Result<SearchResult, SearchError> {
        block_on(self.search(&mut Ignored))
    }

    /// Runs the search; every event goes to `events` before the next step begins.
    ///
    /// # Errors
    /// Returns the errors of [`run`](Self::run), and those of `events`.
    pub async fn search(&self, events: &mut dyn EventSink) -> Result<SearchResult, SearchError> {
        let input = SearchInput {
            graph: self.graph.clone(),
            pool: self.pool.clone(),
            worker: self.charged(ModelRole::Worker, &self.budget),
            optimizer: self.charged(ModelRole::Optimizer, &self.budget),
            judge: self.charged(ModelRole::Judge, &self.budget),
            seed: self.seed,
            options: self.with_judges(),
            cancel: self.cancel.clone(),
            budget: self.budget.clone(),
            closing_check: true,
            method: None,
        };
        let (method, options, labels) = (self.method, self.method_options.clone(), self.labels.clone());
        method::run(MethodInput { method, options, search: input, labels }, events).await
    }
}

/// An event sink that drops all events; the search result holds what they say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ignored;

impl EventSink for Ignored {
    fn emit(&mut self, _: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        async { Ok(()) }.boxed()
    }
}
