//! What a search is given, and what can be wrong with it.

use super::options::SearchOptions;
use super::schedule::optimizable;
use crate::base::{Bounded, CancelToken, OutOfBounds, Seed};
use crate::chat::{ChatError, ChatModel};
use crate::graph::Graph;
use crate::judge::JudgeOptions;
use crate::misalignment::MisalignmentOptions;
use crate::propose::ProposeOptions;
use crate::reward::RewardOptions;
use crate::rollout::RolloutOptions;
use serde::Serialize;
use std::sync::Arc;

/// The options of everything that takes part in a search.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Options {
    /// The loop.
    pub search: SearchOptions,
    /// The weights of the joint reward.
    pub reward: RewardOptions,
    /// How answers are compared.
    pub judge: JudgeOptions,
    /// Which cases are kept and shown.
    pub misalignment: MisalignmentOptions,
    /// How candidates are written.
    pub propose: ProposeOptions,
    /// How the graph is run.
    pub rollout: RolloutOptions,
}

/// Everything a search starts from.
#[derive(Clone)]
pub struct SearchInput {
    /// The agents; their seed prompts are where the search starts.
    pub graph: Arc<Graph>,
    /// D: unlabelled queries.
    pub pool: Vec<Arc<str>>,
    /// Runs the agents.
    pub worker: Arc<dyn ChatModel>,
    /// Writes candidates.
    pub optimizer: Arc<dyn ChatModel>,
    /// Compares answers.
    pub judge: Arc<dyn ChatModel>,
    /// Every draw of the run derives from it.
    pub seed: Seed,
    /// All options.
    pub options: Options,
    /// Stops the search before its next step.
    pub cancel: CancelToken,
}

/// Why a search ended without a result.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SearchError {
    /// Nothing to try prompts on.
    #[error("the pool has no queries")]
    EmptyPool,
    /// Nothing to do.
    #[error("no agent may be optimized; set `optimize = true` for at least one")]
    NothingToOptimize,
    /// An option is outside its bounds.
    #[error(transparent)]
    Option(OutOfBounds),
    /// A stop was asked for.
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
            other => Self::Chat(other),
        }
    }
}

impl SearchInput {
    /// What is wrong with the input, if anything.
    pub(super) fn check(&self) -> Result<(), SearchError> {
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
