//! One prompt per agent, with which the graph is run.

use crate::base::AgentId;
use crate::graph::Graph;
use crate::prompt::Template;
use serde::{Deserialize, Serialize};

/// The prompts of all agents, indexed by [`AgentId`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Prompts(Vec<Template>);

impl Prompts {
    /// Returns the prompts that the search starts from.
    pub fn seed(graph: &Graph) -> Self {
        Self(graph.agents().iter().map(|agent| agent.seed_prompt.clone()).collect())
    }

    /// The prompt of `id`.
    pub fn get(&self, id: AgentId) -> &Template {
        &self.0[id.0]
    }

    /// Returns these prompts with the one of `id` replaced.
    pub fn with(&self, id: AgentId, prompt: Template) -> Self {
        let mut prompts = self.clone();
        prompts.0[id.0] = prompt;
        prompts
    }

    /// All prompts, in the order of [`Graph::agents`].
    pub fn iter(&self) -> impl Iterator<Item = (AgentId, &Template)> {
        self.0.iter().enumerate().map(|(at, prompt)| (AgentId(at), prompt))
    }
}
