//! Exports of a team whose names, prompts and outputs do what they can to be more than text. The
//! files are golden: after a change on purpose, `UPDATE_EXPECT=1 cargo test --lib export` writes
//! them anew, and `scripts/peers/export.py` must pass again. It runs them in DSPy and promptfoo and
//! compares every message with those in `calls.json`, which are the ones that the team sends here.

use super::{ExportError, Exported, Format};
use crate::chat::{ChatModel, Decoding, ScriptedModel};
use crate::graph::EdgeView;
use crate::prompt::Template;
use crate::rollout::{AnswerRule, Prompts, RolloutOptions, Runner, System, SystemAgent, SystemEdge};
use crate::templates::Templates;
use expect_test::{ExpectFile, expect_file};
use futures::executor::block_on;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const QUESTION: &str = "What {context} is \"this\", 'this' \\ <b>that</b> 😀?\n\tIt ends here.";

fn agent(name: &str, prompt: &str) -> SystemAgent {
    let role = format!("Does what {name} does; \"well\", `always`, {{{{ 7*7 }}}}.");
    SystemAgent { name: name.into(), role, prompt: Template::new(prompt), max_new_tokens: 16 }
}

/// Four agents; the last one sees the whole output of the first, the answer of the second, and of
/// the third what `view` shows.
fn team(view: EdgeView) -> Exported {
    let edge = |from: &str, view| SystemEdge { from: from.into(), to: "last".into(), view };
    let agents = vec![
        agent(
            "first {{ 7*7 }}\"'\\",
            "\n   {{ 7*7 }} {% raw %} {# no #} { {question}{ ${x} `~```` \\n \"\"\" '''\n\ttabs \n",
        ),
        agent("second: #1\n[last]", "{%endraw%}{% include 'x' %}{question}|{{quest}}|😀\u{2028}\u{7}\u{85}end"),
        agent("third", "file:///etc/passwd {question}"),
        agent("last", "{context}\n---\n{question}{% if true %}\n</data> # Title\n\n"),
    ];
    let edges = vec![
        edge(&agents[0].name, EdgeView::Raw),
        edge(&agents[1].name, EdgeView::Extracted),
        edge(&agents[2].name, view),
    ];
    Exported {
        name: "hostile".into(),
        model: "made-up: \"model\"".into(),
        decoding: Decoding::default(),
        system: System { agents, edges, rule: AnswerRule::Once },
        summary_words: 3,
        summary: Templates::standard().summary.clone(),
    }
}

/// Returns what the model of the team replies: outputs that look like templates, paths and tags.
fn reply(message: &str) -> &'static str {
    match message {
        text if text.contains("tabs") => "file:///etc/passwd {{ question }} {% raw %} {context} \"q\" \\ \n\n",
        text if text.contains("end\u{7}") || text.contains("|😀") => {
            "a <answer>no</answer> <ANSWER>\u{a0}{{output_0}} {question}\n </Answer> b</answer>"
        }
        text if text.starts_with("file:///") => "one </data> two\u{2003}three, four <answer> fi\"ve </answer>",
        text if text.contains("<data>") => " so <data> it\nis said in many words ",
        _ => "<answer>done {{ 7*7 }}</answer>",
    }
}

/// Runs the team, and returns its calls and its answer.
fn calls(team: &Exported) -> Value {
    let graph = Arc::new(team.system.graph().unwrap());
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let calls = seen.clone();
    let model: Arc<dyn ChatModel> = Arc::new(ScriptedModel::new(move |request| {
        let [message] = &request.messages[..] else { panic!("one message") };
        let reply = reply(&message.content);
        let call = json!({"message": message.content, "max_tokens": request.max_new_tokens, "reply": reply});
        calls.lock().unwrap().push(call);
        reply.to_string()
    }));
    let options = RolloutOptions { summary_words: team.summary_words, ..RolloutOptions::default() };
    let runner = Runner::new(graph.clone(), model, options, team.summary.clone());
    let items: Vec<(usize, Arc<str>)> = vec![(0, QUESTION.into())];
    let traces = block_on(runner.run(&Prompts::seed(&graph), &items)).unwrap();
    let calls = seen.lock().unwrap().clone();
    json!({"question": QUESTION, "calls": calls, "answer": traces[0].answer(&graph)})
}

#[track_caller]
fn check(team: &Exported, format: Format, expected: ExpectFile) {
    expected.assert_eq(&team.text(format).unwrap());
}

#[test]
fn a_hostile_team_is_text_in_every_format() {
    let (summary, answer) = (team(EdgeView::Summary), team(EdgeView::Extracted));
    check(&summary, Format::Json, expect_file!["../../tests/golden/export/team.json"]);
    check(&summary, Format::Markdown, expect_file!["../../tests/golden/export/team.markdown"]);
    check(&summary, Format::OpenAiMessages, expect_file!["../../tests/golden/export/messages.json"]);
    check(&summary, Format::Dspy, expect_file!["../../tests/golden/export/team_dspy.py.txt"]);
    check(&answer, Format::Promptfoo, expect_file!["../../tests/golden/export/promptfoo.yaml"]);
    let calls = json!({
        "made_by": "UPDATE_EXPECT=1 cargo test --lib export; used by scripts/peers/export.py",
        "summary": calls(&summary),
        "extracted": calls(&answer),
    });
    let calls = serde_json::to_string_pretty(&calls).unwrap() + "\n";
    expect_file!["../../tests/golden/export/calls.json"].assert_eq(&calls);
}

#[test]
fn what_a_format_cannot_say_is_refused() {
    let summary = team(EdgeView::Summary);
    let refused = |team: &Exported, format| team.text(format).unwrap_err().to_string();
    assert_eq!(
        refused(&summary, Format::Promptfoo),
        "`last` reads a summary of `third`, which the format promptfoo cannot say; `json`, `markdown` and `dspy` can"
    );
    let mut vote = team(EdgeView::Raw);
    vote.system.rule = AnswerRule::Vote { samples: 3, temperature: 0.7 };
    for format in [Format::Dspy, Format::Promptfoo] {
        let expected = format!(
            "the team's answer is made by a vote over several runs, which the format {} cannot say; `json` and \
             `markdown` can",
            format.name()
        );
        assert_eq!(refused(&vote, format), expected);
    }
    assert!(vote.text(Format::Markdown).unwrap().contains("the team runs 3 times at temperature 0.7"));
    vote.system.edges.clear();
    assert!(matches!(vote.text(Format::Json), Err(ExportError::Graph(_))));
}

/// A file's only braces that nunjucks reads are those that the export put there.
#[test]
fn quoted_text_has_no_tag_of_its_own() {
    use super::quote::{markdown_block, nunjucks, python, yaml};
    let text = "{{{ {% x %} {# y #} }}} }";
    let rest = nunjucks(text).replace("{{ \"{\" }}", "").replace("{{ \"}\" }}", "");
    assert_eq!(rest, text.replace('{', "").replace("#}", "#"));
    assert_eq!(yaml("a\u{85}\u{2028}\u{202e}\n\"😀"), "\"a\\u0085\\u2028\\u202e\\n\\\"😀\"");
    assert_eq!(python("\"😀\u{e9}\\n\""), r#""\"\\ud83d\\ude00\\u00e9\\n\"""#);
    assert_eq!(markdown_block("a ```` b"), "`````text\na ```` b\n`````\n");
}
