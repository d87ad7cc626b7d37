//! Worked examples of the paper's equations, in a chain a → b → c, so that lookahead (b) and global
//! (c) differ.

use crate::world::{RunOutcome, World, show};
use expect_test::expect;
use maspo::prompt::Rejection;
use maspo::search::{FinalVerdict, Outcome};

/// The draw of candidate `n` of the parent with index `parent`, in step `t` of agent a in round 1.
fn draw(t: u64, parent: u64, n: u64) -> [u64; 5] {
    [1, 0, t, parent, n]
}

/// a1 is better for a on all four queries; b does worse with it on q0 and q1, and c on q0.
fn misaligned() -> World {
    World::chain("a", 4)
        .proposes(draw(1, 0, 0), "a1: {question}")
        .proposes(draw(1, 0, 1), "a2: {question}")
        .prefers("a", "a1(", 1.0)
        .prefers("b", "a1(q0", -1.0)
        .prefers("b", "a1(q1", -1.0)
        .prefers("c", "a1(q0", -1.0)
}

/// The outcome of a candidate: one row per query with the terms of Eq. 5 (`-` for a term that was
/// not judged), then R, J and the counts of Eq. 6.
fn outcome(ran: &RunOutcome, step: usize, candidate: usize) -> String {
    let candidate = &ran.step(step).candidates[candidate];
    let parent = candidate.parent;
    let (id, prompt, reward, score, local_better, misaligned) = match &candidate.outcome {
        Outcome::Rejected { reason, text } => return format!("from {parent}: {reason:?}, {text:?}"),
        Outcome::Scored { id, prompt, reward, score, local_better, misaligned, .. } => {
            (id, prompt.text(), reward, score, local_better, misaligned)
        }
    };
    let term = |value: Option<f64>| value.map_or("-".to_string(), |value| value.to_string());
    let mut text = format!("{id} from {parent}: {prompt}\n      local  lookahead  global  joint\n");
    for sample in &reward.samples {
        let [local, lookahead, global] = [sample.local, sample.lookahead, sample.global].map(term);
        text += &format!("  q{} {local:>6} {lookahead:>10} {global:>7} {:>6}\n", sample.item, sample.joint);
    }
    text + &format!("R = {}, J = {score}, misaligned {misaligned} of {local_better}\n", reward.mean)
}

