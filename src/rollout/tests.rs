//! Worked examples, and the property of re-runs: a re-run equals a full run, and counts the calls
//! that it avoided.

use super::fixture::{OVERFLOW, SlowModel, graph, text};
use super::*;
use crate::base::{AgentId, Digest};
use crate::chat::{ChatError, ChatModel, Completion, FinishReason, ScriptedModel, Usage};
use crate::graph::EdgeView::{Extracted, Raw, Summary};
use crate::graph::{EdgeView, Graph};
use crate::prompt::Template;
use crate::templates::Templates;
use futures::executor::block_on;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn runner(graph: &Arc<Graph>, model: Arc<dyn ChatModel>) -> Runner {
    Runner::new(graph.clone(), model, RolloutOptions::default(), Templates::terse().summary.clone())
}

fn items(questions: &[&str]) -> Vec<(usize, Arc<str>)> {
    questions.iter().enumerate().map(|(at, q)| (at, Arc::from(*q))).collect()
}

/// Runs the seed prompts on one query.
fn run_one(runner: &Runner, question: &str) -> Trace {
    block_on(runner.run(&Prompts::seed(runner.graph()), &items(&[question]))).unwrap().remove(0)
}

/// Re-runs `base` with `prompt` at agent `at`.
fn rerun(runner: &Runner, base: &Trace, at: usize, prompt: &str) -> Trace {
    let prompts = Prompts::seed(runner.graph()).with(AgentId(at), Template::new(prompt));
    block_on(runner.rerun(base, AgentId(at), &prompts)).unwrap()
}

fn outputs<'a>(trace: &'a Trace, graph: &Graph) -> Vec<&'a str> {
    (0..graph.agents().len()).map(|at| trace.output(AgentId(at))).collect()
}

/// A model that puts brackets around its input.
fn brackets() -> Arc<ScriptedModel> {
    Arc::new(ScriptedModel::new(|request| format!("({})", text(request))))
}

#[test]
fn a_chain_passes_its_outputs_on() {
    let (graph, model) = (graph("abc", &[(0, 1, Raw), (1, 2, Raw)]), brackets());
    let trace = run_one(&runner(&graph, model.clone()), "q {context}");
    assert_eq!(outputs(&trace, &graph), ["(a q {context})", "(b (a q {context}))", "(c (b (a q {context})))"]);
    assert_eq!(trace.run(AgentId(0)).context, "");
    assert_eq!(trace.run(AgentId(2)).context, "(b (a q {context}))");
    assert_eq!(trace.answer(&graph), trace.output(AgentId(2)));
    assert!(!trace.overflowed());
    let request = &model.seen()[0];
    assert_eq!((request.messages.len(), request.max_new_tokens, request.sampling.temperature), (1, 8, 0.0));
}

#[test]
fn several_predecessors_are_named_in_the_order_of_the_edges() {
    let graph = graph("abcd", &[(1, 3, Raw), (0, 3, Raw), (2, 3, Raw)]);
    let trace = run_one(&runner(&graph, brackets()), "q");
    assert_eq!(trace.run(AgentId(3)).context, "[b]\n(b q)\n\n[a]\n(a q)\n\n[c]\n(c q)");
}

#[test]
fn the_changed_agent_and_all_agents_downstream_run_again_and_no_others() {
    let (graph, model) = (graph("abc", &[(0, 1, Raw), (1, 2, Raw)]), brackets());
    let runner = runner(&graph, model.clone());
    let base = run_one(&runner, "q");
    let new = rerun(&runner, &base, 1, "B {context}");
    assert_eq!(outputs(&new, &graph), ["(a q)", "(B (a q))", "(c (B (a q)))"]);
    assert_eq!(model.seen().len(), 3 + 2);
    assert_eq!(runner.avoided(), Avoided { upstream_reused: 1, unchanged_skipped: 0 });
}

#[test]
fn an_unchanged_output_avoids_all_downstream_calls() {
    let graph = graph("abc", &[(0, 1, Raw), (1, 2, Raw)]);
    let model = Arc::new(ScriptedModel::new(|request| text(request).to_lowercase()));
    let runner = runner(&graph, model.clone());
    let base = run_one(&runner, "q");
    let new = rerun(&runner, &base, 0, "A {question}");
    assert_eq!(outputs(&new, &graph), outputs(&base, &graph));
    assert_eq!(text(&model.seen()[3]), "A q");
    assert_eq!(model.seen().len(), 4);
    assert_eq!(runner.avoided(), Avoided { upstream_reused: 0, unchanged_skipped: 2 });
    rerun(&runner, &base, 0, "a {question}");
    assert_eq!(model.seen().len(), 4, "the same prompt again asks nothing at all");
}

