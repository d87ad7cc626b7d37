//! A model behind the response cache: it looks an answer up before it calls the model.

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

/// A model whose answers are kept in a [`Store`]. Every answer is durable before it is returned; an
/// error is never stored.
pub struct CachedModel {
    inner: Arc<dyn ChatModel>,
    store: Arc<Store>,
    identity: ModelIdentity,
    in_flight: Arc<InFlightCalls>,
}

/// The calls in flight: one entry per distinct open call, removed when the call ends.
#[derive(Default)]
struct InFlightCalls {
    open: Mutex<HashMap<Digest, InFlightCall>>,
}

/// One call in flight. Identical calls poll the same future, so it continues when the first caller
/// is dropped, and is dropped with the last one.
#[derive(Clone)]
struct InFlightCall {
    outcome: WeakShared<BoxFuture<'static, Outcome>>,
    /// Whether some caller has taken the answer already; the first one is billed for it.
    billed: Arc<AtomicBool>,
}

/// Removes a call from the calls in flight when its future ends or is dropped.
struct InFlightGuard {
    in_flight: Arc<InFlightCalls>,
    key: Digest,
    billed: Arc<AtomicBool>,
}

impl CachedModel {
    /// A model that answers from `store` and calls `inner` for what is not stored.
    pub fn new(inner: Arc<dyn ChatModel>, store: Arc<Store>) -> Self {
        let identity = inner.identity();
        Self { inner, store, identity, in_flight: Arc::default() }
    }

    /// The number of calls in flight.
    #[cfg(test)]
    pub(super) fn in_flight_count(&self) -> usize {
        self.in_flight.open.lock().unwrap().len()
    }

    async fn answer(&self, call: Call) -> Result<Answer, ChatError> {
        let (outcome, billed) = self.join(call);
        let mut answer = Answer::clone(outcome.await?.as_ref());
        if matches!(answer.origin(), Origin::Model) && billed.swap(true, Ordering::SeqCst) {
            answer.set_origin(Origin::Shared);
        }
        Ok(answer)
    }

    /// The future of this call: the one in flight, or a new one.
    fn join(&self, call: Call) -> (Shared<BoxFuture<'static, Outcome>>, Arc<AtomicBool>) {
        let request = call.json();
        let key = call.key(&self.identity.digest, &request);
        let mut open = self.in_flight.open.lock().expect("no thread panics while it holds the list");
        if let Some(entry) = open.get(&key)
            && let Some(outcome) = entry.outcome.upgrade()
        {
            return (outcome, Arc::clone(&entry.billed));
        }
        let billed = Arc::new(AtomicBool::new(false));
        let guard = InFlightGuard { in_flight: Arc::clone(&self.in_flight), key, billed: Arc::clone(&billed) };
        let outcome =
            fetch(Arc::clone(&self.inner), Arc::clone(&self.store), self.identity.digest, call, request, guard)
                .boxed()
                .shared();
        let weak = outcome.downgrade().expect("a future that was never polled is not finished");
        open.insert(key, InFlightCall { outcome: weak, billed: Arc::clone(&billed) });
        (outcome, billed)
    }
}

/// Looks the answer up, or calls the model and makes its answer durable.
async fn fetch(
    inner: Arc<dyn ChatModel>,
    store: Arc<Store>,
    model: Digest,
    call: Call,
    request: String,
    guard: InFlightGuard,
) -> Outcome {
    let key = guard.key;
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

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut open = self.in_flight.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The entry may already belong to a later call with the same key.
        if open.get(&self.key).is_some_and(|entry| Arc::ptr_eq(&entry.billed, &self.billed)) {
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

    fn members(&self) -> Vec<Arc<dyn ChatModel>> {
        let cached = |model| -> Arc<dyn ChatModel> { Arc::new(Self::new(model, Arc::clone(&self.store))) };
        self.inner.members().into_iter().map(cached).collect()
    }
}
