//! Reads the graph: `[graph]`, `[[agent]]` and `[[edge]]`.

use super::error::ConfigError;
use super::section::{Section, hint};
use super::tree::Value;
use crate::base::{AgentId, Rule};
use crate::graph::{Agent, Edge, EdgeView, Graph, GraphError, debate, hierarchical, sequential};
use crate::prompt::{Template, without_marks};
use serde::Deserialize;
use std::sync::Arc;

/// The most new tokens of an answer where an agent does not say: the value of the paper's runs.
pub(super) const MAX_NEW_TOKENS: usize = 4096;
/// The values of an agent's `max_new_tokens`.
pub(super) const NEW_TOKENS: Rule = Rule::at_least(1);
/// The most agents of a graph.
const MAX_AGENTS: usize = 1000;

/// The patterns of edges.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub(super) enum Topology {
    /// A chain: each agent is read by the next one.
    Sequential,
    /// All agents but the last are read by the last.
    Hierarchical,
    /// Layers of `debaters` agents, each of which reads every agent of the layer before; the last
    /// agent, the moderator, reads the last layer.
    Debate,
}

/// Reads the graph; `None` if it has faults, which are reported.
pub(super) fn read(root: &Section<'_>, max_prompt_bytes: usize) -> Option<Arc<Graph>> {
    let before = root.faults.count();
    let sections = root.sections("agent");
    if sections.is_empty() && root.faults.count() == before {
        root.missing("agent", "the graph has no agents: add an [[agent]] with name, role and prompt");
    }
    if sections.len() > MAX_AGENTS {
        root.fault("agent", &format!("has {} agents; at most {MAX_AGENTS} are read", sections.len()));
        return None;
    }
    let agents: Vec<_> = sections.iter().map(agent).collect();
    // Edges may name an agent that has other faults.
    let names: Vec<String> = sections.iter().map(|section| section.get("name").unwrap_or_default()).collect();
    let before_edges = root.faults.count();
    let edges = edges(root, &names);
    if sections.is_empty() || root.faults.count() > before_edges {
        return None;
    }
    // Prompts are checked although a name or a number has a fault, so that all faults are reported
    // at once.
    let agents = agents.into_iter().collect::<Option<Vec<Agent>>>()?;
    let is_sound = root.faults.count() == before;
    if agents.iter().all(|agent| !agent.optimize) {
        root.fault("agent", "leaves nothing to optimize: set `optimize = true` for at least one agent");
    }
    match Graph::new(agents, edges, max_prompt_bytes) {
        Ok(graph) => is_sound.then(|| Arc::new(graph)),
        Err(faults) => {
            let place = |fault: &GraphError| match fault {
                GraphError::Prompt { agent, .. } => {
                    let at = names.iter().position(|name| name == agent).expect("a fault names an agent that there is");
                    sections[at].place("prompt")
                }
                GraphError::DuplicateAgent(agent) => {
                    let at =
                        names.iter().rposition(|name| name == agent).expect("a fault names an agent that there is");
                    sections[at].place("name")
                }
                _ => root.first_place(&["edge", "graph", "agent"]),
            };
            root.faults.extend(faults.into_iter().map(|fault| ConfigError::Graph { place: place(&fault), fault }));
            None
        }
    }
}

fn agent(section: &Section<'_>) -> Option<Agent> {
    let name = section.require_text("name", "the agent's name, unique in the graph");
    let is_forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '.' || c == '`';
    if name.as_ref().is_some_and(|name| name.contains(is_forbidden)) {
        section.fault("name", "has a blank, a full stop or a back quote; use letters, digits, `-` and `_`");
    }
    let role = section.require_text("role", "one or two sentences on what the agent is for; the judge judges by it");
    let prompt = prompt(section);
    let frozen: Vec<String> = section.get("frozen").unwrap_or_default();
    let frozen: Vec<String> = frozen.iter().map(|passage| without_marks(passage)).collect();
    if frozen.iter().any(|passage| passage.trim().is_empty()) {
        section.fault("frozen", "holds an empty passage");
    }
    let max_new_tokens = section.number("max_new_tokens", NEW_TOKENS).unwrap_or(MAX_NEW_TOKENS);
    let optimize = section.get("optimize").unwrap_or(true);
    section.finish();
    Some(Agent { name: name?, role: role.unwrap_or_default(), seed_prompt: prompt?, frozen, max_new_tokens, optimize })
}