/// a feeds b (which sees only the answer) and c (which sees everything); d reads both.
#[test]
fn only_the_branch_whose_view_changed_runs_again() {
    let graph = graph("abcd", &[(0, 1, Extracted), (0, 2, Raw), (1, 3, Raw), (2, 3, Raw)]);
    let model = Arc::new(ScriptedModel::new(|request| format!("{} <answer>7</answer>", text(request))));
    let runner = runner(&graph, model.clone());
    let base = run_one(&runner, "q");
    assert_eq!(base.output(AgentId(1)), "b 7 <answer>7</answer>");
    let new = rerun(&runner, &base, 0, "A {question}");
    let asked: Vec<_> = model.seen()[4..].iter().map(|r| text(r).chars().next().unwrap()).collect();
    assert_eq!(asked, ['A', 'c', 'd']);
    assert_eq!(new.run(AgentId(1)), base.run(AgentId(1)));
    assert_eq!(runner.avoided(), Avoided { upstream_reused: 0, unchanged_skipped: 1 });
}

#[test]
fn a_summary_is_written_once_cut_to_its_words_and_shared() {
    let graph = graph("abcd", &[(0, 1, Summary), (0, 2, Summary), (1, 3, Raw), (2, 3, Raw), (0, 3, Raw)]);
    let model = Arc::new(ScriptedModel::new(|request| match text(request) {
        message if message.starts_with("Summarize") => "one two three four".into(),
        message => format!("({message})"),
    }));
    let options = RolloutOptions { summary_words: 3, ..RolloutOptions::default() };
    let runner = Runner::new(graph.clone(), model.clone(), options, Templates::terse().summary.clone());
    let base = run_one(&runner, "q");
    assert_eq!(base.run(AgentId(0)).summary.as_deref(), Some("one two three"));
    assert_eq!(base.run(AgentId(1)).summary, None);
    assert_eq!(base.output(AgentId(1)), "(b one two three)");
    assert_eq!(base.run(AgentId(3)).context, "[b]\n(b one two three)\n\n[c]\n(c one two three)\n\n[a]\n(a q)");
    let summaries = |from: usize| model.seen()[from..].iter().filter(|r| text(r).starts_with("Summarize")).count();
    assert_eq!((summaries(0), model.seen().len()), (1, 5));
    // Downstream of an unchanged summary, only the agent that also sees the raw text runs again.
    rerun(&runner, &base, 0, "A {question}");
    let asked: Vec<_> = model.seen()[5..].iter().map(|r| text(r).chars().next().unwrap()).collect();
    assert_eq!(asked, ['A', 'S', 'd']);
}

/// A worker that thinks: about `cut` it never ends.
fn thinker() -> ScriptedModel {
    ScriptedModel::thinking(|request| match text(request) {
        message if message.contains("cut") => Completion::cut(format!("LEAK {message}"), Usage::default()),
        message => Completion {
            reasoning: Some(format!("LEAK {message}")),
            ..Completion::of(format!("({message})"), Usage::default())
        },
    })
}

#[test]
fn a_successor_and_a_summary_see_no_reasoning() {
    let graph = graph("abc", &[(0, 1, Summary), (0, 2, Raw), (1, 2, Raw)]);
    let model = Arc::new(thinker());
    let runner = runner(&graph, model.clone());
    let trace = run_one(&runner, "q");
    assert_eq!(trace.output(AgentId(0)), "(a q)");
    assert!(model.seen().iter().all(|request| !text(request).contains("LEAK")), "{:#?}", model.seen());
    // A thought would take the few tokens of a summary, so it is skipped.
    for request in model.seen() {
        assert_eq!(request.max_thinking_tokens, text(&request).starts_with("Summarize").then_some(0));
    }
    assert_eq!((runner.cut_in_reasoning(), trace.was_cut_in_reasoning()), (0, false));
}

#[test]
fn an_output_that_ends_in_its_reasoning_is_empty_and_counted() {
    let graph = graph("abc", &[(0, 1, Raw), (1, 2, Raw)]);
    let runner = runner(&graph, Arc::new(thinker()));
    let traces = block_on(runner.run(&Prompts::seed(&graph), &items(&["q", "cut"]))).unwrap();
    assert_eq!(outputs(&traces[0], &graph), ["(a q)", "(b (a q))", "(c (b (a q)))"]);
    assert_eq!(outputs(&traces[1], &graph), ["", "(b )", "(c (b ))"]);
    assert!(traces[1].run(AgentId(0)).cut_in_reasoning && traces[1].run(AgentId(0)).is_blank());
    assert!(traces[1].was_cut_in_reasoning() && !traces[0].was_cut_in_reasoning());
    assert_eq!((runner.cut_in_reasoning(), runner.overflows()), (1, 0));
}

