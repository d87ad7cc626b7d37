//! The defining steps of the methods that search, worked by hand.

use super::world::World;
use maspo::base::AgentId;
use maspo::method::{AnswerSets, Feedback, MethodKind};
use maspo::search::{Event, FinalVerdict, Outcome, SearchError};

#[test]
fn spo_keeps_a_prompt_whose_answer_set_wins_the_votes() {
    let world = World::chain(4)
        .with(|world| {
            world.agents[1].optimize = false;
            (world.methods.rounds, world.methods.questions) = (1, 3);
            world.likes = vec![("a1(", 1.0)];
        })
        .proposes([1, 0, 1, 0, 0], "a1: {question}");
    let ran = world.run(MethodKind::Spo);
    assert_eq!(ran.prompt(0), "a1: {question}");
    // Three questions with the old prompt and three with the new one; the next agent never runs.
    assert_eq!((ran.worker_calls("a0: "), ran.worker_calls("a1: "), ran.worker_calls("b0: ")), (3, 3, 0));
    // Four votes, each on the whole set and in one order.
    assert_eq!(ran.judge.len(), 4);
    let first = &ran.judge[0].messages[0].content;
    assert!(first.contains("Question 1:\nq") && first.contains("Question 3:\nq"), "{first}");
    assert!(first.contains("Task: role a\n") && first.contains("Answer 3:\na1(q"), "{first}");
    assert_eq!(ran.result().judge.comparisons, 4);
    let step = &ran.result().steps[0];
    assert_eq!((step.batch.len(), step.improved, step.best), (3, true, 1));
    // The optimizer saw the answers, and nothing of what follows.
    let asked = &ran.optimizer[0].messages[0].content;
    assert!(asked.contains("Output:\n<data>\na0(q") && !asked.contains("Final answer"), "{asked}");
}

#[test]
fn spo_drops_a_prompt_that_loses_or_ties_and_goes_over_all_agents() {
    let world = World::chain(4).with(|world| {
        world.writes_anything = true;
        (world.methods.rounds, world.methods.compare) = (2, AnswerSets::Items);
    });
    // Without likes every comparison is a tie.
    let ran = world.run(MethodKind::Spo);
    assert_eq!((ran.prompt(0), ran.prompt(1)), ("a0: {question}", "b0: {context}"));
    let turns: Vec<_> = ran.result().steps.iter().map(|step| (step.agent.0, step.step)).collect();
    assert_eq!(turns, [(0, 1), (0, 2), (1, 1), (1, 2)]);
    // By items, every question is judged in both orders.
    let judged: usize = ran.result().steps.iter().map(|step| step.batch.len()).sum();
    assert_eq!(ran.judge.len(), 2 * judged);
}

#[test]
fn tpe_tries_joint_choices_and_takes_the_best_trial() {
    let world = World::chain(4)
        .with(|world| {
            (world.methods.instructions, world.methods.trials) = (2, 8);
            world.likes = vec![("a1(", 1.0), ("b1(", -0.3)];
        })
        .proposes([1, 0, 1, 0, 0], "a1: {question}")
        .proposes([1, 1, 1, 0, 0], "b1: {context}");
    let ran = world.run(MethodKind::Tpe);
    let result = ran.result();
    assert_eq!(result.trials.len(), 9, "the seed prompts and eight trials");
    assert!(result.trials[0].values.iter().all(|value| *value == 0.5), "the seed prompts against themselves");
    for trial in &result.trials {
        let [a, b] = [0, 1].map(|at| trial.prompts.get(AgentId(at)).text().to_string());
        // Better with a1, whatever b is; without it, worse with b1 and equal without.
        let expected = match (a.starts_with("a1"), b.starts_with("b1")) {
            (true, _) => 1.0,
            (false, true) => 0.0,
            (false, false) => 0.5,
        };
        assert_eq!(trial.score, expected, "{a} {b}");
        assert_eq!(trial.batch.len(), 4);
    }
    let first = result.trials.iter().find(|trial| trial.score == 1.0).expect("eight random trials find it");
    assert_eq!(result.trials.last().unwrap().leader, first.number);
    assert_eq!(ran.prompt(0), "a1: {question}");
}