/// Reads `prompt = "…"` or `prompt = { file = "…" }`, without byte-order marks and carriage
/// returns. One line break at the end of a file is not part of the prompt.
fn prompt(section: &Section<'_>) -> Option<Template> {
    match section.entry("prompt").map(|entry| &entry.node.value) {
        Some(Value::Table(_)) => {
            let inner = section.section("prompt")?;
            let file = inner.require_text("file", "the prompt's file, relative to the experiment file");
            inner.finish();
            let path = inner.resolve("file", &file?);
            match std::fs::read(&path).map(String::from_utf8) {
                Ok(Ok(text)) => {
                    let text = without_marks(&text);
                    Some(Template::new(text.strip_suffix('\n').unwrap_or(&text)))
                }
                Ok(Err(_)) => {
                    inner.fault("file", &format!("names a file that is not UTF-8: {}", path.display()));
                    None
                }
                Err(error) => {
                    inner
                        .fault("file", &format!("cannot be read: {}: {}", path.display(), super::load::reason(&error)));
                    None
                }
            }
        }
        _ => section
            .require_text("prompt", "the text, or { file = \"…\" }")
            .map(|text| Template::new(without_marks(&text))),
    }
}

fn edges(root: &Section<'_>, names: &[String]) -> Vec<Edge> {
    let graph = root.section("graph");
    let topology = graph.as_ref().and_then(|graph| graph.get::<Topology>("topology"));
    let view = graph.as_ref().and_then(|graph| graph.get::<EdgeView>("view")).unwrap_or_default();
    let debaters = graph.as_ref().and_then(|graph| graph.get::<usize>("debaters"));
    let listed = root.sections("edge");
    let mut edges: Vec<Edge> = listed.iter().filter_map(|section| edge(section, names, view)).collect();
    let Some(graph) = graph else { return edges };
    if debaters.is_some() && topology != Some(Topology::Debate) {
        graph.fault("debaters", "is for `topology = \"debate\"` only");
    }
    if topology.is_some() && !listed.is_empty() {
        graph.fault("topology", "and [[edge]] both say what the edges are; keep one of them");
    }
    match topology {
        None => {}
        Some(Topology::Sequential) => edges = sequential(names.len(), view),
        Some(Topology::Hierarchical) => edges = hierarchical(names.len(), view),
        Some(Topology::Debate) => match debaters.map(|debaters| (debaters, debate(names.len(), debaters, view))) {
            None => graph.missing("debaters", "how many agents debate in each round"),
            Some((_, Some(preset))) => edges = preset,
            Some((debaters, None)) => {
                let problem =
                    format!("is {debaters}, but {} agents are not {debaters} per round and a moderator", names.len());
                graph.fault("debaters", &problem);
            }
        },
    }
    graph.finish();
    edges
}

fn edge(section: &Section<'_>, names: &[String], view: EdgeView) -> Option<Edge> {
    let end = |key: &'static str| {
        let name = section.require_text(key, "the name of an agent")?;
        let found = names.iter().position(|other| *other == name);
        if found.is_none() {
            let known = names.iter().map(String::as_str).filter(|name| !name.is_empty());
            section.fault(key, &format!("is {name:?}, which is no agent; {}", hint(&name, known)));
        }
        found.map(AgentId)
    };
    let (from, to) = (end("from"), end("to"));
    let view = section.get("view").unwrap_or(view);
    section.finish();
    Some(Edge { from: from?, to: to?, view })
}
