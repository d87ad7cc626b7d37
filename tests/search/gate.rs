//! The gate: a change is kept only if it is shown to be better on queries that the search never
//! sees, and noise is kept no more often than the error that was allowed.

use crate::world::{RunOutcome, World};
use expect_test::{Expect, expect};
use maspo::base::{AgentId, Seed};
use maspo::judge::JudgeMode;
use maspo::search::{Event, GateEnd, GateMode, SearchResult, plan};

/// A chain whose pool of `pool` queries is half the gate's, in blocks of four.
fn world(optimized: &str, pool: usize) -> World {
    World::chain(optimized, pool).with(|world| {
        (world.options.search.gate, world.options.search.batch) = (GateMode::Anytime, 4);
    })
}

/// a1 is better for a alone; `quality` says how much better the team's answer is.
fn one_change(quality: f64) -> World {
    world("a", 40).proposes([1, 0, 1, 0, 0], "a1: {question}").prefers("a", "a1(", 1.0).prefers("c", "a1(", quality)
}

/// The tests of the gate as lines, and the prompts that are kept.
#[track_caller]
fn check(ran: &RunOutcome, expected: Expect) {
    let result = ran.result();
    let mut text = String::new();
    for test in &result.gate {
        let mean = test.mean.map_or("none".into(), |mean| format!("{mean:.2}"));
        text += &format!(
            "{:?}: {:?} after {}, mean {mean}, at least {:.2}, evidence {:.1} of {:.0}\n",
            test.tested,
            test.ended,
            test.values.len(),
            test.at_least,
            test.evidence,
            test.needed
        );
    }
    let prompts: Vec<_> = result.prompts.iter().map(|(_, prompt)| &prompt.text()[..2]).collect();
    let verdict = result.final_check.as_ref().unwrap().verdict;
    text += &format!("{verdict:?}, kept {}, seed {}", prompts.join(" "), result.kept_seed);
    expected.assert_eq(&text);
}

