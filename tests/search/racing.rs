//! Racing drops a candidate that can no longer reach the beam, and changes nothing else.

use crate::bounds::eventful_world;
use crate::world::{RunOutcome, World, show};
use maspo::search::Outcome;
use proptest::prelude::*;

/// A beam of one and ten queries: a1 is worse everywhere, a2 is better everywhere.
fn world(racing: Option<f64>) -> World {
    World::chain("a", 10)
        .with(|world| (world.options.search.beam, world.options.search.racing) = (1, racing))
        .proposes([1, 0, 1, 0, 0], "a1: {question}")
        .proposes([1, 0, 1, 0, 1], "a2: {question}")
        .prefers("a", "a1(", -1.0)
        .prefers("b", "a1(", -1.0)
        .prefers("c", "a1(", -1.0)
        .prefers("a", "a2(", 1.0)
}

/// After how many queries each candidate of the first step was dropped, and how many samples its
/// reward has.
fn dropped(ran: &RunOutcome) -> Vec<(Option<usize>, usize)> {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Scored { reward, dropped_after, .. } => (*dropped_after, reward.samples.len()),
        Outcome::Rejected { .. } => (None, 0),
    };
    ran.step(0).candidates.iter().map(|candidate| of(&candidate.outcome)).collect()
}

#[test]
fn a_loser_is_dropped_and_the_beam_stays_the_same() {
    let whole = world(None).run();
    assert_eq!(dropped(&whole), [(None, 10), (None, 10)]);
    // After six zeros of ten, a mean of 0.4 is the most that is left, and the seed prompt has ½.
    let certain = world(Some(0.0)).run();
    assert_eq!(dropped(&certain), [(Some(6), 6), (None, 10)]);
    // Two zeros are unlikely enough at an error of one third.
    let bold = world(Some(0.34)).run();
    assert_eq!(dropped(&bold), [(Some(4), 4), (None, 10)]);
    for ran in [&certain, &bold] {
        assert_eq!(show(&ran.step(0).beam), show(&whole.step(0).beam));
        assert!(ran.judge.len() < whole.judge.len() && ran.worker.len() < whole.worker.len());
    }
    assert_eq!(certain.worker_calls("a1: "), 6);
}

#[test]
fn a_candidate_stays_while_the_beam_has_room_for_it() {
    let ran = world(Some(0.0)).with(|world| world.options.search.beam = 2).run();
    // Nobody else can take the second place before the last block.
    assert_eq!(show(&ran.step(0).beam), "2:0.2 0:0");
    let ran = world(Some(0.34)).run();
    assert!(ran.step(0).beam.iter().all(|ranked| ranked.id != 1));
    assert_eq!(ran.result().lineage.iter().filter(|node| node.in_beam).count(), 1);
}

#[test]
fn ids_go_on_after_a_dropped_candidate() {
    let ran =
        world(Some(0.0)).with(|world| world.options.search.steps = 2).proposes([1, 0, 2, 0, 0], "a3: {question}").run();
    let ids: Vec<usize> = ran.result().lineage.iter().filter(|node| node.agent.0 == 0).map(|node| node.id).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What is certain changes no decision: every beam is that of the run without racing, as long
    /// as no cases are shown, which depend on what was evaluated.
    #[test]
    fn racing_without_error_gives_the_same_beams(shape in 0_usize..6, seed in 0_u64..50) {
        let run = |racing| {
            eventful_world(shape, seed)
                .with(|world| {
                    world.options.search.racing = racing;
                    world.options.misalignment.shown = 0;
                })
                .run()
        };
        let (whole, racing) = (run(None), run(Some(0.0)));
        let beams = |ran: &RunOutcome| ran.result().steps.iter().map(|step| step.beam.clone()).collect::<Vec<_>>();
        prop_assert_eq!(beams(&whole), beams(&racing));
        prop_assert!(racing.judge.len() <= whole.judge.len());
    }

    #[test]
    fn a_race_is_the_same_whatever_finishes_first(shape in 0_usize..6, shuffle in 1_u64..1_000_000) {
        let plain = eventful_world(shape, 5).with(|world| world.options.search.racing = Some(0.2));
        let delayed = plain.clone().with(|world| world.shuffle = shuffle);
        prop_assert_eq!(&plain.run().events, &delayed.run().events);
    }
}
