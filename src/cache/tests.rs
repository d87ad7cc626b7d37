//! Tests of the cache: cached answers equal uncached ones, identical calls are made once, and a
//! dropped call affects no other caller.

use super::CachedModel;
use crate::base::{CancelToken, Digest};
use crate::chat::{
    ChatError, ChatModel, Completion, Ledger, Message, Metered, ModelIdentity, ModelRole, Origin, Request, Sampling,
    Scores, ScriptedModel, Usage,
};
use crate::store::{Reader, Store};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::future::{BoxFuture, join_all};
use proptest::prelude::*;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

fn request(text: &str) -> Request {
    Request {
        messages: vec![Message::user(text)],
        max_new_tokens: 4,
        max_thinking_tokens: None,
        sampling: Sampling::GREEDY,
    }
}

fn open(dir: &Path, model: &Arc<ScriptedModel>) -> CachedModel {
    CachedModel::new(Arc::<ScriptedModel>::clone(model), Arc::new(Store::open(dir).unwrap()))
}

/// Log-probabilities that are hard to write as text: subnormal, with many digits, minus infinity.
fn awkward(text: &str, answers: &[String]) -> Vec<f64> {
    let value = |answer: &String| {
        let bits = u64::from_le_bytes(Digest::of(format!("{text}|{answer}").as_bytes()).0[..8].try_into().unwrap());
        let value = -f64::from_bits(bits).abs();
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    };
    answers.iter().map(value).collect()
}

fn echo() -> Arc<ScriptedModel> {
    let model = ScriptedModel::new(|r| format!("<{}> {:?}", r.messages[0].content, r.sampling));
    Arc::new(model.with_scores(|r, answers| awkward(&r.messages[0].content, answers)))
}

#[derive(Clone, Debug)]
enum Ask {
    Complete(Request),
    Score(Request, Vec<String>),
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let text = prop_oneof!["[ab]{0,2}", "\\PC{0,8}"];
    let sampling = prop_oneof![Just(Sampling::GREEDY), (0_u64..3).prop_map(|seed| Sampling::at(0.7, seed))];
    let request = (text.clone(), 1_usize..3, sampling).prop_map(|(text, max_new_tokens, sampling)| Request {
        messages: vec![Message::user(text)],
        max_new_tokens,
        max_thinking_tokens: None,
        sampling,
    });
    let ask = prop_oneof![
        request.clone().prop_map(Ask::Complete),
        (request, prop::collection::vec(text, 1..3)).prop_map(|(request, answers)| Ask::Score(request, answers)),
    ];
    prop::collection::vec(ask, 1..24)
}

/// The parts of a call that its key depends on; a score ignores the sampling options.
fn distinguishing(ask: &Ask) -> String {
    match ask {
        Ask::Complete(request) => format!("{request:?}"),
        Ask::Score(request, answers) => format!("{:?} {answers:?}", request.messages),
    }
}

/// Compares everything but the origin, and floats by their bits.
fn answers(model: &dyn ChatModel, asks: &[Ask]) -> Vec<(String, Vec<u64>, usize, usize)> {
    block_on(join_all(asks.iter().map(|ask| async {
        match ask.clone() {
            Ask::Complete(request) => {
                let Completion { text, usage, .. } = model.complete(request).await.unwrap();
                (text, vec![], usage.prompt_tokens, usage.new_tokens)
            }
            Ask::Score(request, answers) => {
                let Scores { logprobs, usage } = model.score(request, answers).await.unwrap();
                let bits = logprobs.into_iter().map(f64::to_bits).collect();
                (String::new(), bits, usage.prompt_tokens, usage.new_tokens)
            }
        }
    })))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cached_equals_uncached_bit_for_bit(asks in asks()) {
        let plain = answers(echo().as_ref(), &asks);
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (echo(), echo());
        prop_assert_eq!(&answers(&open(dir.path(), &first), &asks), &plain);
        prop_assert_eq!(&answers(&open(dir.path(), &second), &asks), &plain);
        prop_assert!(second.seen().is_empty(), "the second run asked the model");
        let distinct: std::collections::BTreeSet<_> = asks.iter().map(distinguishing).collect();
        prop_assert_eq!(first.seen().len(), distinct.len(), "equal questions are one");
    }
}

#[test]
fn only_what_decides_the_answer_is_in_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let model = echo();
    let cached = open(dir.path(), &model);
    let ask = |r: Request| block_on(cached.complete(r)).unwrap().usage.origin;
    let warm = Request { sampling: Sampling::at(0.7, 1), ..request("a") };
    assert_eq!(ask(request("a")), Origin::Model);
    assert_eq!(ask(request("a")), Origin::Cache);
    assert_eq!(ask(warm.clone()), Origin::Model);
    assert_eq!(ask(Request { sampling: Sampling::at(0.7, 2), ..warm.clone() }), Origin::Model);
    assert_eq!(ask(Request { max_new_tokens: 5, ..request("a") }), Origin::Model);
    assert_eq!(ask(Request { max_thinking_tokens: Some(2), ..request("a") }), Origin::Model);
    let score = |r: Request, answers: &[&str]| {
        block_on(cached.score(r, answers.iter().map(ToString::to_string).collect())).unwrap().usage.origin
    };
    assert_eq!(score(request("a"), &["A", "B"]), Origin::Model);
    assert_eq!(score(warm, &["A", "B"]), Origin::Cache, "a score does not sample");
    assert_eq!(score(request("a"), &["B", "A"]), Origin::Model);
}