#[test]
fn tpe_by_labels_values_a_trial_by_its_accuracy_on_training_items() {
    let world = World::chain(4)
        .with(|world| {
            (world.methods.instructions, world.methods.trials) = (2, 6);
            world.methods.feedback = Feedback::Labels;
            world.right = Some(|answer| answer.contains("a1("));
        })
        .proposes([1, 0, 1, 0, 0], "a1: {question}");
    let ran = world.run(MethodKind::Tpe);
    assert_eq!((ran.judge.len(), ran.result().labelled), (0, 8));
    assert_eq!(ran.result().trials[0].score, 0.0, "the seed prompts answer nothing right");
    assert_eq!(ran.prompt(0), "a1: {question}");
    assert!(ran.worker.iter().all(|request| request.messages[0].content.contains("train")));
}

#[test]
fn gepa_takes_a_team_that_wins_its_minibatch_and_scores_it_on_all_items() {
    let world = World::chain(4)
        .with(|world| {
            (world.methods.trials, world.methods.minibatch) = (2, 2);
            world.likes = vec![("a1(", 1.0), ("b1(", -1.0)];
        })
        .proposes([1, 0, 1, 0, 0], "a1: {question}")
        // The team of the first trial leads on every item, so it is the parent of the second.
        .proposes([1, 1, 2, 1, 0], "b1: {context}");
    let ran = world.run(MethodKind::Gepa);
    let result = ran.result();
    let shown: Vec<_> = result
        .trials
        .iter()
        .map(|trial| {
            (trial.parent, trial.agent.map(|id| id.0), trial.batch.len(), trial.score, trial.kept, trial.leader)
        })
        .collect();
    assert_eq!(
        shown,
        [(None, None, 4, 0.5, true, 0), (Some(0), Some(0), 4, 1.0, true, 1), (Some(1), Some(1), 2, 0.0, false, 1),]
    );
    assert_eq!((ran.prompt(0), ran.prompt(1)), ("a1: {question}", "b0: {context}"));
    // The seed's team on 4 items; the first on 2 and then on all 4; the second on 2 from b on.
    assert_eq!((ran.worker_calls("a0: "), ran.worker_calls("a1: ")), (4, 2 + 4));
    assert_eq!((ran.worker_calls("b0: "), ran.worker_calls("b1: ")), (4 + 2 + 4, 2));
}

#[test]
fn gepa_merges_two_lineages_that_lead_on_different_items() {
    /// The position of the training item that an answer is about.
    fn item(answer: &str) -> usize {
        answer.split_once("train").map_or(0, |(_, rest)| usize::from(rest.as_bytes()[0] - b'0'))
    }
    let world = |seed: u64| {
        let world = World::chain(4).with(|world| {
            world.seed = maspo::base::Seed(seed);
            (world.methods.trials, world.methods.minibatch, world.methods.merges) = (3, 8, 1);
            world.methods.feedback = Feedback::Labels;
            // The seed prompts know items 4 to 7, a1 instead 0 to 4, b1 also 3, and both all.
            world.right = Some(|answer| match (answer.contains("a1("), answer.contains("b1(")) {
                (false, false) => item(answer) >= 4,
                (true, false) => item(answer) <= 4,
                (false, true) => item(answer) >= 3,
                (true, true) => true,
            });
        });
        world.proposes([1, 0, 1, 0, 0], "a1: {question}").proposes([1, 1, 2, 0, 0], "b1: {context}")
    };
    // Parents are drawn by their leads; here the second step has to begin at the seed prompts.
    let ran = (1..20).map(|seed| world(seed).run(MethodKind::Gepa));
    let ran = ran.into_iter().find(|ran| ran.result().trials[2].parent == Some(0)).expect("one of two parents");
    let trials = &ran.result().trials;
    assert_eq!((trials[1].score, trials[2].score), (0.625, 0.625));
    let last = &trials[3];
    assert_eq!((last.parent, last.other, last.agent, last.kept), (Some(1), Some(2), None, true));
    assert_eq!((last.score, last.leader), (1.0, 3));
    assert_eq!((ran.prompt(0), ran.prompt(1)), ("a1: {question}", "b1: {context}"));
    assert_eq!(ran.optimizer.len(), 2, "a merge needs no proposal");
    // Without merges the third step rewrites again.
    let plain = world(ran.result().seed.0).with(|world| world.methods.merges = 0).run(MethodKind::Gepa);
    assert_eq!((plain.result().trials[3].other, plain.optimizer.len()), (None, 3));
}

