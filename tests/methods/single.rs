//! The methods without a search: what their agents are asked, and when they stop.

use super::world::World;
use futures::executor::block_on;
use maspo::base::Seed;
use maspo::chat::{Decoding, ScriptedModel};
use maspo::method::{Answering, MethodKind, Outputs};
use maspo::rollout::{AnswerRule, RolloutOptions, System};
use maspo::templates::Templates;
use std::sync::Arc;

/// The system that a method ends with, after no call at all.
fn system(world: &World, method: MethodKind) -> System {
    let ran = world.run(method);
    assert_eq!((ran.worker.len(), ran.optimizer.len(), ran.judge.len()), (0, 0, 0));
    assert_eq!(ran.result().method.as_deref(), Some(method.name()));
    assert_eq!(ran.prompt(0), "a0: {question}", "the team's prompts stay as they are");
    ran.result().system.clone().expect("another system than the team")
}

fn answers(system: &System, model: &Arc<ScriptedModel>, question: &str) -> Outputs {
    answers_of(system, model, Decoding::default(), question)
}

/// The answers of a worker that decodes like this in its role.
fn answers_of(system: &System, model: &Arc<ScriptedModel>, decoding: Decoding, question: &str) -> Outputs {
    let answering = Answering {
        worker: model.clone(),
        decoding,
        seed: Seed(3),
        options: RolloutOptions::default(),
        summary: Templates::terse().summary.clone(),
    };
    block_on(answering.answer(system, &[question.into()])).unwrap().remove(0)
}

/// A world whose last agent has a form to keep.
fn world() -> World {
    World::chain(2).with(|world| {
        world.agents[1].frozen = vec!["<answer>A</answer>".into()];
        world.agents[1].seed_prompt = maspo::prompt::Template::new("b0: {context} <answer>A</answer>");
        world.agents[0].max_new_tokens = 64;
    })
}

#[test]
fn vanilla_and_cot_ask_one_agent() {
    let prompt = |method| {
        let system = system(&world(), method);
        assert_eq!((system.agents.len(), system.edges.len(), system.rule), (1, 0, AnswerRule::Once));
        assert_eq!(system.agents[0].max_new_tokens, 64);
        system.agents[0].prompt.text().to_string()
    };
    let plain = "{question}\n\nEnd with <answer>A</answer>";
    assert_eq!(prompt(MethodKind::Vanilla), plain);
    assert_eq!(prompt(MethodKind::Cot), format!("{plain}\n\nLet's think step by step."));
    let own = World::chain(1).with(|world| world.methods.prompt = Some("Say: {question}".into()));
    assert_eq!(system(&own, MethodKind::Vanilla).agents[0].prompt.text(), "Say: {question}");
    let model = Arc::new(ScriptedModel::new(|request| request.messages[0].content.to_uppercase()));
    assert_eq!(answers(&system(&own, MethodKind::Vanilla), &model, "q").answers, ["SAY: Q"]);
}

#[test]
fn self_consistency_samples_five_answers_at_0_7() {
    let system = system(&world(), MethodKind::Sc);
    assert_eq!(system.rule, AnswerRule::Vote { samples: 5, temperature: 0.7 });
    let model = Arc::new(ScriptedModel::new(|request| format!("{}", request.sampling.seed)));
    let first = answers(&system, &model, "q");
    let seen = model.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|request| request.sampling.temperature == 0.7));
    assert!(seen[0].messages[0].content.ends_with("Let's think step by step."));
    let distinct: std::collections::BTreeSet<_> = first.answers.iter().collect();
    assert_eq!(distinct.len(), 5, "every sample has a seed of its own");
    assert_eq!(answers(&system, &model, "q"), first, "and the same one in another run");
    assert_ne!(answers(&system, &model, "r"), first, "but another one for another question");
    let greedy = Decoding { temperature: Some(0.0), top_k: Some(20), ..Decoding::default() };
    answers_of(&system, &model, greedy, "q");
    let last = model.seen().pop().unwrap().sampling;
    assert_eq!((last.temperature, last.top_k), (0.7, 20), "the worker's own temperature does not count, its cuts do");
}

/// A model that plays draft, critique and revision, and that is content with the answer `good`.
fn refiner(critiques: [&'static str; 3]) -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new(move |request| {
        let text = &request.messages[0].content;
        let round = text.matches('+').count();
        match () {
            () if text.starts_with("Check the answer below") => critiques[round.min(2)].to_string(),
            () if text.starts_with("Answer the question again") => {
                let (_, rest) = text.split_once("[draft]\n").expect("the draft is shown");
                format!("{}+", rest.split('\n').next().unwrap_or_default())
            }
            () => "draft".to_string(),
        }
    }))
}

#[test]
fn self_refine_revises_until_nothing_is_to_be_changed_and_three_times_at_most() {
    let system = system(&world(), MethodKind::SelfRefine);
    assert_eq!(system.rule, AnswerRule::Refine { rounds: 3 });
    let check = |critiques, expected: &str, calls: usize| {
        let model = refiner(critiques);
        assert_eq!(answers(&system, &model, "q").answers, [expected]);
        assert_eq!(model.seen().len(), calls, "{critiques:?}");
    };
    // A draft, and a critique and a revision per round.
    check(["wrong", "wrong", "wrong"], "draft+++", 1 + 2 * 3);
    check(["Wrong: no change of sign.", "All right.\n**No change.**", "wrong"], "draft+", 1 + 2 + 1);
    check(["no change", "wrong", "wrong"], "draft", 2);
    let model = refiner(["Units!", "no change", ""]);
    answers(&system, &model, "how far?");
    let seen: Vec<_> = model.seen().iter().map(|request| request.messages[0].content.clone()).collect();
    assert!(seen[1].contains("Question:\nhow far?") && seen[1].ends_with("Answer:\ndraft"), "{}", seen[1]);
    assert!(seen[2].contains("[draft]\ndraft\n\n[critique]\nUnits!"), "{}", seen[2]);
    assert!(seen[2].ends_with("End with <answer>A</answer>"), "{}", seen[2]);
}