#[test]
fn answers_of_one_model_are_not_used_for_another() {
    struct Named(Arc<ScriptedModel>, &'static str);
    impl ChatModel for Named {
        fn complete(&self, request: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
            self.0.complete(request)
        }
        fn score(&self, request: Request, answers: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
            self.0.score(request, answers)
        }
        fn identity(&self) -> ModelIdentity {
            ModelIdentity { name: "same name".into(), digest: Digest::of(self.1.as_bytes()) }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let model = |text: &'static str| {
        let inner = Named(Arc::new(ScriptedModel::new(move |_| text.to_string())), text);
        CachedModel::new(Arc::new(inner), Arc::clone(&store))
    };
    let (old, new) = (model("old"), model("new"));
    assert_eq!(block_on(old.complete(request("x"))).unwrap().text, "old");
    assert_eq!(block_on(new.complete(request("x"))).unwrap().text, "new");
    assert_eq!(block_on(old.complete(request("x"))).unwrap().text, "old");
}

/// A model that answers each call when the test says so.
#[derive(Default)]
struct Gated(Mutex<Vec<oneshot::Sender<Result<&'static str, ChatError>>>>);

impl Gated {
    fn calls(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn reply(&self, answer: Result<&'static str, ChatError>) {
        self.0.lock().unwrap().pop().expect("a call is under way").send(answer).expect("and someone waits for it");
    }
}

impl ChatModel for Gated {
    fn complete(&self, _: Request) -> BoxFuture<'_, Result<Completion, ChatError>> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap().push(sender);
        async move {
            let text = receiver.await.expect("the test replies")?;
            let usage = Usage { prompt_tokens: 3, reused_tokens: 1, new_tokens: 2, origin: Origin::Model };
            Ok(Completion::of(text, usage))
        }
        .boxed()
    }

    fn score(&self, _: Request, _: Vec<String>) -> BoxFuture<'_, Result<Scores, ChatError>> {
        async { Err(ChatError::Model("these tests score nothing".into())) }.boxed()
    }

    fn identity(&self) -> ModelIdentity {
        ModelIdentity { name: "gated".into(), digest: Digest::of(b"gated") }
    }
}

fn gated(dir: &Path) -> (Arc<Gated>, CachedModel) {
    let model = Arc::new(Gated::default());
    let cached = CachedModel::new(Arc::<Gated>::clone(&model), Arc::new(Store::open(dir).unwrap()));
    (model, cached)
}

fn poll<T>(future: &mut BoxFuture<'_, T>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn identical_calls_in_flight_are_made_once_and_billed_once() {
    let dir = tempfile::tempdir().unwrap();
    let (model, cached) = gated(dir.path());
    let ledger = Ledger::new();
    let worker = Metered::new(Arc::new(cached), ModelRole::Worker, ledger.clone(), CancelToken::new());
    let mut all: Vec<_> = (0..5).map(|_| worker.complete(request("same"))).collect();
    assert!(all.iter_mut().all(|future| poll(future).is_pending()));
    assert_eq!(model.calls(), 1);
    model.reply(Ok("answer"));
    let texts: Vec<_> = block_on(join_all(all)).into_iter().map(|c| c.unwrap().text).collect();
    assert_eq!(texts, ["answer"; 5]);
    let line = ledger.line(ModelRole::Worker);
    assert_eq!((line.calls, line.computed, line.shared, line.cached), (5, 1, 4, 0));
    assert_eq!((line.prefilled_tokens, line.reused_tokens, line.decoded_tokens), (2, 1, 2));
}

#[test]
fn the_others_get_the_answer_if_the_first_caller_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (model, cached) = gated(dir.path());
    let mut first = cached.complete(request("same"));
    assert!(poll(&mut first).is_pending());
    let cached = &cached;
    let (second, third) = block_on(async {
        let others = futures::future::join(cached.complete(request("same")), cached.complete(request("same")));
        let end = async {
            drop(first);
            model.reply(Ok("answer"));
        };
        futures::future::join(others, end).await.0
    });
    let origins = [second.unwrap().usage.origin, third.unwrap().usage.origin];
    assert_eq!(origins, [Origin::Model, Origin::Shared], "the answer is still billed once");
    assert_eq!(block_on(cached.complete(request("same"))).unwrap().usage.origin, Origin::Cache);
}

#[test]
fn a_call_that_every_caller_dropped_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (model, cached) = gated(dir.path());
    let (mut first, mut second) = (cached.complete(request("same")), cached.complete(request("same")));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(first);
    drop(second);
    let mut third = cached.complete(request("same"));
    assert!(poll(&mut third).is_pending());
    assert_eq!(model.calls(), 2);
    model.reply(Ok("answer"));
    assert_eq!(block_on(third).unwrap().usage.origin, Origin::Model);
}

