//! The validated graph and its queries.

use super::agent::{Agent, Edge};
use crate::base::AgentId;
use crate::prompt::{Slot, Template};

/// A directed acyclic graph with exactly one terminal agent, whose output is the system's answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Graph {
    agents: Vec<Agent>,
    edges: Vec<Edge>,
    order: Vec<AgentId>,
}

/// Why agents and edges do not form a usable graph.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GraphError {
    /// There is no agent.
    #[error("the graph has no agents")]
    Empty,
    /// Two agents share a name.
    #[error("two agents are named `{0}`")]
    DuplicateAgent(String),
    /// An edge is listed twice.
    #[error("the edge {from} -> {to} stands twice")]
    DuplicateEdge {
        /// Predecessor.
        from: String,
        /// Successor.
        to: String,
    },
    /// The edges form a cycle.
    #[error("the graph has a cycle: {}", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// More than one agent has no successor.
    #[error("the graph has {} terminal agents ({}); exactly one may have no successor", .0.len(), .0.join(", "))]
    Terminals(Vec<String>),
    /// A prompt lacks a slot that its position in the graph requires, or breaks another constraint.
    #[error("agent `{agent}`: {problem}")]
    Prompt {
        /// The agent's name.
        agent: String,
        /// What is wrong.
        problem: String,
    },
}

impl Graph {
    /// Validates agents and edges, and sorts the agents topologically (ties by position).
    ///
    /// # Errors
    /// Returns all faults, not only the first.
    pub fn new(agents: Vec<Agent>, edges: Vec<Edge>, max_prompt_bytes: usize) -> Result<Self, Vec<GraphError>> {
        let mut errors = Vec::new();
        if agents.is_empty() {
            return Err(vec![GraphError::Empty]);
        }
        for (at, agent) in agents.iter().enumerate() {
            if agents[..at].iter().any(|other| other.name == agent.name) {
                errors.push(GraphError::DuplicateAgent(agent.name.clone()));
            }
            errors.extend(prompt_errors(AgentId(at), agent, &edges, max_prompt_bytes));
        }
        for (at, edge) in edges.iter().enumerate() {
            if edges[..at].iter().any(|other| (other.from, other.to) == (edge.from, edge.to)) {
                let name = |id: AgentId| agents[id.0].name.clone();
                errors.push(GraphError::DuplicateEdge { from: name(edge.from), to: name(edge.to) });
            }
        }
        let order = match topological_order(agents.len(), &edges) {
            Ok(order) => order,
            Err(cycle) => {
                errors.push(GraphError::Cycle(cycle.iter().map(|id| agents[id.0].name.clone()).collect()));
                return Err(errors);
            }
        };
        let terminals: Vec<_> = (0..agents.len()).filter(|i| edges.iter().all(|edge| edge.from.0 != *i)).collect();
        if terminals.len() != 1 {
            errors.push(GraphError::Terminals(terminals.iter().map(|i| agents[*i].name.clone()).collect()));
        }
        if errors.is_empty() { Ok(Self { agents, edges, order }) } else { Err(errors) }
    }

    /// Returns the graph with other seed prompts, which must fit their agents.
    #[must_use]
    pub fn starting_from(&self, prompt: impl Fn(AgentId) -> Template) -> Self {
        let mut graph = self.clone();
        for (at, agent) in graph.agents.iter_mut().enumerate() {
            agent.seed_prompt = prompt(AgentId(at));
        }
        graph
    }

    /// All agents, indexed by [`AgentId`].
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }

    /// The agent with this id.
    pub fn agent(&self, id: AgentId) -> &Agent {
        &self.agents[id.0]
    }

    /// All edges, in the order they were given; a successor's context lists its predecessors in
    /// this order.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// The agents in topological order.
    pub fn order(&self) -> &[AgentId] {
        &self.order
    }

    /// The one agent without a successor, whose output is the system's answer.
    pub fn terminal(&self) -> AgentId {
        *self.order.last().expect("a graph has agents, and the only one without a successor comes last")
    }

    /// The agent of that name.
    pub fn find(&self, name: &str) -> Option<AgentId> {
        self.agents.iter().position(|agent| agent.name == name).map(AgentId)
    }

    /// Edges into `id`, in the order given.
    pub fn incoming(&self, id: AgentId) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(move |edge| edge.to == id)
    }

    /// Direct successors of `id`, in topological order.
    pub fn successors(&self, id: AgentId) -> Vec<AgentId> {
        self.order.iter().copied().filter(|to| self.edges.iter().any(|e| e.from == id && e.to == *to)).collect()
    }

    /// All agents downstream of `id`, without `id`, in topological order.
    pub fn descendants(&self, id: AgentId) -> Vec<AgentId> {
        let mut below = vec![false; self.agents.len()];
        below[id.0] = true;
        for &agent in &self.order {
            if self.incoming(agent).any(|edge| below[edge.from.0]) {
                below[agent.0] = true;
            }
        }
        self.order.iter().copied().filter(|agent| *agent != id && below[agent.0]).collect()
    }
}

