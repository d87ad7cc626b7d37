//! A check on scripted judges, whose faults are known.

use super::*;
use crate::base::{AgentId, Seed};
use crate::chat::{ChatModel, Panel, ScriptedModel};
use crate::graph::Graph;
use crate::judge::{Judge, JudgeOptions};
use crate::rollout::{Prompts, RolloutOptions, Runner, Trace, fixture};
use crate::templates::Templates;
use futures::executor::block_on;
use std::sync::Arc;

/// Returns the texts that a request shows as answers A and B.
fn shown(text: &str) -> [usize; 2] {
    ["A", "B"].map(|letter| {
        let start = text.find(&format!("Answer {letter}:\n<data>\n")).expect("both answers are shown") + 17;
        text[start..start + text[start..].find("\n</data>").expect("the fence is closed")].len()
    })
}

/// A model that prefers the longer answer by `per_byte` nats a byte, and the one shown first by
/// `first` nats.
fn longer(per_byte: f64, first: f64) -> Judge {
    let model = ScriptedModel::new(|_| String::new()).with_scores(move |request, _| {
        let [a, b] = shown(&request.messages[0].content);
        let l = per_byte * (a as f64 - b as f64) + first;
        let a = -(1.0 + (-l).exp()).ln();
        vec![a, a - l]
    });
    Judge::new(Arc::new(model), JudgeOptions::default(), Seed(1), Templates::terse().judge.clone())
}

/// Runs of one agent whose answers end with the query; `suffix` makes another sample of them.
fn runs(graph: &Arc<Graph>, suffix: &'static str) -> Vec<Trace> {
    let worker: Arc<dyn ChatModel> = Arc::new(ScriptedModel::new(move |request| {
        format!("one two three four five six seven {}{suffix}", request.messages[0].content.len())
    }));
    let runner = Runner::new(graph.clone(), worker, RolloutOptions::default(), Templates::terse().summary.clone());
    let items: Vec<(usize, Arc<str>)> = (0..30).map(|at| (at, Arc::from("q".repeat(at + 1)))).collect();
    block_on(runner.run(&Prompts::seed(graph), &items)).unwrap()
}

fn checked(judge: &Judge, known: Vec<KnownPair>) -> JudgeCheck {
    let graph = Arc::new(fixture::graph("a", &[]));
    let (runs, again) = (runs(&graph, ""), runs(&graph, " eight"));
    let input = CheckInput { graph: &graph, judge, runs: &runs, again: &again, known, seed: Seed(1) };
    block_on(check(input)).unwrap()
}

fn line(check: &JudgeCheck, known: Known) -> &KnownLine {
    check.known.iter().find(|line| line.known == known).unwrap()
}

#[test]
fn a_judge_that_sees_length_finds_what_was_cut_and_nothing_else() {
    let check = checked(&longer(1.0, 0.0), Vec::new());
    assert_eq!(line(&check, Known::Damaged(Damage::Cut)).right, Share::of(30, 30));
    let scrambled = line(&check, Known::Damaged(Damage::Scrambled));
    assert_eq!((scrambled.right.n, scrambled.ties), (0, 30), "equally long answers are a tie");
    assert_eq!((check.consistency.share, check.unparsable.count), (Some(1.0), 0));
    assert_eq!(check.ties.share, Some(0.0), "the other sample is longer");
    assert_eq!(check.first_shown.n, 0, "between equal answers it prefers none");
    assert!(check.warnings().is_empty(), "{:?}", check.warnings());
}

#[test]
fn of_several_models_each_is_judged_alone_and_so_is_their_agreement() {
    let model = |per_byte: f64| -> Arc<dyn ChatModel> {
        Arc::new(ScriptedModel::new(|_| String::new()).with_scores(move |request, _| {
            let [a, b] = shown(&request.messages[0].content);
            let l = per_byte * (a as f64 - b as f64);
            let a = -(1.0 + (-l).exp()).ln();
            vec![a, a - l]
        }))
    };
    let panel = |members: &[f64]| {
        let members = Panel::of(members.iter().map(|per_byte| model(*per_byte)).collect());
        Judge::new(members, JudgeOptions::default(), Seed(1), Templates::terse().judge.clone())
    };
    let one_mind = checked(&panel(&[1.0, 2.0]), Vec::new());
    let agreement = one_mind.model_agreement.unwrap();
    assert_eq!((agreement.share, one_mind.models.len()), (Some(1.0), 2));
    assert!(one_mind.warnings().is_empty(), "{:?}", one_mind.warnings());

    // The second prefers what is worse, and is outvoted.
    let split = checked(&panel(&[1.0, -1.0, 1.0]), Vec::new());
    assert_eq!(line(&split, Known::Damaged(Damage::Cut)).right, Share::of(30, 30));
    let alone: Vec<f64> = split.models.iter().map(|line| line.damaged.share.unwrap()).collect();
    assert!(alone[0] > 0.9 && alone[1] < 0.1 && alone[2] == alone[0], "{alone:?}");
    assert!(split.model_agreement.unwrap().share.unwrap() < 0.5);
    assert!(
        split.warnings().join("").contains("alone is not shown to be better than a coin"),
        "{:?}",
        split.warnings()
    );
    let json = serde_json::to_string(&checked(&longer(1.0, 0.0), Vec::new())).unwrap();
    assert!(!json.contains("models") && !json.contains("model_agreement"), "one model has no such lines: {json}");
}

#[test]
fn a_judge_that_sees_places_only_is_told() {
    let check = checked(&longer(0.0, 3.0), Vec::new());
    assert_eq!((check.first_shown.share, check.consistency.share), (Some(1.0), Some(0.0)));
    assert_eq!(check.ties.share, Some(1.0));
    let warnings = check.warnings().join("\n");
    assert!(warnings.contains("nothing shows what it is worth"), "{warnings}");
    assert!(warnings.contains("depends on the order"), "{warnings}");
}

#[test]
fn a_judge_that_prefers_the_worse_answer_is_told() {
    let pair = |at: usize| KnownPair {
        pair: Pair {
            agent: AgentId(0),
            question: format!("q{at}"),
            context: None,
            answers: ["short".into(), "the longer and worse one".into()],
        },
        known: Known::Labelled,
    };
    let check = checked(&longer(1.0, 0.0), (0..25).map(pair).collect());
    assert_eq!(check.labelled, Share::of(0, 25));
    assert!(check.warnings()[0].contains("not shown to be better than a coin"), "{:?}", check.warnings());
    assert!(check.slope.is_some());
}
