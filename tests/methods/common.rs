//! What holds for every method: equal runs are equal, an interrupted run resumes to the same
//! result, and no limit is ever exceeded.

use super::world::{Collector, World};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use maspo::base::Digest;
use maspo::cache::CachedModel;
use maspo::chat::{Budget, BudgetOptions, ChatError, ChatModel, ModelRole};
use maspo::journal::{Journal, RunInfo, read};
use maspo::method::{Feedback, MethodKind, run};
use maspo::search::{Event, EventSink, GateMode, SearchError, SearchResult, Stopped};
use maspo::store::Store;
use proptest::prelude::*;
use std::sync::Arc;

/// A world in which every method has something to do.
fn world() -> World {
    World::pair(6).with(|world| {
        world.writes_anything = true;
        world.likes = vec![("p1", 1.0), ("p2", -1.0), ("p3", 0.5), ("p4", 0.3)];
        world.right = Some(|answer| answer.len().is_multiple_of(2));
        (world.options.search.batch, world.options.search.steps) = (3, 2);
        (world.methods.trials, world.methods.instructions) = (5, 3);
        (world.methods.rounds, world.methods.epochs) = (2, 1);
        world.methods.startup = 2;
    })
}

/// The methods that call models before the evaluation; two of them by labels, too.
fn searching() -> Vec<(MethodKind, World)> {
    let labelled = || world().with(|world| world.methods.feedback = Feedback::Labels);
    let gated = world().with(|world| {
        (world.options.search.gate, world.options.search.gate_alpha) = (GateMode::Anytime, 0.5);
    });
    vec![
        (MethodKind::Maspo, world()),
        (MethodKind::Maspo, gated),
        (MethodKind::Random, world()),
        (MethodKind::Spo, world()),
        (MethodKind::Tpe, world()),
        (MethodKind::Tpe, labelled()),
        (MethodKind::Gepa, world()),
        (MethodKind::Gepa, labelled()),
        (MethodKind::AgentDropout, world()),
    ]
}

#[test]
fn equal_runs_are_equal_in_whatever_order_answers_arrive() {
    for (method, world) in searching() {
        let first = world.run(method);
        assert_eq!(SearchResult::from_events(&first.events).as_ref(), Some(first.result()), "{method:?}");
        assert!(first.result().finished && first.result().stopped.is_none());
        for shuffle in 1..4 {
            let again = world.clone().with(|world| world.shuffle = shuffle).run(method);
            assert_eq!(again.result().result_hash(), first.result().result_hash(), "{method:?}");
            assert_eq!(again.spent, first.spent, "{method:?}");
        }
        let other = world.clone().with(|world| world.seed = maspo::base::Seed(9)).run(method);
        assert_ne!(other.result().result_hash(), first.result().result_hash(), "{method:?}");
    }
}

/// A sink that fails after a number of events, as if the process were killed.
struct Killed<'a>(&'a mut Journal, usize);

impl EventSink for Killed<'_> {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        if self.1 == 0 {
            return async { Err(ChatError::Cancelled) }.boxed();
        }
        self.1 -= 1;
        self.0.emit(event)
    }
}

#[test]
fn an_interrupted_run_resumes_to_the_same_result() {
    let info = RunInfo { name: "tiny".into(), settings: Digest::of(b"s"), arguments: vec![] };
    for (method, world) in searching() {
        let world = world.with(|world| world.budget.calls = Some(150));
        let whole = world.run(method);
        let input = |store: &Arc<Store>| {
            let cached =
                |model: Arc<dyn ChatModel>| -> Arc<dyn ChatModel> { Arc::new(CachedModel::new(model, store.clone())) };
            let models = [cached(world.worker()), cached(world.optimizer()), cached(world.judge())];
            world.input(method, models, Budget::new(world.budget.clone()))
        };
        for after in [1, whole.events.len() / 2, whole.events.len() - 1] {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(Store::open(dir.path()).unwrap());
            let mut journal = block_on(Journal::begin(store.clone(), &info)).unwrap();
            let stopped = block_on(run(input(&store), &mut Killed(&mut journal, after)));
            assert!(matches!(stopped, Err(SearchError::Cancelled)), "{method:?}");
            let mut journal = Journal::resume(store.clone(), &info).unwrap();
            let result = block_on(run(input(&store), &mut journal)).unwrap();
            assert!(result == *whole.result(), "{method:?} after {after}");
            assert_eq!(read(dir.path()).unwrap().unwrap().events, whole.events);
        }
    }
}

