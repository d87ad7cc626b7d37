//! The set `standard` in a search: assignments take turns and are recorded, the optimizer is shown
//! verdicts and what lost, and none of it changes which candidates win.

use crate::world::World;
use maspo::search::SearchResult;
use maspo::templates::Templates;

/// A chain of which a is optimized for two steps. Its pool is one batch, so every step has all
/// queries. `a1` wins on q0 for a itself and loses q1; `a2` loses everywhere.
fn world() -> World {
    World::chain("a", 2)
        .with(|world| {
            world.options.templates = Some(Templates::standard());
            world.options.search.steps = 2;
        })
        .replies([1, 0, 1, 0, 0], "<change>Ask for less.</change><prompt>a1: {question}</prompt>")
        .replies([1, 0, 1, 0, 1], "Change: Ask for more.\n<prompt>a2: {question}</prompt>")
        .prefers("a", "a1(q0", 1.0)
        .prefers("a", "a1(q1", -1.0)
        .prefers("b", "a1(q0", 1.0)
        .prefers("c", "a1(q0", 1.0)
        .prefers("c", "a1(q1", -1.0)
        .prefers("a", "a2(", -1.0)
}

fn inputs(ran: &crate::world::RunOutcome) -> Vec<&str> {
    ran.optimizer.iter().map(String::as_str).collect()
}

#[test]
fn each_candidate_has_an_assignment_of_its_own_that_is_recorded() {
    let ran = world().with(|world| (world.options.search.candidates, world.options.search.steps) = (4, 1)).run();
    let recorded: Vec<_> = ran.step(0).candidates.iter().map(|candidate| candidate.assignment.as_deref()).collect();
    let names = ["mend", "simplify", "restructure", "example"];
    assert_eq!(recorded, names.map(Some));
    let templates = Templates::standard();
    for (assignment, input) in templates.optimizer.assignments.iter().zip(inputs(&ran)) {
        assert!(input.contains(&assignment.instruction), "{}", assignment.name);
    }
}

#[test]
fn assignments_go_on_where_the_step_before_ended() {
    let ran = world().run();
    let names = |step: usize, parent: usize| -> Vec<_> {
        let candidates = ran.step(step).candidates.iter().filter(|candidate| candidate.parent == parent);
        candidates.map(|candidate| candidate.assignment.clone().unwrap()).collect()
    };
    assert_eq!(names(0, 0), ["mend", "simplify"]);
    let best = ran.step(1).parents[0].id;
    assert_eq!(names(1, best), ["restructure", "example"]);
}

#[test]
fn changes_are_recorded_and_losses_are_shown_to_later_proposals() {
    let ran = world().run();
    let changes: Vec<_> = ran.step(0).candidates.iter().map(|candidate| candidate.change.as_deref()).collect();
    assert_eq!(changes, [Some("Ask for less."), Some("Ask for more.")]);
    let lineage = |id: usize| ran.result().lineage.iter().find(|node| node.id == id).unwrap().clone();
    assert_eq!((lineage(1).change.as_deref(), lineage(1).assignment.as_deref()), (Some("Ask for less."), Some("mend")));
    assert_eq!((lineage(0).change, lineage(0).assignment), (None, None));
    let all = inputs(&ran);
    let (first, second) = all.split_at(2);
    assert!(first.iter().all(|input| !input.contains("What was tried")));
    assert!(second.iter().all(|input| input.contains("What was tried") && input.contains("0.30: Ask for more.")));
    assert!(second.iter().all(|input| !input.contains("0.60: Ask for less.")), "it won");
}

#[test]
fn a_parents_traces_have_the_verdicts_of_its_own_evaluation() {
    let ran = world().run();
    let verdict = |output: &str, input: &str| -> Option<String> {
        let trace = input.split("## ").find(|trace| trace.contains(&format!("<data>\n{output}\n</data>")))?;
        trace.lines().find(|line| line.starts_with("Verdict")).map(str::to_string)
    };
    let of_a1 =
        inputs(&ran).into_iter().skip(2).find(|input| input.contains("\na1: {question}\n")).expect("a1 is a parent");
    let compared = "Verdict on this input, compared with the prompt that the current one was written from:";
    assert_eq!(
        verdict("a1(q0)", of_a1).unwrap(),
        format!(
            "{compared} the agent's own output is better. The outputs of the agents that read it are better. \
             The team's answer is better."
        )
    );
    assert_eq!(
        verdict("a1(q1)", of_a1).unwrap(),
        format!(
            "{compared} the agent's own output is worse. The outputs of the agents that read it are equal. \
             The team's answer is worse."
        )
    );
    // What failed comes first.
    assert!(of_a1.find("a1(q1)").unwrap() < of_a1.find("a1(q0)").unwrap());
    // A seed prompt was never compared.
    assert!(inputs(&ran)[..2].iter().all(|input| !input.contains("Verdict")));
}

#[test]
fn what_is_recorded_of_a_proposal_does_not_enter_the_result_hash() {
    let result = world().run().result().clone();
    let mut bare = result.clone();
    for candidate in bare.steps.iter_mut().flat_map(|step| &mut step.candidates) {
        (candidate.assignment, candidate.change) = (None, None);
    }
    assert_eq!(bare.result_hash(), result.result_hash());
    let text = serde_json::to_string(&result).unwrap();
    assert_eq!(serde_json::from_str::<SearchResult>(&text).unwrap(), result);
    // The set `terse` records neither.
    let terse = world().with(|world| world.options.templates = Some(Templates::terse()));
    let text = serde_json::to_string(&terse.with(|world| world.replies.clear()).run().events).unwrap();
    assert!(!text.contains("assignment") && !text.contains("\"change\""));
}

#[test]
fn models_have_the_set_that_is_for_them_unless_the_options_say_which() {
    let ran = world().with(|world| world.options.templates = None).run();
    assert_eq!(ran.events, world().run().events, "a scripted model is not the embedded one");
    assert!(inputs(&ran)[0].contains("# Rules for the new prompt"));
    assert!(ran.judge.iter().all(|input| input.starts_with("You compare two answers")));
}
