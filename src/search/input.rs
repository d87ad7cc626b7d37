//! The input of a search, and the errors that it can have.

use super::events::Stopped;
use super::options::SearchOptions;
use super::schedule::{Split, draw_batch, optimizable, split};
use crate::base::{Bounded, CancelToken, OutOfBounds, Seed, Stage};
use crate::chat::{Budget, ChatError, ChatModel};
use crate::graph::Graph;
use crate::judge::JudgeOptions;
use crate::misalignment::MisalignmentOptions;
use crate::propose::ProposeOptions;
use crate::reward::RewardOptions;
use crate::rollout::RolloutOptions;
use crate::templates::Templates;
use std::sync::Arc;

/// The options of the search and of its parts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Options {
    /// Options of the search loop.
    pub search: SearchOptions,
    /// The weights of the joint reward.
    pub reward: RewardOptions,
    /// How the judge compares answers.
    pub judge: JudgeOptions,
    /// Which misalignment cases are kept and shown.
    pub misalignment: MisalignmentOptions,
    /// How the optimizer model writes candidates.
    pub propose: ProposeOptions,
    /// How the graph of agents is run.
    pub rollout: RolloutOptions,
    /// The requests to optimizer, judge and summarizer. With `None`, each is of the set for the
    /// model that it is made of.
    pub templates: Option<Arc<Templates>>,
}

/// The input of a search.
#[derive(Clone)]
pub struct SearchInput {
    /// The agents; their seed prompts are where the search starts.
    pub graph: Arc<Graph>,
    /// The unlabelled queries D that mini-batches are drawn from.
    pub pool: Vec<Arc<str>>,
    /// The model that runs the agents.
    pub worker: Arc<dyn ChatModel>,
    /// The model that writes candidate prompts.
    pub optimizer: Arc<dyn ChatModel>,
    /// The model that compares answers.
    pub judge: Arc<dyn ChatModel>,
    /// The seed that every random draw of the run is derived from.
    pub seed: Seed,
    /// The options of the search and of its parts.
    pub options: Options,
    /// The token that stops the search before its next step.
    pub cancel: CancelToken,
    /// The budget that the models' calls are charged to.
    pub budget: Budget,
    /// Whether seed and optimized prompts are compared at the end.
    pub closing_check: bool,
    /// The name of the method that runs the search; `None` for MASPO itself.
    pub method: Option<&'static str>,
}

/// Why a search ended without a result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SearchError {
    /// There are no queries to evaluate prompts on.
    #[error("the pool has no queries")]
    EmptyPool,
    /// No agent has a prompt that may change.
    #[error("no agent may be optimized; set `optimize = true` for at least one")]
    NothingToOptimize,
    /// An option is outside its bounds.
    #[error(transparent)]
    Option(OutOfBounds),
    /// The method learns from labels, and there are none.
    #[error("the method `{0}` learns from labels: add labelled cases as `data.train`")]
    NeedsLabels(&'static str),
    /// The next step does not fit into the budget, or the time is up. A method ends with what it
    /// has then, so no caller sees this.
    #[error("stopped by the limits of the run")]
    Limit(Stopped),
    /// The search was cancelled.
    #[error("stopped on request")]
    Cancelled,
    /// A model failed, or an event could not be made durable.
    #[error(transparent)]
    Chat(ChatError),
}

impl From<ChatError> for SearchError {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::Cancelled => Self::Cancelled,
            ChatError::Budget => Self::Limit(Stopped::Budget),
            other => Self::Chat(other),
        }
    }
}

impl SearchInput {
    /// Returns the requests of the options, or those for the models.
    pub(crate) fn templates(&self) -> Arc<Templates> {
        let of_models = || {
            let names = [&self.worker, &self.optimizer, &self.judge].map(|model| model.identity().name);
            Templates::of_models(names.each_ref().map(String::as_str), None).expect("every set can do without a task")
        };
        self.options.templates.clone().unwrap_or_else(|| Arc::new(of_models()))
    }

    /// Checks, between two steps, whether the search has to end here.
    ///
    /// # Errors
    /// It was cancelled, or its time is up.
    pub(crate) fn proceed(&self) -> Result<(), SearchError> {
        match () {
            () if self.cancel.is_cancelled() => Err(SearchError::Cancelled),
            () if self.budget.is_time_up() => Err(SearchError::Limit(Stopped::Clock)),
            () => Ok(()),
        }
    }

    /// Returns which queries the search draws from, and which are held back for the gate.
    pub(super) fn split(&self) -> Split {
        let held_back = self.options.search.held_back(self.pool.len());
        split(self.pool.len(), held_back, self.seed.derive(Stage::Gate, &[]))
    }

    /// Draws a mini-batch for the search.
    pub(super) fn draw(&self, seed: Seed) -> Vec<usize> {
        let searched = self.split().searched;
        let batch = draw_batch(searched.len(), self.options.search.batch, seed);
        batch.into_iter().map(|at| searched[at]).collect()
    }

    /// Returns the first fault of the input, if there is one.
    pub(crate) fn check(&self) -> Result<(), SearchError> {
        if let Some(fault) = self.options.search.out_of_bounds().next() {
            return Err(SearchError::Option(fault));
        }
        if self.pool.is_empty() {
            return Err(SearchError::EmptyPool);
        }
        if optimizable(&self.graph).is_empty() {
            return Err(SearchError::NothingToOptimize);
        }
        Ok(())
    }
}
