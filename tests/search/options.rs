//! Every ablation is a value of an option, with the documented effect.

use crate::world::{RunOutcome, World, show};
use maspo::judge::JudgeMode;
use maspo::misalignment::Sampling;
use maspo::search::{Event, Outcome, Schedule};

/// A world with one candidate a1 in the first of two steps: it is better for a everywhere, for b
/// worse on q0 and better on q1, and for c better on q1.
fn world() -> World {
    World::chain("a", 3)
        .with(|world| world.options.search.steps = 2)
        .proposes([1, 0, 1, 0, 0], "a1: {question}")
        .prefers("a", "a1(", 1.0)
        .prefers("b", "a1(q0", -1.0)
        .prefers("b", "a1(q1", 1.0)
        .prefers("c", "a1(q1", 1.0)
}

/// Returns the queries of the cases that the proposals of step 2 show, and the number of cases kept
/// after step 1.
fn shown(sampling: Sampling) -> (Vec<String>, usize) {
    let ran = world().with(|world| world.options.misalignment.sampling = sampling).run();
    let input = ran.optimizer_inputs("a")[2];
    let cases = input.split("Mistakes to avoid.").nth(1).unwrap_or("").split("Current prompt").next().unwrap();
    let queries = cases.split("Input:\n<data>\n").skip(1).map(|case| case[..2].to_string());
    (queries.collect(), ran.step(0).cases)
}

#[test]
fn sampling_decides_which_cases_are_kept_and_shown() {
    assert_eq!(shown(Sampling::Misalignment), (vec!["q0".into()], 1));
    assert_eq!(shown(Sampling::Success), (vec!["q1".into()], 1));
    assert_eq!(shown(Sampling::Off), (vec![], 0));
    let (mut random, kept) = shown(Sampling::Random);
    random.sort();
    assert_eq!((random, kept), (vec!["q0".into(), "q1".into(), "q2".into()], 3));
}

#[test]
fn the_rate_of_misalignment_is_reported_whatever_is_shown() {
    for sampling in [Sampling::Misalignment, Sampling::Off] {
        let ran = world().with(|world| world.options.misalignment.sampling = sampling).run();
        let rate = ran.result().misalignment[0];
        assert_eq!((rate.samples, rate.local_better, rate.misaligned), (3, 3, 1));
    }
}

#[test]
fn at_most_k_mis_cases_are_shown_and_the_buffer_is_bounded() {
    let ran = World::chain("a", 6)
        .with(|world| {
            world.options.search.steps = 2;
            (world.options.misalignment.shown, world.options.misalignment.capacity) = (2, 4);
        })
        .proposes([1, 0, 1, 0, 0], "a1: {question}")
        .prefers("a", "a1(", 1.0)
        .prefers("b", "a1(", -1.0)
        .run();
    assert_eq!(ran.step(0).cases, 4);
    let cases = ran.optimizer_inputs("a")[2].split("Mistakes to avoid.").nth(1).unwrap();
    assert_eq!(cases.matches("Input:").count(), 2);
}

fn first_samples(ran: &RunOutcome) -> Vec<[Option<f64>; 4]> {
    let Outcome::Scored { reward, .. } = &ran.step(0).candidates[0].outcome else { panic!("a1 is tried") };
    reward.samples.iter().map(|s| [s.local, s.lookahead, s.global, Some(s.joint)]).collect()
}

#[test]
fn a_term_without_weight_does_not_count_and_is_judged_only_to_find_cases() {
    let local_only = world().with(|world| {
        (world.options.reward.local, world.options.reward.lookahead, world.options.reward.global) = (1.0, 0.0, 0.0);
    });
    let mining = local_only.run();
    assert_eq!(first_samples(&mining)[0], [Some(1.0), Some(0.0), Some(0.5), Some(1.0)]);
    assert_eq!((show(&mining.step(0).beam).as_str(), mining.step(0).cases), ("1:0.5 0:0", 1));
    let off = local_only.with(|world| world.options.misalignment.sampling = Sampling::Off).run();
    assert_eq!(first_samples(&off)[0], [Some(1.0), None, None, Some(1.0)]);
    assert_eq!(show(&off.step(0).beam), "1:0.5 0:0");
    assert!(off.judge.len() < mining.judge.len());
}

#[test]
fn the_sequential_schedule_finishes_an_agent_before_the_next_and_never_refreshes() {
    let run = |schedule| {
        let world = World::chain("ac", 2).with(|world| {
            (world.options.search.rounds, world.options.search.steps) = (2, 2);
            world.options.search.schedule = schedule;
        });
        let ran = world.run();
        let turns = ran.events.iter().filter_map(|event| match event {
            Event::Step(step) => Some(format!("{}{}{} ", ["a", "b", "c"][step.agent.0], step.round, step.step)),
            Event::Refreshed(refreshed) => Some(format!("{}* ", ["a", "b", "c"][refreshed.agent.0])),
            _ => None,
        });
        turns.collect::<String>()
    };
    assert_eq!(run(Schedule::Interleaved), "a11 a12 c11 c12 a* a21 a22 c* c21 c22 ");
    assert_eq!(run(Schedule::Sequential), "a11 a12 a21 a22 c11 c12 c21 c22 ");
}

#[test]
fn a_position_bias_of_the_judge_decides_nothing() {
    let ran = World::chain("a", 3)
        .with(|world| world.position_bias = 5.0)
        .proposes([1, 0, 1, 0, 0], "a1: {question}")
        .proposes([1, 0, 1, 0, 1], "a2: {question}")
        .prefers("a", "a2(", 1.0)
        .run();
    // The judge has no preference between a1 and a0; a judge that sees a1 only as answer A would
    // give it 1.
    assert_eq!(first_samples(&ran)[0], [Some(0.5), Some(0.5), Some(0.5), Some(0.5)]);
    assert_eq!(show(&ran.step(0).beam), "2:0.2 0:0");
    assert_eq!(ran.result().judge.position_consistency(), Some(0.0));
}

#[test]
fn a_judge_that_names_no_answer_is_a_tie_and_is_counted() {
    let run = |reply: &str| {
        let world = World::chain("a", 3).proposes([1, 0, 1, 0, 0], "a1: {question}").with(|world| {
            world.options.judge.mode = JudgeMode::Text;
            world.judge_reply = reply.into();
        });
        let ran = world.run();
        assert_eq!(show(&ran.step(0).beam), "0:0 1:0");
        assert_eq!(ran.result().judge.tie_rate(), Some(1.0));
        ran.result().judge.unparsable_rate()
    };
    assert_eq!(run("Both are fine."), Some(1.0));
    // The judge always says A, so both orders contradict each other.
    assert_eq!(run("<choose>A</choose>"), Some(0.0));
}

#[test]
fn the_coin_calls_no_model_and_is_repeatable() {
    let world = World::chain("a", 8).proposes([1, 0, 1, 0, 0], "a1: {question}").with(|world| {
        world.options.judge.mode = JudgeMode::Coin;
    });
    let (one, two) = (world.run(), world.run());
    assert_eq!((one.judge.len(), first_samples(&one)), (0, first_samples(&two)));
    let heads = first_samples(&one).iter().filter(|sample| sample[0] == Some(1.0)).count();
    assert!((1..8).contains(&heads), "a coin for every comparison, not one for all");
}