#[test]
fn an_output_at_its_token_limit_is_marked_as_truncated() {
    let model = ScriptedModel::thinking(|request| {
        let finish_reason = if text(request).contains("long") { FinishReason::Length } else { FinishReason::Stop };
        Completion { finish_reason, ..Completion::of("out", Usage::default()) }
    });
    let runner = runner(&graph("a", &[]), Arc::new(model));
    let marks = ["short", "long"].map(|question| {
        let trace = run_one(&runner, question);
        let run = trace.run(AgentId(0));
        (run.truncated, run.is_blank())
    });
    assert_eq!(marks, [(false, false), (true, false)]);
}

#[test]
fn a_prompt_that_is_too_long_is_data_and_the_rest_still_runs() {
    let graph = graph("abc", &[(0, 1, Raw), (1, 2, Raw)]);
    let model = SlowModel::new(|message| if message.len() > 8 { Err(OVERFLOW) } else { Ok(format!("({message})")) });
    let runner = runner(&graph, Arc::new(model));
    let prompts = Prompts::seed(&graph);
    let traces = block_on(runner.run(&prompts, &items(&["q", "longer question"]))).unwrap();
    assert_eq!(outputs(&traces[0], &graph), ["(a q)", "(b (a q))", ""]);
    assert_eq!(outputs(&traces[1], &graph), ["", "(b )", "(c (b ))"]);
    assert!(traces[1].overflowed() && traces[1].run(AgentId(0)).overflow && !traces[1].run(AgentId(1)).overflow);
    assert_eq!(runner.overflows(), 2);
}

#[test]
fn an_output_that_is_too_long_to_summarize_is_cut() {
    let graph = graph("ab", &[(0, 1, Summary)]);
    let model = SlowModel::new(|message| match message {
        message if message.starts_with("Summarize") => Err(OVERFLOW),
        message => Ok(format!("{message} and more")),
    });
    let options = RolloutOptions { summary_words: 2, ..RolloutOptions::default() };
    let trace = run_one(&Runner::new(graph.clone(), Arc::new(model), options, Templates::terse().summary.clone()), "q");
    assert_eq!(trace.output(AgentId(1)), "b a q and more");
}

#[test]
fn any_other_error_ends_the_run() {
    let graph = graph("ab", &[(0, 1, Raw)]);
    let model = SlowModel::new(|_| Err(ChatError::Storage("disk full".into())));
    let result = block_on(runner(&graph, Arc::new(model)).run(&Prompts::seed(&graph), &items(&["q"])));
    assert!(matches!(result, Err(ChatError::Storage(_))));
}

/// The root b does not answer before x, two steps down the other branch, was called. If agents ran
/// layer by layer, x never would be.
#[test]
fn a_successor_starts_while_others_of_its_depth_still_wait() {
    let graph = graph("axbd", &[(0, 1, Raw), (1, 3, Raw), (2, 3, Raw)]);
    let x_asked = Arc::new(AtomicBool::new(false));
    let (set, get) = (x_asked.clone(), x_asked);
    let model = SlowModel::new(move |message| {
        Ok(if message.starts_with('b') { format!("x first: {}", get.load(Ordering::SeqCst)) } else { message.into() })
    });
    let model = model.with_delay(move |message| {
        set.fetch_or(message.starts_with('x'), Ordering::SeqCst);
        if message.starts_with('b') { 50 } else { 1 }
    });
    let trace = run_one(&runner(&graph, Arc::new(model)), "q");
    assert_eq!(trace.output(AgentId(2)), "x first: true");
}

#[test]
fn items_run_side_by_side_up_to_the_bound_and_come_back_in_order() {
    let questions: Vec<String> = (0..20).map(|n| format!("q{n}")).collect();
    let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
    for (bound, most) in [(4, 4), (0, 1), (100, 20)] {
        let graph = graph("a", &[]);
        // Earlier questions take longer.
        let model = SlowModel::new(|message| Ok(message.into()));
        let model = Arc::new(model.with_delay(|message| 60 - 2 * message[3..].parse::<usize>().unwrap()));
        let options = RolloutOptions { max_in_flight: bound, ..RolloutOptions::default() };
        let runner = Runner::new(graph.clone(), model.clone(), options, Templates::terse().summary.clone());
        let traces = block_on(runner.run(&Prompts::seed(&graph), &items(&questions))).unwrap();
        assert_eq!(model.most_open(), most);
        for (at, trace) in traces.iter().enumerate() {
            assert_eq!((trace.item, trace.output(AgentId(0))), (at, format!("a q{at}").as_str()));
        }
    }
}

