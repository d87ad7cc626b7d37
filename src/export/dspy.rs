//! A Python program that runs the team in DSPy. The program is the same for every team; the team is
//! data in it.

use super::messages::sampling;
use super::quote::python;
use super::team::Exported;
use crate::graph::{EdgeView, Graph};
use crate::rollout::SystemAgent;
use serde_json::{Value, json};

/// The program, with an empty team.
const PROGRAM: &str = include_str!("dspy_team.py");
/// The line of the program that the team replaces.
const TEAM: &str = "TEAM = json.loads(\"{}\")\n";

pub(super) fn text(team: &Exported, graph: &Graph) -> String {
    let is_summarized =
        |agent: &SystemAgent| team.system.edges.iter().any(|e| e.from == agent.name && e.view == EdgeView::Summary);
    let agent = |agent: &SystemAgent| -> Value {
        let sees: Vec<Value> = team.sees(agent).map(|edge| json!([edge.from, edge.view])).collect();
        let summary = is_summarized(agent).then(|| team.summary_parts(agent));
        json!({
            "name": agent.name,
            "prompt": agent.prompt.text(),
            "max_tokens": agent.max_new_tokens,
            "sees": sees,
            "summary": summary,
        })
    };
    let data = json!({
        "name": team.name,
        "model": team.model,
        "sampling": sampling(&team.decoding),
        "summary_words": team.summary_words,
        "summary_tokens": crate::rollout::summary_tokens(team.summary_words),
        "agents": team.in_order(graph).map(|(_, it)| agent(it)).collect::<Vec<_>>(),
    });
    let json = serde_json::to_string_pretty(&data).expect("a JSON value can be written");
    // Neighbouring literals are one text in Python.
    let lines: String = json.lines().map(|line| format!("    {}\n", python(line))).collect();
    PROGRAM.replacen(TEAM, &format!("TEAM = json.loads(\n{lines})\n"), 1)
}
