//! A run is a function of its input: it depends neither on the order in which answers arrive nor on
//! how many calls are in flight.

use crate::bounds::eventful_world;
use maspo::base::Seed;
use maspo::search::{Event, SearchResult};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn events_are_the_same_whatever_finishes_first(
        shape in 0_usize..6,
        shuffle in 1_u64..1_000_000,
        max_in_flight in 0_usize..9,
    ) {
        let plain = eventful_world(shape, 5).run();
        let delayed = eventful_world(shape, 5).with(|world| {
            world.shuffle = shuffle;
            world.options.rollout.max_in_flight = max_in_flight;
        });
        prop_assert_eq!(&plain.events, &delayed.run().events);
    }
}

#[test]
fn another_seed_gives_another_run() {
    let result = |seed| eventful_world(0, 5).with(|world| world.seed = Seed(seed)).run().result().clone();
    let (one, again, other) = (result(1), result(1), result(2));
    assert_eq!((&one, one.result_hash()), (&again, again.result_hash()));
    assert_ne!(one.result_hash(), other.result_hash());
    assert_ne!(one.steps[0].batch, other.steps[0].batch);
}

#[test]
fn an_eventful_run_improves_refreshes_and_finds_cases() {
    // Otherwise the properties above would hold of almost nothing.
    let result = eventful_world(0, 5).run().result().clone();
    assert!(result.steps.iter().filter(|step| step.improved).count() > 2);
    assert!(result.refreshes.iter().any(|refresh| refresh.tau.is_some()));
    assert!(result.misalignment.iter().any(|rate| rate.misaligned > 0));
    assert_ne!(result.prompts, result.seed_prompts);
}

#[test]
fn events_and_results_survive_being_written_and_read() {
    for seed in 0..20 {
        let ran = eventful_world(seed as usize % 6, seed).run();
        let text = serde_json::to_string(&ran.events).unwrap();
        let events: Vec<Event> = serde_json::from_str(&text).unwrap();
        assert_eq!(events, ran.events);
        let result = SearchResult::from_events(&events).unwrap();
        assert_eq!((&result, result.result_hash()), (ran.result(), ran.result().result_hash()));
        let text = serde_json::to_string(&result).unwrap();
        assert_eq!(serde_json::from_str::<SearchResult>(&text).unwrap(), result);
    }
}

#[test]
fn the_hash_is_over_prompts_and_scores_only() {
    let result = eventful_world(0, 5).run().result().clone();
    let hash = result.result_hash();
    let mut counted = result.clone();
    counted.judge.asked += 1;
    counted.avoided.unchanged_skipped += 1;
    counted.steps[0].judge.asked += 1;
    counted.plan.worker.calls += 1;
    assert_eq!(counted.result_hash(), hash);
    let mut scored = result.clone();
    scored.steps[0].beam[0].score += 0.1;
    assert_ne!(scored.result_hash(), hash);
    let mut prompted = result;
    prompted.prompts = prompted.seed_prompts.clone();
    assert_ne!(prompted.result_hash(), hash);
}

#[test]
fn an_unfinished_run_shows_the_best_so_far() {
    let ran = eventful_world(0, 5).run();
    assert!(SearchResult::from_events(&[]).is_none());
    let begun = SearchResult::from_events(&ran.events[..1]).unwrap();
    assert_eq!((begun.finished, &begun.prompts), (false, &begun.seed_prompts));
    let check = ran.events.iter().position(|event| matches!(event, Event::FinalCheck(_))).unwrap();
    let almost = SearchResult::from_events(&ran.events[..check]).unwrap();
    let Event::FinalCheck(check) = &ran.events[check] else { unreachable!("it is one") };
    assert_eq!((almost.finished, &almost.prompts), (false, &check.optimized));
    assert!(ran.result().finished);
    // A run that began again in the same journal counts once.
    let twice = [&ran.events[..5], &ran.events[..]].concat();
    assert_eq!(SearchResult::from_events(&twice).as_ref(), Some(ran.result()));
}