#[test]
fn runs_can_be_moved_to_another_thread() {
    fn check<T: Send>(_: &T) {}
    let graph = graph("a", &[]);
    let (runner, prompts) = (runner(&graph, brackets()), Prompts::seed(&graph));
    let trace = run_one(&runner, "q");
    check(&runner.run(&prompts, &[]));
    check(&runner.rerun(&trace, AgentId(0), &prompts));
    check(&runner.rerun_all(&[], AgentId(0), &prompts));
}

/// Draws up to six agents; every pair may have an edge, and an agent that would be a second
/// terminal feeds the last one.
fn any_graph() -> impl Strategy<Value = Arc<Graph>> {
    let view = prop_oneof![Just(Raw), Just(Extracted), Just(Summary)];
    (1..7_usize, proptest::collection::vec((any::<bool>(), view), 15)).prop_map(|(agents, choices)| {
        let pairs = (0..agents).flat_map(|from| (from + 1..agents).map(move |to| (from, to)));
        let chosen = pairs.zip(choices).map(|((from, to), (there, view))| (from, to, there, view)).collect::<Vec<_>>();
        let feeds_on = |agent: usize| chosen.iter().any(|(from, _, there, _)| *from == agent && *there);
        let edges: Vec<(usize, usize, EdgeView)> = chosen
            .iter()
            .filter(|(from, to, there, _)| *there || (*to == agents - 1 && !feeds_on(*from)))
            .map(|(from, to, _, view)| (*from, *to, *view))
            .collect();
        graph(&"abcdef"[..agents], &edges)
    })
}

/// A function of the message with few values, so that outputs, answers and summaries often
/// coincide, and with overflows.
fn any_answer(salt: u64, message: &str) -> Result<String, ChatError> {
    let mut bytes = message.as_bytes().to_vec();
    bytes.extend(salt.to_le_bytes());
    match Digest::of(&bytes).0[0] % 8 {
        0 => Err(OVERFLOW),
        1 => Ok(String::new()),
        n => Ok(format!("{} <answer>{}</answer>", n % 4, n % 2)),
    }
}

proptest! {
    #[test]
    fn a_rerun_equals_a_full_run_and_its_avoided_calls_are_the_difference(
        graph in any_graph(), changed in 0..6_usize, salt: u64,
    ) {
        let changed = AgentId(changed % graph.agents().len());
        let prompts = Prompts::seed(&graph);
        let other = Template::new(format!("new {}", prompts.get(changed).text()));
        let new_prompts = prompts.with(changed, other);
        let model = || Arc::new(SlowModel::new(move |message| any_answer(salt, message)));
        let (full_model, model) = (model(), model());
        let summary = || Templates::terse().summary.clone();
        let runner = Runner::new(graph.clone(), model.clone(), RolloutOptions::default(), summary());
        let batch = items(&["one", "two", "three"]);
        let base = block_on(runner.run(&prompts, &batch)).unwrap();
        let before = model.seen().len();
        let new = block_on(runner.rerun_all(&base, changed, &new_prompts)).unwrap();

        let full_runner = Runner::new(graph.clone(), full_model.clone(), RolloutOptions::default(), summary());
        prop_assert_eq!(&new, &block_on(full_runner.run(&new_prompts, &batch)).unwrap());
        let avoided = runner.avoided();
        let made = model.seen().len() - before;
        let avoided = (avoided.upstream_reused + avoided.unchanged_skipped) as usize;
        prop_assert_eq!(made + avoided, full_model.seen().len());
        for trace in &base {
            let alone = block_on(runner.rerun(trace, changed, &new_prompts)).unwrap();
            prop_assert_eq!(Some(&alone), new.iter().find(|new| new.item == trace.item));
        }
    }

    #[test]
    fn the_order_of_completion_changes_nothing(graph in any_graph(), salt: u64, bound in 1..5_usize) {
        let (prompts, batch) = (Prompts::seed(&graph), items(&["one", "two", "three"]));
        let run = |delay: u64, max_in_flight| {
            let model = SlowModel::new(move |message| any_answer(salt, message));
            let model = model.with_delay(move |message| {
                (Digest::of(message.as_bytes()).0[1] as usize * delay as usize) % 7
            });
            let options = RolloutOptions { max_in_flight, ..RolloutOptions::default() };
            let runner = Runner::new(graph.clone(), Arc::new(model), options, Templates::terse().summary.clone());
            block_on(runner.run(&prompts, &batch)).unwrap()
        };
        prop_assert_eq!(run(0, 1), run(1 + salt % 5, bound));
    }
}