#[test]
fn an_error_reaches_all_waiting_callers_and_is_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (model, cached) = gated(dir.path());
    let mut all: Vec<_> = (0..3).map(|_| cached.complete(request("long"))).collect();
    assert!(all.iter_mut().all(|future| poll(future).is_pending()));
    model.reply(Err(ChatError::Overflow { prompt_tokens: 9, new_tokens: 1, limit: 8 }));
    for outcome in block_on(join_all(all)) {
        assert!(matches!(outcome, Err(ChatError::Overflow { prompt_tokens: 9, .. })));
    }
    assert_eq!(Reader::open(dir.path()).unwrap().call_count().unwrap(), 0);
    let mut again = cached.complete(request("long"));
    assert!(poll(&mut again).is_pending());
    model.reply(Ok("short"));
    assert_eq!(block_on(again).unwrap().text, "short");
}

#[test]
fn calls_in_flight_are_removed_when_they_end() {
    let dir = tempfile::tempdir().unwrap();
    let model = echo();
    let cached = open(dir.path(), &model);
    block_on(join_all((0..50).map(|i| cached.complete(request(&i.to_string())))));
    assert_eq!(cached.in_flight_count(), 0);
}

#[test]
fn an_answer_that_cannot_be_made_durable_is_not_returned() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open_limited(dir.path(), Some(12)).unwrap());
    let model = Arc::new(ScriptedModel::new(|_| "x".repeat(10_000)));
    let cached = CachedModel::new(Arc::<ScriptedModel>::clone(&model), Arc::clone(&store));
    let outcomes: Vec<_> = (0..20).map(|i| block_on(cached.complete(request(&i.to_string())))).collect();
    let given = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
    assert!(given > 0 && given < 20);
    assert_eq!(store.reader().call_count().unwrap(), given as u64);
    for outcome in &outcomes[given..] {
        let Err(ChatError::Storage(text)) = outcome else { panic!("{outcome:?}") };
        assert!(text.starts_with("no space is left for "), "{text}");
    }
}

#[test]
fn the_stored_call_is_readable() {
    let dir = tempfile::tempdir().unwrap();
    let cached = open(dir.path(), &Arc::new(ScriptedModel::new(|_| "yes".into())));
    block_on(cached.complete(request("well?"))).unwrap();
    block_on(cached.score(request("well?"), vec!["A".into(), "B".into()])).unwrap();
    drop(cached);
    let connection = rusqlite::Connection::open(dir.path().join("run.sqlite")).unwrap();
    let mut statement =
        connection.prepare("SELECT kind || ' ' || request || ' ' || response FROM calls ORDER BY id").unwrap();
    let rows: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    expect_test::expect_file!["golden/calls.txt"].assert_eq(&(rows.join("\n") + "\n"));
}

/// The reasoning is stored beside the content, and what was stored before there was any still
/// reads.
#[test]
fn reasoning_is_stored_beside_the_content() {
    let dir = tempfile::tempdir().unwrap();
    let thinks = |request: &Request| match request.messages[0].content.as_str() {
        "cut" => Completion::cut("so far", Usage::default()),
        _ => Completion { reasoning: Some("why".into()), ..Completion::of("yes", Usage::default()) },
    };
    let model = Arc::new(ScriptedModel::thinking(thinks));
    let cached = open(dir.path(), &model);
    for text in ["well?", "cut"] {
        let first = block_on(cached.complete(request(text))).unwrap();
        let again = block_on(cached.complete(request(text))).unwrap();
        assert_eq!(again.usage.origin, Origin::Cache);
        let parts = |c: &Completion| (c.text.clone(), c.reasoning.clone(), c.cut_in_reasoning, c.finish_reason);
        assert_eq!(parts(&again), parts(&first));
        assert_eq!(first.cut_in_reasoning, text == "cut");
    }
    drop(cached);
    let connection = rusqlite::Connection::open(dir.path().join("run.sqlite")).unwrap();
    let old = r#"{"text":"old","finish_reason":"stop","usage":{"prompt_tokens":1,"reused_tokens":0,"new_tokens":1}}"#;
    connection.execute("UPDATE calls SET response = ?1", [old]).unwrap();
    drop(connection);
    let completion = block_on(open(dir.path(), &model).complete(request("well?"))).unwrap();
    assert_eq!((completion.text.as_str(), completion.reasoning, completion.cut_in_reasoning), ("old", None, false));
}
