//! The contexts and outputs of all agents when the graph answered one query.

use crate::base::{AgentId, Digest};
use crate::graph::Graph;
use std::sync::Arc;

/// The input and output of one agent for one query.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentRun {
    /// The context C_i that the agent was shown of its predecessors; empty if it has none.
    pub context: String,
    /// The output o_i without its reasoning; empty after an overflow.
    pub output: String,
    /// The summary of the output, if some successor sees one.
    pub summary: Option<String>,
    /// Whether the prompt was too long for the model. Then there is no answer, and the graph runs
    /// on without it.
    pub overflow: bool,
    /// Whether the output ended in its reasoning. Then there is no answer either.
    pub cut_in_reasoning: bool,
    /// Whether the output ended at the agent's limit of new tokens, so that its end is missing.
    pub truncated: bool,
    /// The digest of the rendered prompt. Decoding is greedy or seeded by
    /// the prompt, so equal inputs have equal outputs.
    pub input: Digest,
}

impl AgentRun {
    /// Whether there is no answer: an overflow, or nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.overflow || self.output.trim().is_empty()
    }
}

/// The runs of all agents for one query. A trace and its re-runs share runs that are equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The query's index in the pool.
    pub item: usize,
    /// The query q.
    pub question: Arc<str>,
    runs: Vec<Arc<AgentRun>>,
}

impl Trace {
    /// A trace with the given runs, in the order of [`Graph::agents`].
    pub fn new(item: usize, question: Arc<str>, runs: Vec<Arc<AgentRun>>) -> Self {
        Self { item, question, runs }
    }

    /// The run of `id`.
    pub fn run(&self, id: AgentId) -> &AgentRun {
        &self.runs[id.0]
    }

    pub(super) fn shared_run(&self, id: AgentId) -> &Arc<AgentRun> {
        &self.runs[id.0]
    }

    /// The output of `id`.
    pub fn output(&self, id: AgentId) -> &str {
        &self.runs[id.0].output
    }

    /// The system's answer, which is the output of the terminal agent.
    pub fn answer(&self, graph: &Graph) -> &str {
        self.output(graph.terminal())
    }

    /// Whether some agent's output ended in its reasoning.
    pub fn was_cut_in_reasoning(&self) -> bool {
        self.runs.iter().any(|run| run.cut_in_reasoning)
    }

    /// Whether some agent's prompt was too long for the model.
    pub fn overflowed(&self) -> bool {
        self.runs.iter().any(|run| run.overflow)
    }
}