#[test]
fn one_step_by_hand() {
    let ran = misaligned().run();
    // q0: 0.4·1 + 0.4·0 + 0.2·0; q1: 0.4·1 + 0.4·0 + 0.2·½; q2 and q3: 0.4·1 + 0.4·½ + 0.2·½.
    // R = 2.3 / 4; J = 0 + R − ½.
    expect![[r#"
        1 from 0: a1: {question}
              local  lookahead  global  joint
          q0      1          0       0    0.4
          q1      1          0     0.5    0.5
          q2      1        0.5     0.5    0.7
          q3      1        0.5     0.5    0.7
        R = 0.575, J = 0.075, misaligned 2 of 4
    "#]]
    .assert_eq(&outcome(&ran, 0, 0));
    expect![[r#"
        2 from 0: a2: {question}
              local  lookahead  global  joint
          q0    0.5        0.5     0.5    0.5
          q1    0.5        0.5     0.5    0.5
          q2    0.5        0.5     0.5    0.5
          q3    0.5        0.5     0.5    0.5
        R = 0.5, J = 0, misaligned 0 of 0
    "#]]
    .assert_eq(&outcome(&ran, 0, 1));
    let step = ran.step(0);
    // a2 ties with the seed prompt, which was there before.
    assert_eq!((show(&step.beam).as_str(), step.best, step.improved, step.cases), ("1:0.075 0:0", 1, true, 2));
    let rate = ran.result().misalignment[0];
    assert_eq!((rate.samples, rate.local_better, rate.misaligned, rate.rate), (8, 4, 2, Some(0.5)));
}

#[test]
fn scores_accumulate_along_the_lineage_and_duplicates_are_rejected() {
    let ran = misaligned()
        .with(|world| world.options.search.steps = 2)
        .prefers("a", "a3(", 2.0)
        .proposes(draw(2, 0, 0), "a3: {question}")
        .proposes(draw(2, 0, 1), "a0: {question}")
        .proposes(draw(2, 1, 0), "a4: {question}")
        .proposes(draw(2, 1, 1), " a3: {question}\n")
        .run();
    let step = ran.step(1);
    assert_eq!(show(&step.parents), "1:0.075 0:0");
    // a3 against a1: better for a everywhere, for b on q0 and q1, for c on q0. R = (1 + 0.9 + 0.7 +
    // 0.7) / 4; J = 0.075 + R − ½.
    expect![[r#"
        3 from 1: a3: {question}
              local  lookahead  global  joint
          q0      1          1       1      1
          q1      1          1     0.5    0.9
          q2      1        0.5     0.5    0.7
          q3      1        0.5     0.5    0.7
        R = 0.825, J = 0.4, misaligned 0 of 4
    "#]]
    .assert_eq(&outcome(&ran, 1, 0));
    // The text of another parent, and one that was proposed before in this step.
    assert_eq!(outcome(&ran, 1, 1), "from 1: Duplicate, Some(\"a0: {question}\")");
    assert!(outcome(&ran, 1, 2).starts_with("4 from 0: a4: {question}\n"));
    assert_eq!(outcome(&ran, 1, 3), "from 0: Duplicate, Some(\"a3: {question}\")");
    assert_eq!((show(&step.beam).as_str(), step.best), ("3:0.4 1:0.075", 3));
    assert_eq!(ran.result().rejections[&Rejection::Duplicate], 2);
    let lineage: Vec<_> =
        ran.result().lineage.iter().map(|node| (node.id, node.parent, node.in_beam, node.best)).collect();
    let expected = [
        // id, parent, in the beam, best
        (0, None, false, false),
        (1, Some(0), true, false),
        (2, Some(0), false, false),
        (3, Some(1), true, true),
        (4, Some(0), false, false),
    ];
    assert_eq!(lineage, expected);
}

#[test]
fn cases_are_shown_in_the_agents_own_proposals_newest_first() {
    let ran = misaligned().with(|world| world.options.search.steps = 2).run();
    let optimizer_inputs = ran.optimizer_inputs("a");
    assert!(optimizer_inputs[..2].iter().all(|input| !input.contains("Mistakes to avoid")), "{optimizer_inputs:#?}");
    assert_eq!(optimizer_inputs.len(), 6);
    for input in &optimizer_inputs[2..] {
        let cases = input.split("Mistakes to avoid.").nth(1).expect("the cases are shown");
        expect![[r#"
             These outputs looked better for the agent, but made the team worse:

            Case 1. Input:
            <data>
            q1
            </data>
            Output:
            <data>
            a1(q1)
            </data>
            Then b:
            <data>
            b0(a1(q1))
            </data>
            Final answer:
            <data>
            c0(b0(a1(q1)))
            </data>

            Case 2. Input:
            <data>
            q0
            </data>
            Output:
            <data>
            a1(q0)
            </data>
            Then b:
            <data>
            b0(a1(q0))
            </data>
            Final answer:
            <data>
            c0(b0(a1(q0)))
            </data>

            "#]]
        .assert_eq(cases.split("Current prompt:").next().unwrap());
    }
}

#[test]
fn cases_are_shown_in_no_other_agents_proposals() {
    // a1 harms b, b1 harms c: each agent has cases of its own from round 1 on.
    let ran = misaligned()
        .with(|world| {
            world.agents[1].optimize = true;
            world.options.search.rounds = 2;
        })
        .proposes([1, 1, 1, 0, 0], "b1: {context}")
        .prefers("b", "b1(", 3.0)
        .prefers("c", "b1(", -3.0)
        .run();
    let mistakes = |input: &&str| {
        input.split("Mistakes to avoid.").nth(1).map(|shown| shown.split("Current").next().unwrap().to_string())
    };
    let (of_a, of_b): (Vec<_>, Vec<_>) = (
        ran.optimizer_inputs("a").iter().map(mistakes).collect(),
        ran.optimizer_inputs("b").iter().map(mistakes).collect(),
    );
    // One parent with two candidates in round 1, two parents with two each in round 2.
    assert_eq!((of_a.len(), of_b.len()), (6, 6));
    assert!(of_a[..2].iter().chain(&of_b[..2]).all(Option::is_none), "{of_a:#?} {of_b:#?}");
    for (cases, own, other) in [
        (&of_a[2..], "Output:\n<data>\na1(", "Output:\n<data>\nb"),
        (&of_b[2..], "Output:\n<data>\nb1(", "Output:\n<data>\na"),
    ] {
        for shown in cases {
            let shown = shown.as_deref().expect("the agent has cases by now");
            assert!(shown.contains(own) && !shown.contains(other), "{shown}");
        }
    }
}

#[test]
fn a_terminal_agent_has_one_comparison_of_weight_1() {
    let ran = World::chain("c", 4)
        .with(|world| world.options.reward.local = 0.001)
        .proposes([1, 2, 1, 0, 0], "c1: {context}")
        .prefers("c", "c1(b0(a0(q0", 1.0)
        .prefers("c", "c1(b0(a0(q1", -1.0)
        .prefers("c", "c1(b0(a0(q2", 1.0)
        .run();
    expect![[r#"
        1 from 0: c1: {context}
              local  lookahead  global  joint
          q0      1          -       -      1
          q1      0          -       -      0
          q2      1          -       -      1
          q3    0.5          -       -    0.5
        R = 0.625, J = 0.125, misaligned 0 of 2
    "#]]
    .assert_eq(&outcome(&ran, 0, 0));
}

#[test]
fn parents_share_one_batch_and_upstream_agents_never_run_again() {
    let ran = World::chain("b", 6)
        .with(|world| {
            (world.options.search.batch, world.options.search.steps) = (3, 2);
            world.default_reply = "<prompt>bSEED: {context}</prompt>".into();
        })
        .run();
    for step in &ran.result().steps {
        assert_eq!(step.batch.len(), 3);
        for candidate in &step.candidates {
            let Outcome::Scored { reward, .. } = &candidate.outcome else { panic!("{candidate:?}") };
            assert_eq!(reward.samples.iter().map(|sample| sample.item).collect::<Vec<_>>(), step.batch);
        }
    }
    assert_eq!((ran.step(1).parents.len(), ran.step(1).candidates.len()), (2, 4));
    // Nothing improves, so the final check runs nothing. Steps: a runs once per query; b and c once
    // per query and prompt: 3·(1 + 2) and 3·(2 + 4).
    assert_eq!(["a", "b", "c"].map(|agent| ran.worker_calls(agent)), [6, 27, 27]);
    assert_eq!(ran.result().avoided.upstream_reused, 3 * 2 + 3 * (1 + 4));
    // No query outside a step's batch is run in it.
    let mut batches = ran.step(0).batch.clone();
    batches.extend(&ran.step(1).batch);
    let queries: Vec<_> =
        ran.worker.iter().filter_map(|text| text.strip_prefix("a0: q")?.parse::<usize>().ok()).collect();
    assert_eq!(queries, batches);
}

#[test]
fn a_candidate_that_changes_nothing_causes_no_downstream_calls() {
    let ran = World::chain("a", 3).proposes(draw(1, 0, 0), "a0 : {question}").run();
    assert_eq!(["a", "b", "c"].map(|agent| ran.worker_calls(agent)), [6, 3, 3]);
    assert_eq!((ran.judge.len(), ran.result().judge.identical, ran.result().avoided.unchanged_skipped), (0, 9, 6));
    let step = ran.step(0);
    assert_eq!((show(&step.beam).as_str(), step.best, step.improved), ("0:0 1:0", 0, false));
}

/// Two prompts stay in a's beam; the search comes back to it in round 2.
fn revisited() -> World {
    World::chain("a", 4)
        .with(|world| world.options.search.rounds = 2)
        .proposes(draw(1, 0, 0), "a1: {question}")
        .proposes(draw(1, 0, 1), "a2: {question}")
        .prefers("a", "a1(", 1.0)
        .prefers("a", "a2(", 2.0)
        .prefers("b", "a1(q0", 1.0)
}

#[test]
fn refresh_scores_the_beam_against_the_best_with_the_same_reward() {
    let ran = revisited().run();
    // a1: 0.4 + 0.2 + 0.1 everywhere, 0.2 more on q0; a2: 0.7.
    assert_eq!(show(&ran.step(0).beam), "1:0.25 2:0.2");
    let refresh = &ran.result().refreshes[0];
    // a2 against a1: local 1; b prefers a1 on q0. R = (0.5 + 3·0.7) / 4 = 0.65, lookahead term
    // included.
    assert_eq!((show(&refresh.before).as_str(), show(&refresh.after).as_str()), ("1:0.25 2:0.2", "2:0.15 1:0"));
    assert_eq!((refresh.tau, refresh.top1, refresh.applied), (Some(-1.0), false, true));
    assert_eq!(show(&ran.step(1).parents), "2:0.15 1:0");
    assert_eq!((ran.step(1).best, ran.step(1).improved), (2, true));
}

#[test]
fn refresh_off_is_measured_and_not_applied_and_moves_no_other_draw() {
    let world = revisited().with(|world| {
        world.pool = (0..9).map(|at| format!("q{at}").into()).collect();
        world.default_reply = "<prompt>aSEED: {question}</prompt>".into();
    });
    let on = world.run();
    let off = world.clone().with(|world| world.options.search.refresh = false).run();
    let (fresh, stale) = (&on.result().refreshes[0], &off.result().refreshes[0]);
    assert_eq!((&fresh.before, &fresh.after, &fresh.batch), (&stale.before, &stale.after, &stale.batch));
    assert_eq!((stale.applied, &off.step(1).parents), (false, &stale.before));
    assert_eq!(&on.step(1).parents, &fresh.after);
    let batches = |ran: &RunOutcome| ran.result().steps.iter().map(|step| step.batch.clone()).collect::<Vec<_>>();
    assert_eq!(batches(&on), batches(&off));
    assert_ne!(fresh.batch, on.step(1).batch, "the refresh has a fresh batch of its own");
}

#[test]
fn the_seed_is_kept_when_it_wins_and_no_gain_is_claimed_that_was_not_measured() {
    let check = |quality_for_c: f64, verdict, mean, prompt, kept_seed| {
        let world = World::chain("a", 4).proposes(draw(1, 0, 0), "a1: {question}").prefers("a", "a1(", 1.0);
        let ran = world.prefers("c", "a1(", quality_for_c).run();
        assert_eq!(ran.step(0).best, 1, "R is at least 0.4 + 0.2 + 0");
        let check = ran.result().final_check.clone().expect("it was done");
        assert_eq!((check.verdict, check.mean, check.values.len()), (verdict, Some(mean), 4));
        assert_eq!((ran.prompt(0), ran.result().kept_seed), (prompt, kept_seed));
        assert_eq!(check.optimized.get(maspo::base::AgentId(0)).text(), "a1: {question}");
    };
    check(1.0, FinalVerdict::Optimized, 1.0, "a1: {question}", false);
    check(0.0, FinalVerdict::Tie, 0.5, "a1: {question}", false);
    check(-1.0, FinalVerdict::Seed, 0.0, "a0: {question}", true);
    let ran = World::chain("a", 4).run();
    let check = ran.result().final_check.as_ref().unwrap();
    assert_eq!((check.verdict, check.mean, ran.result().kept_seed), (FinalVerdict::Unchanged, None, false));
    assert_eq!(ran.worker.len(), 12, "nothing is run to compare the seed prompts with themselves");
}

#[test]
fn a_candidate_meets_the_other_agents_best_prompts() {
    let ran = World::chain("ab", 2)
        .proposes(draw(1, 0, 0), "a1: {question}")
        .prefers("a", "a1(", 1.0)
        .proposes([1, 1, 1, 0, 0], "b1: {context}")
        .run();
    // b's turn comes after a1 won, so b reads a1's outputs, and a's prompt is not touched again.
    let of_b: Vec<_> = ran.worker.iter().filter(|text| text.starts_with("b1: ")).collect();
    assert_eq!(of_b, ["b1: a1(q0)", "b1: a1(q1)"]);
}
