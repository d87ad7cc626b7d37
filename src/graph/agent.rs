//! Agents and edges, as plain values.

use crate::base::AgentId;
use crate::prompt::{Constraints, Slot, Template};
use serde::{Deserialize, Serialize};

/// One agent of the graph.
#[derive(Clone, PartialEq, Debug)]
pub struct Agent {
    /// The agent's name, unique in the graph.
    pub name: String,
    /// Its task in one or two sentences. The judge compares its outputs by it, and the optimizer
    /// model reads it.
    pub role: String,
    /// The prompt p_i that the search starts from.
    pub seed_prompt: Template,
    /// Passages that every candidate must keep verbatim.
    pub frozen: Vec<String>,
    /// The most new tokens of one answer.
    pub max_new_tokens: usize,
    /// Whether the search may change the prompt.
    pub optimize: bool,
}

/// New tokens of one answer, where nothing else is said.
const MAX_NEW_TOKENS: usize = 256;

impl Agent {
    /// An agent whose whole prompt the search may change. `prompt` holds the slots `{question}` and
    /// `{context}`; agents without predecessors need the first, all others the second.
    pub fn new(name: impl Into<String>, role: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            role: role.into(),
            seed_prompt: Template::new(prompt),
            frozen: Vec::new(),
            max_new_tokens: MAX_NEW_TOKENS,
            optimize: true,
        }
    }

    /// The constraints on this agent's prompts: the slots of its seed prompt, each exactly once,
    /// and its frozen passages.
    pub fn constraints(&self, max_prompt_bytes: usize) -> Constraints {
        let slots = Slot::ALL.into_iter().filter(|slot| self.seed_prompt.count(*slot) > 0).collect();
        Constraints { slots, frozen: self.frozen.clone(), max_bytes: max_prompt_bytes }
    }
}

/// What a successor sees of its predecessor's output.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EdgeView {
    /// The whole text.
    #[default]
    Raw,
    /// The last `<answer>…</answer>`, or the whole text if there is none.
    Extracted,
    /// A summary of at most 30 words, written by the worker.
    Summary,
}

/// An edge of the graph: the output of `from` is part of the context of `to`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Edge {
    /// The predecessor.
    pub from: AgentId,
    /// The successor.
    pub to: AgentId,
    /// What the successor sees of the output.
    pub view: EdgeView,
}