#[test]
fn a_change_is_kept_if_it_is_shown_to_be_better_and_else_the_seed() {
    check(
        &one_change(1.0).run(),
        expect![[r#"
        Team: Shown after 8, mean 1.00, at least 0.58, evidence 53.4 of 20
        Optimized, kept a1 b0 c0, seed false"#]],
    );
    check(
        &one_change(0.0).run(),
        expect![[r#"
        Team: Hopeless after 16, mean 0.50, at least 0.38, evidence 1.0 of 20
        Unproven, kept a0 b0 c0, seed true"#]],
    );
    check(
        &one_change(-1.0).run(),
        expect![[r#"
        Team: Hopeless after 8, mean 0.00, at least 0.00, evidence 1.0 of 20
        Unproven, kept a0 b0 c0, seed true"#]],
    );
    // Too few queries can show nothing, and nothing is run for them.
    check(
        &one_change(1.0).with(|world| world.options.search.gate_queries = Some(6)).run(),
        expect![[r#"
        Team: Hopeless after 0, mean none, at least 0.00, evidence 1.0 of 20
        Unproven, kept a0 b0 c0, seed true"#]],
    );
}

#[test]
fn an_agents_change_that_does_not_help_is_taken_back() {
    // b1 is better for b alone, and the team does not care.
    let both = || {
        world("ab", 60)
            .proposes([1, 0, 1, 0, 0], "a1: {question}")
            .proposes([1, 1, 1, 0, 0], "b1: {context}")
            .prefers("a", "a1(", 1.0)
            .prefers("b", "b1(", 1.0)
            .prefers("c", "a1(", 1.0)
    };
    let ran = both().run();
    check(
        &ran,
        expect![[r#"
        Team: Shown after 8, mean 1.00, at least 0.58, evidence 53.4 of 20
        Change(AgentId(0)): Shown after 12, mean 1.00, at least 0.60, evidence 564.0 of 80
        Change(AgentId(1)): Hopeless after 24, mean 0.50, at least 0.39, evidence 1.0 of 80
        Part([AgentId(0)]): Shown after 12, mean 1.00, at least 0.60, evidence 564.0 of 80
        Optimized, kept a1 b0 c0, seed false"#]],
    );
    let check_of = ran.result().final_check.clone().unwrap();
    assert_eq!(check_of.kept.as_ref(), Some(&ran.result().prompts));
    assert_eq!(check_of.optimized.get(AgentId(1)).text(), "b1: {context}");
    // Both help: both stay. Neither helps the team: neither stays.
    check(
        &both().prefers("c", "b1(", 1.0).run(),
        expect![[r#"
        Team: Shown after 8, mean 1.00, at least 0.58, evidence 53.4 of 20
        Change(AgentId(0)): Shown after 12, mean 1.00, at least 0.60, evidence 564.0 of 80
        Change(AgentId(1)): Shown after 12, mean 1.00, at least 0.60, evidence 564.0 of 80
        Optimized, kept a1 b1 c0, seed false"#]],
    );
    check(
        &both().prefers("c", "a1(", -1.0).run(),
        expect![[r#"
        Team: Hopeless after 8, mean 0.00, at least 0.00, evidence 1.0 of 20
        Unproven, kept a0 b0 c0, seed true"#]],
    );
}

#[test]
fn the_gate_sees_queries_that_the_search_never_saw() {
    let ran = one_change(1.0).with(|world| (world.options.search.rounds, world.options.search.steps) = (2, 3)).run();
    let result = ran.result();
    let gate: Vec<usize> = result.gate.iter().flat_map(|test| test.batch.clone()).collect();
    let searched: Vec<usize> = result
        .steps
        .iter()
        .map(|step| &step.batch)
        .chain(result.refreshes.iter().map(|refresh| &refresh.batch))
        .flatten()
        .copied()
        .collect();
    assert_eq!((result.held_back, result.batch, gate.is_empty()), (20, 4, false));
    assert!(searched.len() >= 24 && searched.iter().all(|at| !gate.contains(at)));
    assert!(!gate.is_sorted(), "they come in random order");
}

#[test]
fn a_gate_runs_no_team_twice_and_stays_within_its_plan() {
    let world = one_change(1.0);
    let ran = world.run();
    // The changed team runs a1, b0, c0 on eight held-back queries, and so do the seed prompts,
    // beside the four queries of the one step.
    assert_eq!((ran.worker_calls("a1: "), ran.worker_calls("a0: ")), (4 + 8, 4 + 8));
    let plan = plan(&world.graph(), &world.options, 40);
    // Four of the step in the base and twice for candidates, then two teams on 20.
    assert_eq!(plan.worker.calls, 4 * 3 + 2 * 4 * 3 + 2 * 20 * 3);
}

#[test]
fn tests_are_events_and_survive_being_written_and_read() {
    let ran = one_change(1.0).run();
    let kinds = ran.events.iter().filter(|event| matches!(event, Event::GateTest(_))).count();
    assert_eq!(kinds, ran.result().gate.len());
    let text = serde_json::to_string(&ran.events).unwrap();
    let events: Vec<Event> = serde_json::from_str(&text).unwrap();
    assert_eq!(events, ran.events);
    assert_eq!(SearchResult::from_events(&events).as_ref(), Some(ran.result()));
    let again = one_change(1.0).with(|world| world.shuffle = 7).run();
    assert_eq!(again.events, ran.events);
    let mut other = ran.result().clone();
    other.gate[0].evidence += 1.0;
    assert_ne!(other.result_hash(), ran.result().result_hash());
}

#[test]
fn without_it_nothing_of_a_run_mentions_a_gate() {
    let ran = one_change(1.0).with(|world| world.options.search.gate = GateMode::Final).run();
    let text = serde_json::to_string(&ran.events).unwrap();
    assert!(!text.contains("gate") && !text.contains("held_back") && !text.contains("\"kept\""), "{text}");
    let text = serde_json::to_string(&World::chain("a", 4).options.search).unwrap();
    assert!(!text.contains("gate"), "the digest of settings stays as it was: {text}");
}

/// How many of `runs` searches that can find nothing but noise keep the seed prompts.
fn noise(runs: u64, gate: GateMode, change: impl Fn(&mut World)) -> usize {
    let mut kept = 0;
    for seed in 0..runs {
        let ran = world("abc", 50)
            .with(|world| {
                world.seed = Seed(seed);
                world.default_reply = "<prompt>xSEED:</prompt>".into();
                let search = &mut world.options.search;
                (search.gate, search.final_check, search.batch) = (gate, 20, 5);
                change(world);
            })
            .run();
        let result = ran.result();
        kept += usize::from(result.prompts == result.seed_prompts);
        if gate == GateMode::Anytime && result.prompts != result.seed_prompts {
            assert_eq!(result.gate[0].ended, GateEnd::Shown);
        }
    }
    kept
}

/// The figures of docs/methods.md.
#[test]
fn on_pure_noise_the_seed_is_kept_in_at_least_95_percent_of_runs() {
    let coin = |world: &mut World| world.options.judge.mode = JudgeMode::Coin;
    let same_noise = |world: &mut World| world.noise = true;
    let figures = [
        noise(300, GateMode::Final, coin),
        noise(300, GateMode::Anytime, coin),
        noise(300, GateMode::Final, same_noise),
        noise(300, GateMode::Anytime, same_noise),
    ];
    expect!["[119, 295, 126, 297]"].assert_eq(&format!("{figures:?}"));
    for at in [1, 3] {
        assert!(figures[at] * 100 >= 95 * 300, "{figures:?}");
    }
}
