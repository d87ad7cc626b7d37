//! A model that computes every distinct request once, in memory: runs with one seed, and test-set
//! evaluations of equal prompts, share answers. Answers are pure functions of the request, so
//! sharing changes no result. It does not change the bill either: an answer comes with the usage
//! that it had when it was computed, so that a run is billed what it would cost alone.

use crate::base::{Digest, digest_json};
use crate::chat::{ChatError, ChatModel, Completion, ModelIdentity, Request, Scores};
use futures::FutureExt;
use futures::future::{BoxFuture, WeakShared, ready};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// The number of answers per generation. An answer takes about 0.3 kB, and there are two
/// generations of completions and two of scores.
const GENERATION: usize = 1 << 19;

/// An answer, or the error of a call.
type Outcome<T> = Result<T, ChatError>;

/// A computed answer, or one in flight. One in flight belongs to those who wait for it: a call that
/// nobody waits for is dropped, because a call that is never polled again could keep others from
/// the engine.
struct Slot<T> {
    answer: OnceLock<T>,
    in_flight: Mutex<Option<WeakShared<BoxFuture<'static, Outcome<T>>>>>,
}

/// A model that remembers its answers.
pub struct Memo {
    model: Arc<dyn ChatModel>,
    completions: Answers<Completion>,
    scores: Answers<Scores>,
    asked: AtomicU64,
    computed: AtomicU64,
}

impl Memo {
    /// A model that has no answers yet and calls `model` for them.
    pub fn new(model: Arc<dyn ChatModel>) -> Self {
        let (asked, computed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { model, completions: Answers::new(GENERATION), scores: Answers::new(GENERATION), asked, computed }
    }

    /// The number of requests so far, and of those that the model computed.
    pub fn counts(&self) -> (u64, u64) {
        (self.asked.load(Ordering::Relaxed), self.computed.load(Ordering::Relaxed))
    }

    fn count(&self, new: bool) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.computed.fetch_add(u64::from(new), Ordering::Relaxed);
    }
}

impl ChatModel for Memo {
    fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        let (key, model) = (digest_json("complete", &request), Arc::clone(&self.model));
        let (answer, new) = self.completions.get(key, || async move { model.complete(request).await }.boxed());
        self.count(new);
        answer
    }

    fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        let (key, model) = (digest_json("score", &(&request.messages, &answers)), Arc::clone(&self.model));
        let (answer, new) = self.scores.get(key, || async move { model.score(request, answers).await }.boxed());
        self.count(new);
        answer
    }

    fn identity(&self) -> ModelIdentity {
        self.model.identity()
    }
}

/// Two generations of answers. When the young one is full it becomes the old one, from which only
/// answers that are used again survive.
struct Answers<T> {
    limit: usize,
    generations: Mutex<[HashMap<Digest, Arc<Slot<T>>>; 2]>,
}

impl<T: Clone + Send + Sync + 'static> Answers<T> {
    fn new(limit: usize) -> Self {
        Self { limit, generations: Mutex::new([HashMap::new(), HashMap::new()]) }
    }

    /// Returns the answer to the request with this digest, and whether the model has to be called.
    fn get(
        &self,
        key: Digest,
        ask: impl FnOnce() -> BoxFuture<'static, Outcome<T>>,
    ) -> (BoxFuture<'static, Outcome<T>>, bool) {
        let slot = self.slot(key);
        if let Some(answer) = slot.answer.get() {
            return (ready(Ok(answer.clone())).boxed(), false);
        }
        let mut in_flight = slot.in_flight.lock().expect("no thread panics while it holds a call");
        if let Some(call) = in_flight.as_ref().and_then(WeakShared::upgrade) {
            return (call.boxed(), false);
        }
        let (call, kept) = (ask(), Arc::clone(&slot));
        let call = async move {
            let answer = call.await?;
            Ok(kept.answer.get_or_init(|| answer).clone())
        };
        let call = call.boxed().shared();
        *in_flight = call.downgrade();
        (call.boxed(), true)
    }

    /// The slot of this digest, which is in the young generation then.
    fn slot(&self, key: Digest) -> Arc<Slot<T>> {
        let mut generations = self.generations.lock().expect("no thread panics while it holds the answers");
        let [young, old] = &mut *generations;
        if let Some(known) = young.get(&key) {
            return Arc::clone(known);
        }
        let new = || Arc::new(Slot { answer: OnceLock::new(), in_flight: Mutex::new(None) });
        let slot = old.get(&key).map_or_else(new, Arc::clone);
        if young.len() >= self.limit {
            *old = std::mem::take(young);
        }
        young.insert(key, Arc::clone(&slot));
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, Sampling, ScriptedModel};
    use futures::executor::block_on;
    use futures::future::join;

    fn request(text: &str) -> Request {
        Request {
            messages: vec![Message::user(text)],
            max_new_tokens: 4,
            max_thinking_tokens: None,
            sampling: Sampling::GREEDY,
        }
    }

    #[test]
    fn equal_requests_are_computed_once() {
        let memo = Memo::new(Arc::new(ScriptedModel::new(|request| request.messages[0].content.to_uppercase())));
        let (one, two) = block_on(join(memo.complete(request("a")), memo.complete(request("a"))));
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(block_on(memo.complete(request("b"))).unwrap().text, "B");
        let scores = |answers: [&str; 2]| block_on(memo.score(request("a"), answers.map(String::from).to_vec()));
        assert_eq!(scores(["A", "B"]).unwrap(), scores(["A", "B"]).unwrap());
        assert_eq!(memo.counts(), (5, 3));
    }

    #[test]
    fn used_answers_survive_and_the_rest_are_dropped() {
        let answers = Answers::new(2);
        let new = |key: &[u8]| {
            let (answer, new) = answers.get(Digest::of(key), || async { Ok(()) }.boxed());
            block_on(answer).unwrap();
            new
        };
        assert!([b"a", b"b", b"c"].map(|key| new(key)).iter().all(|new| *new));
        assert!(!new(b"a"), "it is in the old generation, and moves to the young one");
        assert!(new(b"d"), "the young generation is full and becomes the old one");
        assert!(!new(b"a") && new(b"b"));
    }

    #[test]
    fn a_call_that_nobody_waits_for_is_dropped_and_made_again() {
        let answers = Answers::new(2);
        let held = Arc::new(());
        let never = || {
            let held = Arc::clone(&held);
            async move {
                let _held = held;
                futures::future::pending().await
            }
            .boxed()
        };
        let (mut first, _) = answers.get(Digest::of(b"a"), never);
        let (second, new) = answers.get(Digest::of(b"a"), || unreachable!("the call is under way"));
        assert!(!new && (&mut first).now_or_never().is_none());
        drop(first);
        assert_eq!(Arc::strong_count(&held), 2, "the second caller still waits");
        drop(second);
        assert_eq!(Arc::strong_count(&held), 1, "what the call held is free again");
        let (third, new) = answers.get(Digest::of(b"a"), || async { Ok(7) }.boxed());
        assert!(new && block_on(third).unwrap() == 7);
    }
}
