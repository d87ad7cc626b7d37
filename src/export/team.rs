//! The team that is exported, and the formats.

use super::{dspy, markdown, messages, promptfoo};
use crate::base::AgentId;
use crate::chat::Decoding;
use crate::graph::{EdgeView, Graph};
use crate::rollout::{AnswerRule, System, SystemAgent, SystemEdge};
use crate::templates::{RequestTemplate, Scope};
use serde_json::{Value, json};

/// The version of the JSON form.
const SCHEMA: u32 = 1;
/// Stands for an output while the request for a summary is cut into its parts. Private characters,
/// because no sensible text holds them.
const OUTPUT: &str = "\u{e000}\u{e001}output\u{e001}\u{e000}";

/// A format that a team is exported in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Plain JSON with everything that makes the team.
    Json,
    /// Markdown for people.
    Markdown,
    /// A Python program for DSPy.
    Dspy,
    /// JSON with a request of OpenAI's API for every agent.
    OpenAiMessages,
    /// A configuration for promptfoo, in YAML.
    Promptfoo,
}

/// A team with everything that its answers depend on beside the model's weights.
#[derive(Clone, PartialEq, Debug)]
pub struct Exported {
    /// The experiment's name.
    pub name: String,
    /// The name of the model that runs the agents.
    pub model: String,
    /// How it decodes; what is `None` is greedy.
    pub decoding: Decoding,
    /// The agents with their prompts, the edges, and how outputs become an answer.
    pub system: System,
    /// The most words of a summary.
    pub summary_words: usize,
    /// The request for a summary.
    pub summary: RequestTemplate,
}

/// Why a team cannot be exported.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ExportError {
    /// Agents and edges are no usable graph.
    #[error("{0}")]
    Graph(String),
    /// The format has no form for how outputs become an answer.
    #[error("the team's answer is made by {rule}, which the format {format} cannot say; `json` and `markdown` can")]
    Rule {
        /// How outputs become an answer.
        rule: &'static str,
        /// The format's name.
        format: &'static str,
    },
    /// The format has no form for summaries.
    #[error(
        "`{to}` reads a summary of `{from}`, which the format {format} cannot say; `json`, `markdown` and `dspy` can"
    )]
    Summary {
        /// The agent whose output is summarized.
        from: String,
        /// The agent that reads the summary.
        to: String,
        /// The format's name.
        format: &'static str,
    },
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::Json, Self::Markdown, Self::Dspy, Self::OpenAiMessages, Self::Promptfoo];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Dspy => "dspy",
            Self::OpenAiMessages => "openai-messages",
            Self::Promptfoo => "promptfoo",
        }
    }
}

impl Exported {
    /// Returns the team in a format.
    ///
    /// # Errors
    /// The format cannot say what the team does, or agents and edges are no usable graph.
    pub fn text(&self, format: Format) -> Result<String, ExportError> {
        let graph = self.graph()?;
        match format {
            Format::Json => Ok(pretty(&self.json(&graph))),
            Format::Markdown => Ok(markdown::text(self, &graph)),
            Format::OpenAiMessages => Ok(pretty(&messages::json(self, &graph))),
            Format::Dspy => {
                self.must_run_once(format)?;
                Ok(dspy::text(self, &graph))
            }
            Format::Promptfoo => {
                self.must_run_once(format)?;
                if let Some(edge) = self.system.edges.iter().find(|edge| edge.view == EdgeView::Summary) {
                    let SystemEdge { from, to, .. } = edge.clone();
                    return Err(ExportError::Summary { from, to, format: format.name() });
                }
                Ok(promptfoo::text(self, &graph))
            }
        }
    }

    fn graph(&self) -> Result<Graph, ExportError> {
        let faults = |faults: Vec<crate::graph::GraphError>| {
            ExportError::Graph(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        self.system.graph().map_err(faults)
    }

    fn must_run_once(&self, format: Format) -> Result<(), ExportError> {
        let rule = match self.system.rule {
            AnswerRule::Once => return Ok(()),
            AnswerRule::Vote { .. } => "a vote over several runs",
            AnswerRule::Refine { .. } => "rounds of critique and revision",
        };
        Err(ExportError::Rule { rule, format: format.name() })
    }

    /// Returns the plain form.
    pub(super) fn json(&self, graph: &Graph) -> Value {
        json!({
            "schema": SCHEMA,
            "kind": "maspo-team",
            "name": self.name,
            "model": self.model,
            "decoding": self.decoding,
            "system": self.system,
            "order": self.in_order(graph).map(|(_, agent)| &agent.name).collect::<Vec<_>>(),
            "summary": {"words": self.summary_words, "request": self.summary.source()},
        })
    }

    /// Returns the agents in the order in which they run; the last one gives the answer.
    pub(super) fn in_order<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = (AgentId, &'a SystemAgent)> {
        graph.order().iter().map(|id| (*id, &self.system.agents[id.0]))
    }

    /// Returns what an agent sees of its predecessors, in the order of its context.
    pub(super) fn sees<'a>(&'a self, agent: &'a SystemAgent) -> impl Iterator<Item = &'a SystemEdge> {
        self.system.edges.iter().filter(move |edge| edge.to == agent.name)
    }

    /// Returns the request for a summary of an agent's output as the parts between which the fenced
    /// output stands.
    pub(super) fn summary_parts(&self, agent: &SystemAgent) -> Vec<String> {
        let values = Scope::default()
            .text("role", agent.role.as_str())
            .text("words", self.summary_words.to_string())
            .text("output", OUTPUT);
        self.summary.render(&values).split(OUTPUT).map(str::to_string).collect()
    }
}

/// Returns indented JSON with a line end.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).expect("a JSON value can be written") + "\n"
}
