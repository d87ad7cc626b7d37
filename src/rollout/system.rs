//! What a method ends with: the agents with their prompts, the edges between them, and the rule by
//! which their outputs become an answer.

use super::Prompts;
use crate::base::AgentId;
use crate::graph::{Agent, Edge, EdgeView, Graph, GraphError};
use crate::prompt::Template;
use serde::{Deserialize, Serialize};

/// How the outputs of a team become one answer.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum AnswerRule {
    /// The team runs once, and its terminal agent's output is the answer.
    #[default]
    Once,
    /// The team runs several times, and the outputs vote by the classes of the scorer. Of classes
    /// with equally many votes, the one that appeared first wins.
    Vote {
        /// The number of runs.
        samples: usize,
        /// The sampling temperature of the agents.
        temperature: f64,
    },
    /// The first agent drafts an answer; the second criticizes it and the third revises it, until
    /// the critique says that nothing is to be changed.
    Refine {
        /// The most revisions.
        rounds: usize,
    },
}

/// An agent of a system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SystemAgent {
    /// Its name.
    pub name: String,
    /// Its task.
    pub role: String,
    /// Its prompt.
    pub prompt: Template,
    /// The most new tokens of one answer.
    pub max_new_tokens: usize,
}

/// An edge of a system.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SystemEdge {
    /// The name of the agent whose output is seen.
    pub from: String,
    /// The name of the agent that sees it.
    pub to: String,
    /// What is seen.
    #[cfg_attr(test, schemars(with = "String"))]
    pub view: EdgeView,
}

/// A whole system.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct System {
    /// The agents.
    pub agents: Vec<SystemAgent>,
    /// The edges.
    pub edges: Vec<SystemEdge>,
    /// How outputs become an answer.
    #[serde(flatten)]
    pub rule: AnswerRule,
}

impl System {
    /// The system of a graph with `prompts`.
    pub fn new(graph: &Graph, prompts: &Prompts, rule: AnswerRule) -> Self {
        let agent = |(at, agent): (usize, &Agent)| SystemAgent {
            name: agent.name.clone(),
            role: agent.role.clone(),
            prompt: prompts.get(AgentId(at)).clone(),
            max_new_tokens: agent.max_new_tokens,
        };
        let name = |id: AgentId| graph.agent(id).name.clone();
        let edge = |edge: &Edge| SystemEdge { from: name(edge.from), to: name(edge.to), view: edge.view };
        Self {
            agents: graph.agents().iter().enumerate().map(agent).collect(),
            edges: graph.edges().iter().map(edge).collect(),
            rule,
        }
    }

    /// The graph of the system, whose seed prompts are the system's prompts.
    ///
    /// # Errors
    /// Agents and edges are no usable graph.
    pub fn graph(&self) -> Result<Graph, Vec<GraphError>> {
        let agent = |agent: &SystemAgent| Agent {
            name: agent.name.clone(),
            role: agent.role.clone(),
            seed_prompt: agent.prompt.clone(),
            frozen: Vec::new(),
            max_new_tokens: agent.max_new_tokens,
            optimize: false,
        };
        let position = |name: &str| AgentId(self.agents.iter().position(|agent| agent.name == name).unwrap_or(0));
        let edge = |edge: &SystemEdge| Edge { from: position(&edge.from), to: position(&edge.to), view: edge.view };
        let agents = self.agents.iter().map(agent).collect();
        Graph::new(agents, self.edges.iter().map(edge).collect(), usize::MAX)
    }
}
