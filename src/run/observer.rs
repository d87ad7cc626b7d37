//! The observer of a run: it shows progress to people, and can stop the run.

use crate::base::CancelToken;
use crate::chat::Ledger;
use crate::engine::LoadProgress;
use crate::graph::Graph;
use crate::remote::Notify;
use crate::search::{Event, Plan};
use std::sync::Arc;

/// An observer of a run. Every method does nothing by default, and none of them can change a
/// result.
pub trait Observer: Send {
    /// Returns the token that stops the run once it is cancelled. It is requested once, at the
    /// start.
    fn cancel(&self) -> CancelToken {
        CancelToken::new()
    }

    /// The model of this name is being opened; `news` is its progress.
    fn opening(&mut self, _model: &str, _news: LoadProgress) {}

    /// The model that was being opened is ready.
    fn opened(&mut self) {}

    /// A reader of the results should know this of how they will be computed.
    fn noticed(&mut self, _note: &str) {}

    /// Returns what says something at once, from any thread: that a server is waited for.
    fn announcer(&self) -> Notify {
        Arc::new(|_| ())
    }

    /// The search begins.
    fn started(&mut self, _graph: &Arc<Graph>, _plan: &Plan, _ledger: &Ledger) {}

    /// An event of the search has become durable.
    fn event(&mut self, _event: &Event) {}

    /// Prompts (`seed` or `optimized`) are about to be scored on held-out cases.
    fn scoring(&mut self, _prompts: &str, _cases: usize) {}

    /// The last held-out case is scored.
    fn scored(&mut self) {}
}

/// An observer that ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
