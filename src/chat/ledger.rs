//! Counts calls, tokens and seconds per model role. It wraps a model, observes every call and
//! changes nothing.

use super::budget::{Budget, Reservation, most_tokens};
use super::{ChatError, ChatModel, Completion, ModelIdentity, Origin, Request, Scores, Usage};
use crate::base::{CancelToken, Stopwatch};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// The role of a model in a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelRole {
    /// Running the agents.
    Worker,
    /// Writing candidate prompts.
    Optimizer,
    /// Comparing answers.
    Judge,
}

impl ModelRole {
    /// All roles, in the order of the bill.
    pub const ALL: [Self; 3] = [Self::Worker, Self::Optimizer, Self::Judge];

    /// The name in configuration and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Optimizer => "optimizer",
            Self::Judge => "judge",
        }
    }
}

/// The costs of one role.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LedgerLine {
    /// The number of calls: `computed + cached + shared + failed`.
    pub calls: u64,
    /// The number of calls that a model computed.
    pub computed: u64,
    /// The number of calls answered from the response cache.
    pub cached: u64,
    /// The number of calls answered by an identical call in flight.
    pub shared: u64,
    /// The number of calls that ended in an error, overflows included.
    pub failed: u64,
    /// The number of prompt tokens computed.
    pub prefilled_tokens: u64,
    /// The number of prompt tokens whose keys and values were reused.
    pub reused_tokens: u64,
    /// The number of tokens decoded.
    pub decoded_tokens: u64,
    /// Wall-clock seconds during which at least one call of this role was open. Roles overlap, so
    /// that the lines may add up to more than the run.
    pub seconds: f64,
}

impl LedgerLine {
    fn count(&mut self, usage: &Usage) {
        match usage.origin {
            Origin::Model => {
                self.computed += 1;
                self.prefilled_tokens += (usage.prompt_tokens - usage.reused_tokens) as u64;
                self.reused_tokens += usage.reused_tokens as u64;
                self.decoded_tokens += usage.new_tokens as u64;
            }
            Origin::Cache => self.cached += 1,
            Origin::Shared => self.shared += 1,
        }
    }
}

#[derive(Debug, Default)]
struct OpenLine {
    line: LedgerLine,
    open_calls: usize,
    opened: Option<Stopwatch>,
}

/// The ledger of a run; clones share their counters.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<[OpenLine; 3]>>);

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// The costs of `role` so far.
    pub fn line(&self, role: ModelRole) -> LedgerLine {
        let lines = self.0.lock().expect("no thread panics while it holds the ledger");
        let open = &lines[role as usize];
        let mut line = open.line;
        line.seconds += open.opened.map_or(0.0, |watch| watch.seconds());
        line
    }

    fn open(&self, role: ModelRole) {
        let mut lines = self.0.lock().expect("no thread panics while it holds the ledger");
        let open = &mut lines[role as usize];
        open.line.calls += 1;
        open.open_calls += 1;
        open.opened.get_or_insert_with(Stopwatch::start);
    }

    fn close(&self, role: ModelRole, usage: Option<&Usage>) {
        let mut lines = self.0.lock().expect("no thread panics while it holds the ledger");
        let open = &mut lines[role as usize];
        match usage {
            Some(usage) => open.line.count(usage),
            None => open.line.failed += 1,
        }
        open.open_calls -= 1;
        if open.open_calls == 0 {
            open.line.seconds += open.opened.take().map_or(0.0, |watch| watch.seconds());
        }
    }
}

/// Closes a call in the ledger, even if its future is dropped before it ends.
struct OpenCall<'a> {
    ledger: &'a Ledger,
    role: ModelRole,
    usage: Option<Usage>,
    reserved: Option<Reservation>,
}

impl OpenCall<'_> {
    /// Records what the call took.
    fn take(&mut self, usage: Usage) {
        self.usage = Some(usage);
        if let Some(reserved) = self.reserved.take() {
            reserved.take(&usage);
        }
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.ledger.close(self.role, self.usage.as_ref());
    }
}

/// A model in one role of a run: it counts every call in the [`Ledger`], and starts none after a
/// cancellation, nor one that the [`Budget`] refuses.
#[derive(Clone)]
pub struct Metered {
    model: Arc<dyn ChatModel>,
    role: ModelRole,
    ledger: Ledger,
    cancel: CancelToken,
    budget: Budget,
}

impl Metered {
    /// Wraps `model` in `role`.
    pub fn new(model: Arc<dyn ChatModel>, role: ModelRole, ledger: Ledger, cancel: CancelToken) -> Self {
        Self { model, role, ledger, cancel, budget: Budget::default() }
    }

    /// Charges every call to `budget`.
    #[must_use]
    pub fn charged_to(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    fn open(&self, tokens: u64) -> Result<OpenCall<'_>, ChatError> {
        if self.cancel.is_cancelled() {
            return Err(ChatError::Cancelled);
        }
        let reserved = Some(self.budget.reserve(self.role, tokens)?);
        self.ledger.open(self.role);
        Ok(OpenCall { ledger: &self.ledger, role: self.role, usage: None, reserved })
    }
}

impl ChatModel for Metered {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async move {
            let mut call = self.open(most_tokens(&request, &[], request.max_new_tokens))?;
            let completion = self.model.complete(request).await?;
            call.take(completion.usage);
            Ok(completion)
        }
        .boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async move {
            let mut call = self.open(most_tokens(&request, &answers, 0))?;
            let scores = self.model.score(request, answers).await?;
            call.take(scores.usage);
            Ok(scores)
        }
        .boxed()
    }

    fn identity(&self) -> ModelIdentity {
        self.model.identity()
    }

    fn members(&self) -> Vec<Arc<dyn ChatModel>> {
        let metered = |model| -> Arc<dyn ChatModel> { Arc::new(Self { model, ..self.clone() }) };
        self.model.members().into_iter().map(metered).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, Sampling, ScriptedModel};
    use futures::executor::block_on;

    fn request(text: &str) -> Request {
        Request {
            messages: vec![Message::user(text)],
            max_new_tokens: 4,
            max_thinking_tokens: None,
            sampling: Sampling::GREEDY,
        }
    }

    #[test]
    fn every_call_is_counted_and_the_ledger_adds_up() {
        let ledger = Ledger::new();
        let model = ScriptedModel::new(|request| format!("{}!", request.messages[0].content));
        let worker = Metered::new(Arc::new(model), ModelRole::Worker, ledger.clone(), CancelToken::new());
        for text in ["one", "two words"] {
            block_on(worker.complete(request(text))).unwrap();
        }
        let line = ledger.line(ModelRole::Worker);
        assert_eq!((line.calls, line.computed, line.failed), (2, 2, 0));
        assert_eq!(line.prefilled_tokens + line.reused_tokens, 3);
        assert_eq!(ledger.line(ModelRole::Judge), LedgerLine::default());
    }

    #[test]
    fn nothing_starts_after_a_cancellation() {
        let (ledger, cancel) = (Ledger::new(), CancelToken::new());
        let model = ScriptedModel::new(|_| "text".to_string());
        let worker = Metered::new(Arc::new(model), ModelRole::Worker, ledger.clone(), cancel.clone());
        cancel.cancel();
        assert!(matches!(block_on(worker.complete(request("x"))), Err(ChatError::Cancelled)));
        assert_eq!(ledger.line(ModelRole::Worker).calls, 0);
    }
}
