//! The model that looks before it asks.

use super::record::{Answer, Call};
use crate::base::Digest;
use crate::chat::{ChatError, ChatModel, Completion, ModelIdentity, Origin, Request, Scores};
use crate::store::{CallRow, Store};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

type Outcome = Result<Arc<Answer>, ChatError>;

/// A model whose answers are kept in a [`Store`]. An answer it gives is durable already; an error is never kept.
pub struct CachedModel {
    inner: Arc<dyn ChatModel>,
    store: Arc<Store>,
    identity: ModelIdentity,
    flights: Arc<Flights>,
}

/// The questions under way: as many entries as there are open calls, and none that outlives them.
#[derive(Default)]
struct Flights {
    open: Mutex<HashMap<Digest, Flight>>,
}

/// One question under way. Whoever asks it too polls the same future, so it goes on when the first to ask goes away, and is
/// dropped with the last.
#[derive(Clone)]
struct Flight {
    outcome: WeakShared<BoxFuture<'static, Outcome>>,
    /// Set by the first to take the answer, who is billed for it.
    billed: Arc<AtomicBool>,
}

/// Takes a question off the list when its future ends or is dropped.
struct Landing {
    flights: Arc<Flights>,
    key: Digest,
    billed: Arc<AtomicBool>,
}

impl CachedModel {
    /// Puts `store` before `inner`.
    pub fn new(inner: Arc<dyn ChatModel>, store: Arc<Store>) -> Self {
        let identity = inner.identity();
        Self { inner, store, identity, flights: Arc::default() }
    }

    /// How many questions are under way.
    #[cfg(test)]
    pub(super) fn under_way(&self) -> usize {
        self.flights.open.lock().unwrap().len()
    }

    async fn answer(&self, call: Call) -> Result<Answer, ChatError> {
        let (flight, billed) = self.join(call);
        let mut answer = Answer::clone(flight.await?.as_ref());
        if matches!(answer.origin(), Origin::Model) && billed.swap(true, Ordering::SeqCst) {
            answer.set_origin(Origin::Shared);
        }
        Ok(answer)
    }

    /// The future of this question: the one under way, or a new one.
    fn join(&self, call: Call) -> (Shared<BoxFuture<'static, Outcome>>, Arc<AtomicBool>) {
        let request = call.json();
        let key = call.key(&self.identity.digest, &request);
        let mut open = self.flights.open.lock().expect("no thread panics while it holds the list");
        if let Some(flight) = open.get(&key)
            && let Some(outcome) = flight.outcome.upgrade()
        {
            return (outcome, Arc::clone(&flight.billed));
        }
        let billed = Arc::new(AtomicBool::new(false));
        let landing = Landing { flights: Arc::clone(&self.flights), key, billed: Arc::clone(&billed) };
        let outcome =
            fly(Arc::clone(&self.inner), Arc::clone(&self.store), self.identity.digest, call, request, landing)
                .boxed()
                .shared();
        let weak = outcome.downgrade().expect("a future that was never polled is not finished");
        open.insert(key, Flight { outcome: weak, billed: Arc::clone(&billed) });
        (outcome, billed)
    }
}

/// Looks the answer up, or asks the model and makes its answer durable.
async fn fly(
    inner: Arc<dyn ChatModel>,
    store: Arc<Store>,
    model: Digest,
    call: Call,
    request: String,
    landing: Landing,
) -> Outcome {
    let key = landing.key;
    let storage = |error: crate::store::StoreError| ChatError::Storage(error.to_string());
    if let Some(stored) = store.reader().call(&key).map_err(storage)? {
        let mut answer = call.parse(&stored).ok_or_else(|| {
            ChatError::Storage(format!("{} holds an unreadable answer for key {key}", store.reader().path().display()))
        })?;
        answer.set_origin(Origin::Cache);
        return Ok(Arc::new(answer));
    }
    let kind = call.kind();
    let mut answer = match call {
        Call::Complete(request) => Answer::Completion(inner.complete(request).await?),
        Call::Score(request, answers) => Answer::Scores(inner.score(request, answers).await?),
    };
    answer.set_origin(Origin::Model);
    store.put_call(CallRow { key, kind, model, request, response: answer.json() }).await.map_err(storage)?;
    Ok(Arc::new(answer))
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut open = self.flights.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The place may belong to a later flight with the same question already.
        if open.get(&self.key).is_some_and(|flight| Arc::ptr_eq(&flight.billed, &self.billed)) {
            open.remove(&self.key);
        }
    }
}

impl ChatModel for CachedModel {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        async move {
            match self.answer(Call::Complete(request)).await? {
                Answer::Completion(completion) => Ok(completion),
                Answer::Scores(_) => unreachable!("the answer to a completion is a completion"),
            }
        }
        .boxed()
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async move {
            match self.answer(Call::score(request, answers)).await? {
                Answer::Scores(scores) => Ok(scores),
                Answer::Completion(_) => unreachable!("the answer to a score is a score"),
            }
        }
        .boxed()
    }

    fn identity(&self) -> ModelIdentity {
        self.identity.clone()
    }
}
