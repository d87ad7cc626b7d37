//! The port: one input and one function for every method.

use super::lab::Lab;
use super::{Labels, MethodKind, MethodOptions, dropout, gepa, single, spo, tpe};
use crate::judge::JudgeMode;
use crate::search::{EventSink, GateMode, SearchError, SearchInput, SearchResult, optimize};
use std::sync::Arc;

/// The input of a method.
#[derive(Clone)]
pub struct MethodInput {
    /// Which method it is.
    pub method: MethodKind,
    /// The options of the methods other than MASPO.
    pub options: MethodOptions,
    /// The graph, the pool, the models, the seed, the budget, and the options of the search.
    pub search: SearchInput,
    /// The labelled items, for methods that learn from labels; others never look at them.
    pub labels: Option<Arc<dyn Labels>>,
}

/// Runs a method. When its budget or its time is up, it ends with the best system so far.
///
/// # Errors
/// Returns an error if the input is invalid, a model or the sink fails, or the run is cancelled.
pub async fn run(input: MethodInput, sink: &mut dyn EventSink) -> Result<SearchResult, SearchError> {
    match input.method {
        MethodKind::Maspo => optimize(input.search, sink).await,
        MethodKind::Random => {
            // The search is the same, and a coin stands for the judge. Another coin at the end
            // would only send half of the runs back to the seed prompts.
            let mut search = SearchInput { closing_check: false, method: Some("random"), ..input.search };
            search.options.judge.mode = JudgeMode::Coin;
            search.options.search.gate = GateMode::Final;
            optimize(search, sink).await
        }
        method => {
            input.search.check()?;
            if method.needs_labels(&input.options) && input.labels.is_none() {
                return Err(SearchError::NeedsLabels(method.name()));
            }
            let mut lab = Lab::new(&input, sink);
            lab.start().await?;
            let ended = match method {
                MethodKind::AgentDropout => dropout::run(&mut lab).await,
                MethodKind::Tpe => tpe::run(&mut lab).await,
                MethodKind::Spo => spo::run(&mut lab).await,
                MethodKind::Gepa => gepa::run(&mut lab).await,
                _ => single::run(&mut lab),
            };
            let stopped = match ended {
                Ok(()) => None,
                Err(SearchError::Limit(stopped)) => Some(stopped),
                Err(error) => return Err(error),
            };
            lab.finish(stopped).await
        }
    }
}