fn prompt_errors(id: AgentId, agent: &Agent, edges: &[Edge], max_prompt_bytes: usize) -> Vec<GraphError> {
    let has_predecessor = edges.iter().any(|edge| edge.to == id);
    let mut constraints = agent.constraints(max_prompt_bytes);
    let needed = if has_predecessor { Slot::Context } else { Slot::Question };
    if !constraints.slots.contains(&needed) {
        constraints.slots.push(needed);
    }
    if !has_predecessor {
        constraints.slots.retain(|slot| *slot != Slot::Context);
    }
    let problem = |error: crate::prompt::PromptError| GraphError::Prompt {
        agent: agent.name.clone(),
        problem: error.to_string(),
    };
    constraints.errors(&agent.seed_prompt).into_iter().map(problem).collect()
}

/// Kahn's algorithm, lowest index first. On failure it returns one cycle, with its first agent
/// repeated at the end.
fn topological_order(agents: usize, edges: &[Edge]) -> Result<Vec<AgentId>, Vec<AgentId>> {
    let mut order: Vec<AgentId> = Vec::with_capacity(agents);
    while order.len() < agents {
        let ready = (0..agents)
            .map(AgentId)
            .find(|id| !order.contains(id) && edges.iter().all(|edge| edge.to != *id || order.contains(&edge.from)));
        match ready {
            Some(id) => order.push(id),
            None => return Err(find_cycle(agents, edges, &order)),
        }
    }
    Ok(order)
}

fn find_cycle(agents: usize, edges: &[Edge], done: &[AgentId]) -> Vec<AgentId> {
    // Every remaining agent has a remaining predecessor, so a walk backwards must meet itself.
    let start = (0..agents).map(AgentId).find(|id| !done.contains(id)).expect("some agent is left");
    let mut path = vec![start];
    loop {
        let last = path[path.len() - 1];
        let from = edges
            .iter()
            .find(|edge| edge.to == last && !done.contains(&edge.from))
            .expect("a predecessor is left")
            .from;
        if let Some(at) = path.iter().position(|id| *id == from) {
            path.push(from);
            let mut cycle = path.split_off(at);
            cycle.reverse();
            return cycle;
        }
        path.push(from);
    }
}

#[cfg(test)]
mod tests {
    use super::super::EdgeView;
    use super::*;
    use expect_test::{Expect, expect};

    fn build(prompts: &[(&str, &str)], edges: &[(usize, usize)]) -> Result<Graph, Vec<GraphError>> {
        let agent = |(name, prompt): &(&str, &str)| Agent {
            name: (*name).into(),
            role: "r".into(),
            seed_prompt: Template::new(*prompt),
            frozen: vec![],
            max_new_tokens: 8,
            optimize: true,
        };
        let edge = |(from, to): &(usize, usize)| Edge { from: AgentId(*from), to: AgentId(*to), view: EdgeView::Raw };
        Graph::new(prompts.iter().map(agent).collect(), edges.iter().map(edge).collect(), 1000)
    }

    #[track_caller]
    fn check_errors(prompts: &[(&str, &str)], edges: &[(usize, usize)], expected: Expect) {
        let errors = build(prompts, edges).expect_err("the graph is faulty");
        expected.assert_eq(&errors.iter().map(|e| format!("{e}\n")).collect::<String>());
    }

    #[test]
    fn every_fault_of_a_graph_is_reported() {
        let q = "do {question}";
        let c = "do {context}";
        check_errors(&[], &[], expect![["the graph has no agents\n"]]);
        check_errors(&[("a", c), ("b", c)], &[(0, 1), (1, 0)], expect![["the graph has a cycle: a -> b -> a\n"]]);
        check_errors(&[("a", c)], &[(0, 0)], expect![["the graph has a cycle: a -> a\n"]]);
        check_errors(
            &[("a", q), ("b", q)],
            &[],
            expect![["the graph has 2 terminal agents (a, b); exactly one may have no successor\n"]],
        );
        check_errors(
            &[("a", "do"), ("a", "see {question}")],
            &[(0, 1)],
            expect![[r#"
                agent `a`: the prompt lacks {question}
                two agents are named `a`
                agent `a`: the prompt lacks {context}
            "#]],
        );
        check_errors(
            &[("a", "do {question} with {context}")],
            &[],
            expect![["agent `a`: the prompt has {context}, but this agent receives nothing that could fill it\n"]],
        );
    }

    #[test]
    fn a_diamond_is_ordered_and_queried() {
        let (q, c) = ("{question} x", "{context} x");
        let graph = build(&[("d", c), ("a", q), ("b", c), ("c", c)], &[(1, 2), (1, 3), (2, 0), (3, 0)]).unwrap();
        let names = |ids: &[AgentId]| ids.iter().map(|id| graph.agent(*id).name.as_str()).collect::<String>();
        assert_eq!(names(graph.order()), "abcd");
        assert_eq!(names(&[graph.terminal()]), "d");
        assert_eq!(names(&graph.successors(AgentId(1))), "bc");
        assert_eq!(names(&graph.descendants(AgentId(2))), "d");
        assert_eq!(names(&graph.descendants(AgentId(1))), "bcd");
    }
}
