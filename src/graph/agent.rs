//! Agents and edges as plain values.

use crate::base::AgentId;
use crate::prompt::{Constraints, Slot, Template};
use serde::{Deserialize, Serialize};

/// One agent of the graph.
#[derive(Clone, PartialEq, Debug)]
pub struct Agent {
    /// Its name, unique in the graph.
    pub name: String,
    /// What it is for, in one or two sentences: the judge judges by it and the optimizer reads it.
    pub role: String,
    /// The prompt p_i that the search starts from.
    pub seed_prompt: Template,
    /// Passages that every candidate must keep verbatim.
    pub frozen: Vec<String>,
    /// Most new tokens of one answer.
    pub max_new_tokens: usize,
    /// Whether the search may change the prompt.
    pub optimize: bool,
}

impl Agent {
    /// The rules that this agent's prompts obey: the seed prompt's own slots, each exactly once.
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
    /// The last `<answer>…</answer>`; the whole text where there is none.
    Extracted,
    /// A summary of at most 30 words, written by the worker.
    Summary,
}

/// `from`'s output is part of `to`'s context.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Edge {
    /// The predecessor.
    pub from: AgentId,
    /// The successor.
    pub to: AgentId,
    /// What `to` sees.
    pub view: EdgeView,
}
