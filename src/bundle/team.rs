//! Everything that the answers of a team depend on beside its prompts: the graph, the request for
//! summaries, the worker model and how it decodes, and how rows are read and answers found. A run
//! records it, so that its folder can be used without the experiment file.

use crate::base::{AgentId, Digest, Seed};
use crate::chat::{Decoding, ModelIdentity};
use crate::engine::qwen3::Dtype;
use crate::graph::{Agent, Edge, Graph};
use crate::prompt::Template;
use crate::rollout::{AnswerRule, Prompts, System, SystemEdge};
use crate::task::Scorer;
use crate::templates::{RequestTemplate, SUMMARY};
use serde::{Deserialize, Serialize};

/// A team and how it is run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Team {
    /// The experiment's name.
    pub name: String,
    /// The seed that sampled answers derive from.
    pub seed: Seed,
    /// The graph.
    pub graph: GraphPart,
    /// The requests that were used beside the agents' prompts.
    pub templates: TemplatesPart,
    /// How outputs are summarized for agents that see summaries.
    pub summary: SummaryPart,
    /// How rows are read, and where the answer in an output is.
    pub task: TaskPart,
    /// The model that runs the agents.
    pub model: TeamModel,
}

/// The agents, their edges, and how their outputs become an answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct GraphPart {
    /// The agents.
    pub agents: Vec<TeamAgent>,
    /// The edges, by the agents' names.
    pub edges: Vec<SystemEdge>,
    /// How outputs become an answer.
    #[serde(flatten)]
    pub rule: AnswerRule,
}

/// An agent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TeamAgent {
    /// Its name.
    pub name: String,
    /// Its task in one or two sentences.
    pub role: String,
    /// The most new tokens of one answer.
    pub max_new_tokens: usize,
    /// Whether the search was allowed to change its prompt.
    pub optimize: bool,
    /// Passages that its prompts keep verbatim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// The prompt that the search started from.
    pub seed_prompt: Template,
}

/// The template sets of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TemplatesPart {
    /// The set of the optimizer's request: the name of one in the program, or a folder.
    pub optimizer: String,
    /// The set of the judge's request.
    pub judge: String,
    /// The set of the request for a summary.
    pub summary: String,
    /// The task preset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The digest over the texts of all requests.
    pub digest: Digest,
}

/// How outputs are summarized.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SummaryPart {
    /// The most words.
    pub words: usize,
    /// The text of the request.
    pub request: String,
}

/// How rows are read, and where the answer in an output is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TaskPart {
    /// The fields whose texts, joined by line breaks, form the question.
    pub question: Vec<String>,
    /// The field that holds a row's id; the line number is the id without one.
    pub id: Option<String>,
    /// The field with the tests that show what a program's function has to be called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_hint: Option<String>,
    /// The longest prompt in bytes.
    pub max_prompt_bytes: usize,
    /// How the answer in an output is found and compared.
    pub scorer: Option<Scorer>,
    /// The version of the scorer's rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scorer_version: Option<u32>,
    /// The scorer's rules in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub convention: Option<String>,
}

/// The model that runs the agents.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TeamModel {
    /// Where it is: `embedded:triage` or a path. A model behind a server has none: a bundle is data
    /// that is handed on, and it must not decide to whom rows are sent.
    pub source: Option<String>,
    /// The requested number format of the weights.
    pub dtype: Dtype,
    /// Whether the chat template turns thinking on.
    pub thinking: bool,
    /// How it decodes.
    pub decoding: Decoding,
    /// Its name and the digest over everything about it that can change an answer; absent in the
    /// record of a run that has not opened it yet.
    pub identity: Option<ModelIdentity>,
}

impl Team {
    /// Returns the request for a summary.
    ///
    /// # Errors
    /// It is no request for one.
    pub fn summary_request(&self) -> Result<RequestTemplate, String> {
        RequestTemplate::parse("summary", &self.summary.request, SUMMARY)
            .map_err(|faults| format!("its request for summaries: {}", faults[0].problem))
    }

    /// Returns the graph, whose seed prompts are those of the search.
    ///
    /// # Errors
    /// Every reason why agents and edges are no usable graph.
    pub fn graph(&self) -> Result<Graph, Vec<String>> {
        let GraphPart { agents, edges, .. } = &self.graph;
        let agent = |agent: &TeamAgent| Agent {
            name: agent.name.clone(),
            role: agent.role.clone(),
            seed_prompt: agent.seed_prompt.clone(),
            frozen: agent.frozen.clone(),
            max_new_tokens: agent.max_new_tokens,
            optimize: agent.optimize,
        };
        let find = |name: &str| agents.iter().position(|agent| agent.name == name).map(AgentId);
        let edge = |edge: &SystemEdge| {
            let end = |name: &str| find(name).ok_or_else(|| format!("an edge names `{name}`, which is no agent"));
            Ok(Edge { from: end(&edge.from)?, to: end(&edge.to)?, view: edge.view })
        };
        let edges = edges.iter().map(edge).collect::<Result<Vec<_>, String>>().map_err(|fault| vec![fault])?;
        Graph::new(agents.iter().map(agent).collect(), edges, self.task.max_prompt_bytes)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    /// Returns the system of the team with these prompts, in the order of the agents.
    pub fn system(&self, graph: &Graph, prompts: &Prompts) -> System {
        System::new(graph, prompts, self.graph.rule)
    }

    /// Makes the team the one that a method ended with, if that is another than the experiment's.
    /// Its prompts are its seed prompts from then on.
    pub(super) fn become_system(&mut self, system: &System) {
        let agent = |agent: &crate::rollout::SystemAgent| TeamAgent {
            name: agent.name.clone(),
            role: agent.role.clone(),
            max_new_tokens: agent.max_new_tokens,
            optimize: false,
            frozen: Vec::new(),
            seed_prompt: agent.prompt.clone(),
        };
        self.graph = GraphPart {
            agents: system.agents.iter().map(agent).collect(),
            edges: system.edges.clone(),
            rule: system.rule,
        };
        let longest = system.agents.iter().map(|agent| agent.prompt.text().len()).max().unwrap_or(0);
        self.task.max_prompt_bytes = self.task.max_prompt_bytes.max(longest);
    }
}