#[test]
fn agent_dropout_drops_the_agent_that_does_harm() {
    let world = World::pair(2).with(|world| {
        world.methods.drop_agents = 0.34;
        (world.methods.update_items, world.methods.learning_rate) = (4, 4.0);
        world.right = Some(|answer| !answer.contains("y0("));
    });
    let ran = world.run(MethodKind::AgentDropout);
    let result = ran.result();
    let system = result.system.as_ref().expect("something was dropped");
    let names: Vec<_> = system.agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!((names, system.edges.len()), (vec!["x", "t"], 1));
    assert_eq!((ran.optimizer.len(), ran.judge.len(), result.labelled), (0, 0, 8), "only labels teach it");
    // Two epochs of eight items in batches of four, for agents and for edges.
    let phases: Vec<_> = result.learned.iter().map(|learned| learned.phase.as_str()).collect();
    assert_eq!(phases, [["nodes"; 4], ["edges"; 4]].concat());
    let last = &result.learned[3];
    assert!(last.edges[0] > last.edges[1], "{:?}", last.edges);
    assert_eq!(result.learned[4].dropped, ["y"]);
    assert_eq!(result.learned[7].accuracy, 1.0, "without it every answer is right");
    assert!(ran.worker.iter().all(|request| request.messages[0].content.contains("train")));
}

#[test]
fn methods_that_need_labels_say_so() {
    let check = |world: World, method: MethodKind| {
        let error = world.run(method).result.expect_err("there are no labels");
        assert!(matches!(error, SearchError::NeedsLabels(_)));
        assert!(error.to_string().contains("add labelled cases as `data.train`"), "{error}");
    };
    check(World::pair(2), MethodKind::AgentDropout);
    check(World::chain(2).with(|world| world.methods.feedback = Feedback::Labels), MethodKind::Gepa);
}

#[test]
fn random_takes_the_searches_own_proposals_by_a_coin() {
    let world = World::chain(4)
        .with(|world| world.likes = vec![("a1(", 9.0)])
        .proposes([1, 0, 1, 0, 0], "a1: {question}")
        .proposes([1, 0, 1, 0, 1], "a2: {question}");
    let (maspo, random) = (world.run(MethodKind::Maspo), world.run(MethodKind::Random));
    assert_eq!((maspo.result().method.as_deref(), random.result().method.as_deref()), (None, Some("random")));
    assert_eq!(random.judge.len(), 0);
    let proposed = |events: &[Event]| -> Vec<String> {
        let steps = events.iter().filter_map(|event| match event {
            Event::Step(step) => Some(step),
            _ => None,
        });
        let texts = steps.flat_map(|step| &step.candidates).filter_map(|candidate| match &candidate.outcome {
            Outcome::Scored { prompt, .. } => Some(prompt.text().to_string()),
            Outcome::Rejected { .. } => None,
        });
        texts.collect()
    };
    assert_eq!(proposed(&random.events), proposed(&maspo.events));
    let check = random.result().final_check.as_ref().unwrap();
    assert!(matches!(check.verdict, FinalVerdict::Unchecked | FinalVerdict::Unchanged), "no second coin");
    assert_eq!(random.result().prompts, check.optimized);
}
