//! What the optimizer model writes is data: it is used, repaired, or rejected and counted. A query
//! that is too long for every model is handled as data too.

use crate::world::World;
use maspo::prompt::Rejection;
use maspo::search::Outcome;
use std::collections::BTreeMap;

#[test]
fn unusable_proposals_are_counted_by_reason() {
    let ran = World::chain("a", 2)
        .with(|world| {
            world.options.search.candidates = 8;
            world.agents[0].frozen = vec!["0".into()];
            world.options.propose.max_prompt_bytes = 60;
        })
        .replies([1, 0, 1, 0, 0], "No tag at all.")
        .proposes([1, 0, 1, 0, 1], " {question} ")
        .proposes([1, 0, 1, 0, 2], "a0 {question} {question}")
        .proposes([1, 0, 1, 0, 3], "a0 {question} {context}")
        .proposes([1, 0, 1, 0, 4], "a1: {question}")
        .proposes([1, 0, 1, 0, 5], &format!("a0: {{question}} {}", "x".repeat(60)))
        .proposes([1, 0, 1, 0, 6], "a0: {question}")
        .proposes([1, 0, 1, 0, 7], "a0 again: ")
        .run();
    let expected = [
        Rejection::Unparsable,
        Rejection::Empty,
        Rejection::RepeatedSlot,
        Rejection::ForeignSlot,
        Rejection::FrozenChanged,
        Rejection::TooLong,
        Rejection::Duplicate,
    ];
    assert_eq!(ran.result().rejections, expected.into_iter().map(|reason| (reason, 1)).collect::<BTreeMap<_, _>>());
    // A dropped slot is appended.
    let Outcome::Scored { prompt, repaired, .. } = &ran.step(0).candidates[7].outcome else { panic!("it is tried") };
    assert_eq!((prompt.text(), repaired), ("a0 again:\n{question}", &true));
}

#[test]
fn braces_in_a_prompt_and_markers_in_a_query_are_literal() {
    let ran = World::chain("a", 1)
        .with(|world| world.pool = vec!["{context} </data> {question} {x}".into()])
        .proposes([1, 0, 1, 0, 0], r"a1: {question} in \frac{a}{b} or {{x}} or {a}")
        .prefers("a", "a1(", 1.0)
        .run();
    assert_eq!(ran.prompt(0), r"a1: {question} in \frac{a}{b} or {{x}} or {a}");
    let asked = ran.worker.iter().find(|text| text.starts_with("a1: ")).expect("the candidate is run");
    assert_eq!(asked, r"a1: {context} </data> {question} {x} in \frac{a}{b} or {{x}} or {a}");
    assert!(ran.worker.contains(&"b0: a0({context} </data> {question} {x})".to_string()), "{:#?}", ran.worker);
}

#[test]
fn an_input_too_long_for_the_optimizer_is_a_rejection() {
    let ran = World::chain("a", 2).with(|world| world.too_long = Some("\nAgent: a\n")).run();
    assert_eq!(ran.result().rejections, BTreeMap::from([(Rejection::Overflow, 2)]));
}

#[test]
fn a_query_too_long_for_the_worker_is_counted_and_never_shown_in_a_proposal() {
    let ran = World::chain("a", 3)
        .with(|world| {
            world.too_long = Some("q1");
            world.default_reply = "<prompt>aSEED: {question}</prompt>".into();
        })
        .run();
    // Once with the seed prompt and once with each candidate.
    assert_eq!((ran.result().overflows, ran.result().rejections.len()), (3, 0));
    assert!(ran.optimizer.iter().all(|input| input.contains("q0") && input.contains("q2") && !input.contains("q1")));
    let Outcome::Scored { reward, .. } = &ran.step(0).candidates[0].outcome else { panic!("it is tried") };
    assert_eq!(reward.samples[1].joint, 0.5);
}

#[test]
fn each_candidate_draws_its_own_evidence_and_sampling_seed() {
    let ran = World::chain("a", 9)
        .with(|world| {
            world.options.search.candidates = 4;
            world.options.propose.traces = 2;
        })
        .run();
    let mut optimizer_inputs = ran.optimizer_inputs("a");
    assert!(optimizer_inputs.iter().all(|input| input.matches("Case ").count() == 2));
    optimizer_inputs.sort_unstable();
    optimizer_inputs.dedup();
    assert!(optimizer_inputs.len() > 1, "four draws of two traces out of nine");
}

#[test]
fn an_optimized_prompt_that_repeats_a_query_is_reported() {
    let query = "q0 On Tuesday the client at 10.0.0.7 fetched forty pages in nine seconds.";
    let world = World::chain("a", 2).with(|world| world.pool[0] = query.into()).prefers("a", "a1", 1.0);
    let copied = |prompt: &str| {
        let ran = world.clone().proposes([1, 0, 1, 0, 0], prompt).run();
        assert_eq!(ran.prompt(0), prompt);
        ran.result().copied.iter().map(|copied| (copied.agent.0, copied.item, copied.text.clone())).collect::<Vec<_>>()
    };
    assert_eq!(copied("a1: {question}"), []);
    let passage = "the client at 10.0.0.7 fetched forty pages";
    let prompt = format!("a1 like {passage}: {{question}}");
    assert_eq!(copied(&prompt), [(0, 0, format!(" {passage}"))]);
}

#[test]
fn what_models_write_around_a_proposal_is_removed_or_the_reply_is_counted() {
    let candidate = |reply: &str| -> Result<String, BTreeMap<Rejection, usize>> {
        let ran = World::chain("a", 2)
            .with(|world| world.options.search.candidates = 1)
            .replies([1, 0, 1, 0, 0], reply)
            .run();
        match &ran.step(0).candidates[0].outcome {
            Outcome::Scored { prompt, .. } => Ok(prompt.text().to_string()),
            _ => Err(ran.result().rejections.iter().map(|(reason, count)| (*reason, *count)).collect()),
        }
    };
    for reply in [
        "<prompt>a1 {question}</prompt>",
        "<prompt>\n```\na1 {question}\n```\n</prompt>",
        "<prompt>Here is the improved prompt:\n\na1 {question}</prompt>",
        "<prompt><prompt>a1 {question}</prompt></prompt>",
        "<PROMPT>a1 {{question}}</PROMPT>",
        "<prompt>a1 ${question}</prompt>",
        "<prompt>\u{feff}a1 { question }\r\n</prompt>",
        "<prompt>a1 {question}</prompt> It stands between <prompt> and </prompt>, as asked.",
    ] {
        assert_eq!(candidate(reply).as_deref(), Ok("a1 {question}"), "{reply}");
    }
    for reply in [
        "I write it between <prompt> and </prompt> as asked. a1 {question}",
        "```\na1 {question}\n```",
        "<prompt>a1</prompt> {question}</prompt>",
    ] {
        assert_eq!(candidate(reply), Err(BTreeMap::from([(Rejection::Unparsable, 1)])), "{reply}");
    }
}
