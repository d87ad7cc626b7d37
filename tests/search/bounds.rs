//! The bounds of a run: what ends it, and that it never takes more than its plan.

use crate::world::{Collector, World, agent};
use expect_test::expect;
use maspo::base::{CancelToken, Seed};
use maspo::chat::ModelRole;
use maspo::graph::{EdgeView, hierarchical, sequential};
use maspo::judge::JudgeMode;
use maspo::search::{Event, GateMode, Schedule, SearchError, plan};
use proptest::prelude::*;

/// A world whose optimizer always proposes new prompts and whose judge prefers some digits to
/// others.
pub(crate) fn eventful_world(shape: usize, seed: u64) -> World {
    let mut world = World::chain("abc", 5);
    let view = [EdgeView::Raw, EdgeView::Summary, EdgeView::Extracted][shape % 3];
    world.edges = sequential(3, view);
    if shape >= 3 {
        // Three specialists read the query; d sums up.
        world.agents = ["a1", "a2", "a3", "d"].map(|name| agent(name, true)).into();
        world.edges = hierarchical(4, view);
    }
    world.seed = Seed(seed);
    world.default_reply = "<prompt>xSEED:</prompt>".into();
    (world.options.search.rounds, world.options.search.steps) = (2, 2);
    (world.options.search.batch, world.options.search.final_check) = (3, 4);
    for role in ["a", "b", "c", "a1", "a2", "a3", "d"] {
        for digit in 0..10_u32 {
            let preferences =
                f64::from((digit * 7 + u32::from(role.as_bytes()[role.len() - 1]) * 3 + seed as u32 % 13) % 5) - 2.0;
            world = world.prefers(role, digit.to_string(), preferences);
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_run_takes_more_calls_or_tokens_than_its_plan(
        shape in 0_usize..6,
        seed in 0_u64..1000,
        (beam, candidates, depth) in (1_usize..4, 1_usize..4, 1_usize..3),
        (rubrics, both, text) in (0_usize..3, any::<bool>(), any::<bool>()),
        (sequential, refresh, gate) in (any::<bool>(), any::<bool>(), any::<bool>()),
    ) {
        let world = eventful_world(shape, seed).with(|world| {
            let options = &mut world.options;
            (options.search.beam, options.search.candidates, options.search.refresh) = (beam, candidates, refresh);
            options.search.schedule = if sequential { Schedule::Sequential } else { Schedule::Interleaved };
            options.reward.lookahead_depth = depth;
            options.judge.rubrics = vec!["Be strict.".into(); rubrics];
            options.judge.both_orders = both;
            if gate {
                options.search.gate = GateMode::Anytime;
                options.search.gate_alpha = 0.5;
                world.pool = (0..24).map(|at| format!("q{at}").into()).collect();
            }
            if text {
                options.judge.mode = JudgeMode::Text;
                world.judge_reply = "<choose>A</choose>".into();
            }
        });
        let plan = plan(&world.graph(), &world.options, world.pool.len());
        let ran = world.run();
        let result = ran.result();
        prop_assert_eq!(result.plan, plan);
        prop_assert_eq!(result.steps.len(), plan.steps);
        let bounds = [plan.worker, plan.optimizer, plan.judge];
        for (role, bound) in ModelRole::ALL.into_iter().zip(bounds) {
            let line = ran.ledger.line(role);
            prop_assert!(line.calls <= bound.calls, "{role:?}: {} > {}", line.calls, bound.calls);
            prop_assert!(line.calls > 0, "{role:?} has something to do");
        }
        prop_assert_eq!(ran.ledger.line(ModelRole::Optimizer).calls, plan.optimizer.calls);
    }
}

#[test]
fn the_plan_of_a_chain_by_hand() {
    // a → b → c, c alone optimized: one round, two steps, K = 2, Ksub = 2, |B| = 4, final check 4.
    let world = World::chain("c", 4).with(|world| world.options.search.steps = 2);
    let plan = plan(&world.graph(), &world.options, 4);
    // Worker: 4·3 + 4·2, then 4·3 + 4·(1 + 4), and 2·4·3 at the end; judge in both orders: 2·(4·2 +
    // 4·4) and 2·4.
    assert_eq!((plan.worker.calls, plan.optimizer.calls, plan.judge.calls), (20 + 32 + 24, 2 + 4, 48 + 8));
    assert_eq!((plan.worker.new_tokens, plan.judge.new_tokens), (16 * 76, 0));
}

#[test]
fn a_pool_smaller_than_the_batch_is_used_whole() {
    let ran = World::chain("a", 3).with(|world| world.options.search.batch = 10).run();
    assert_eq!((ran.result().batch, ran.result().pool, ran.step(0).batch.as_slice()), (3, 3, &[0, 1, 2][..]));
}

#[test]
fn input_that_cannot_be_searched_is_refused_before_any_call() {
    let check = |change: fn(&mut World), expected: expect_test::Expect| {
        let ran = World::chain("a", 3).with(change).run();
        expected.assert_eq(&ran.result.expect_err("it is refused").to_string());
        assert!(ran.events.is_empty() && ran.worker.is_empty());
    };
    check(|world| world.pool.clear(), expect!["the pool has no queries"]);
    check(|world| world.options.search.beam = 0, expect!["`search.beam` is 0; it must be at least 1"]);
    check(|world| world.options.search.final_check = 0, expect!["`search.final_check` is 0; it must be at least 1"]);
    check(
        |world| world.agents[0].optimize = false,
        expect!["no agent may be optimized; set `optimize = true` for at least one"],
    );
}

#[test]
fn an_event_that_cannot_be_stored_ends_the_run_before_it_takes_effect() {
    let world = World::chain("a", 3).proposes([1, 0, 1, 0, 0], "a1: {question}");
    let mut sink = Collector { fail_at: Some(|event| matches!(event, Event::Proposed(_))), ..Collector::default() };
    let ran = world.run_into(&mut sink);
    assert!(matches!(&ran.result, Err(SearchError::Chat(error)) if error.to_string().contains("disk full")));
    assert_eq!((ran.worker_calls("a0: "), ran.worker_calls("a1: ")), (3, 0));
}

#[test]
fn a_cancelled_run_ends_and_a_second_run_emits_the_same_events() {
    let whole = eventful_world(0, 3).run();
    let cancel = CancelToken::new();
    let world = eventful_world(0, 3).with(|world| world.cancel = cancel.clone());
    let mut steps = 0;
    let stop = move |event: &Event| {
        steps += usize::from(matches!(event, Event::Step(_)));
        if steps == 3 {
            cancel.cancel();
        }
    };
    let ran = world.run_into(&mut Collector { after: Some(Box::new(stop)), ..Collector::default() });
    assert!(matches!(ran.result, Err(SearchError::Cancelled)));
    assert!(ran.events.len() < whole.events.len());
    assert_eq!(ran.events[..], whole.events[..ran.events.len()]);
}