#[test]
fn what_is_stopped_by_the_clock_has_a_result_and_says_so() {
    for (method, world) in searching() {
        let ran = world.with(|world| world.budget.seconds = Some(0.0)).run(method);
        let result = ran.result();
        assert_eq!((result.stopped, result.finished), (Some(Stopped::Clock), true), "{method:?}");
        assert_eq!(result.prompts, result.seed_prompts, "{method:?}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let ran = world().with(|world| world.budget.stop_file = Some(file.path().into())).run(MethodKind::Spo);
    assert_eq!(ran.result().stopped, Some(Stopped::Clock));
}

#[test]
fn a_budget_stops_maspo_and_part_of_it_is_kept_for_the_final_check() {
    let whole = world().run(MethodKind::Maspo);
    let calls: u64 = whole.spent.iter().map(|spent| spent.calls).sum();
    let budget = BudgetOptions { calls: Some(calls as usize / 2), ..BudgetOptions::default() };
    let ran = world().with(|world| world.budget = budget).run(MethodKind::Maspo);
    let result = ran.result();
    assert_eq!(result.stopped, Some(Stopped::Budget));
    assert!(!result.steps.is_empty() && result.steps.len() < whole.result().steps.len());
    assert_eq!(result.steps[..], whole.result().steps[..result.steps.len()], "the steps that fit are the same");
    assert!(result.final_check.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_limit_is_exceeded_and_the_result_does_not_depend_on_the_order(
        which in 0_usize..9,
        role in 0_usize..4,
        calls in proptest::option::of(1_usize..200),
        tokens in proptest::option::of(1_usize..60_000),
        shuffle in 1_u64..1000,
    ) {
        let (method, world) = searching().swap_remove(which);
        let mut budget = BudgetOptions::default();
        match role {
            0 => (budget.worker_calls, budget.worker_tokens) = (calls, tokens),
            1 => (budget.optimizer_calls, budget.optimizer_tokens) = (calls, tokens),
            2 => (budget.judge_calls, budget.judge_tokens) = (calls, tokens),
            _ => (budget.calls, budget.tokens) = (calls, tokens),
        }
        let world = world.with(|world| world.budget = budget);
        let ran = world.run(method);
        let taken = match role {
            3 => ran.spent.iter().fold(Default::default(), |sum: maspo::chat::Spent, spent| sum.plus(*spent)),
            role => ran.spent[role],
        };
        prop_assert!(calls.is_none_or(|most| taken.calls <= most as u64), "{taken:?}");
        prop_assert!(tokens.is_none_or(|most| taken.tokens <= most as u64), "{taken:?}");
        // What the models saw is what was charged for.
        let seen = [&ran.worker, &ran.optimizer, &ran.judge].map(|requests| requests.len() as u64);
        prop_assert_eq!(seen, ran.spent.map(|spent| spent.calls));
        let result = ran.result();
        prop_assert!(result.finished);
        let again = world.with(|world| world.shuffle = shuffle).run(method);
        prop_assert_eq!(again.result().result_hash(), result.result_hash());
        prop_assert_eq!(again.result().stopped, result.stopped);
    }
}

#[test]
fn cached_answers_count_as_much_as_computed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let world = world();
    let spent = || {
        let cached =
            |model: Arc<dyn ChatModel>| -> Arc<dyn ChatModel> { Arc::new(CachedModel::new(model, store.clone())) };
        let models = [cached(world.worker()), cached(world.optimizer()), cached(world.judge())];
        let budget = Budget::default();
        block_on(run(world.input(MethodKind::Tpe, models, budget.clone()), &mut Collector::default())).unwrap();
        ModelRole::ALL.map(|role| budget.spent(role))
    };
    let computed = spent();
    assert!(computed.iter().all(|spent| spent.calls > 0 && spent.tokens > 0));
    assert_eq!(spent(), computed);
}
