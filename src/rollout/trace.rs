//! What happened when the graph answered one query.

use crate::base::{AgentId, Digest};
use crate::graph::Graph;
use std::sync::Arc;

/// What one agent read and wrote.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentRun {
    /// C_i: what it was shown of its predecessors; empty when it has none.
    pub context: String,
    /// o_i: what it wrote; empty after an overflow.
    pub output: String,
    /// The summary of the output, where some successor sees one.
    pub summary: Option<String>,
    /// Whether its prompt was too long for the model: there is no answer, and the run went on
    /// without it.
    pub overflow: bool,
    /// Digest of the rendered prompt. Greedy decoding: equal inputs have equal outputs.
    pub input: Digest,
}

impl AgentRun {
    /// Whether there is no answer at all: an overflow, or nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.overflow || self.output.trim().is_empty()
    }
}

/// One query through the whole graph. Runs are shared between a trace and its re-runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The query's index in the pool.
    pub item: usize,
    /// The query q.
    pub question: Arc<str>,
    runs: Vec<Arc<AgentRun>>,
}

impl Trace {
    /// A trace of the given runs, in the order of [`Graph::agents`].
    pub fn new(item: usize, question: Arc<str>, runs: Vec<Arc<AgentRun>>) -> Self {
        Self { item, question, runs }
    }

    /// What `id` read and wrote.
    pub fn run(&self, id: AgentId) -> &AgentRun {
        &self.runs[id.0]
    }

    pub(super) fn shared_run(&self, id: AgentId) -> &Arc<AgentRun> {
        &self.runs[id.0]
    }

    /// What `id` wrote.
    pub fn output(&self, id: AgentId) -> &str {
        &self.runs[id.0].output
    }

    /// The system's answer: what the terminal agent wrote.
    pub fn answer(&self, graph: &Graph) -> &str {
        self.output(graph.terminal())
    }

    /// Whether some agent's prompt was too long.
    pub fn overflowed(&self) -> bool {
        self.runs.iter().any(|run| run.overflow)
    }
}
