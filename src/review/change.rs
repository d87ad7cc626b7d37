//! One agent's change as a reviewer sees it, and the choice of cases that differ from each other.

use crate::base::AgentId;
use crate::bundle::JudgedEvidence;
use crate::graph::Graph;
use crate::prompt::Template;
use crate::rollout::Trace;
use std::collections::BTreeSet;

/// How many cases are shown for a change, and how many against it.
const SHOWN: usize = 3;

/// One agent's change: the team with all changes against the team without this one.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The agent.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// The seed prompt.
    pub before: Template,
    /// The prompt that the run ended with.
    pub after: Template,
    /// What the change is worth to the team's answers: ½ is nothing.
    pub worth: Option<JudgedEvidence>,
    /// The number of queries whose answer the change makes better, and worse.
    pub counts: [usize; 2],
    /// Some queries whose answer it makes better.
    pub won: Vec<CaseView>,
    /// Some queries whose answer it makes worse.
    pub lost: Vec<CaseView>,
}

/// A query, and what became of it without the change and with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseView {
    /// The query's id.
    pub id: String,
    /// Its text.
    pub question: String,
    /// The agent's outputs.
    pub outputs: [String; 2],
    /// The team's answers.
    pub answers: [String; 2],
}

impl CaseView {
    pub(super) fn new(id: &str, graph: &Graph, agent: AgentId, [without, with]: [&Trace; 2]) -> Self {
        Self {
            id: id.to_string(),
            question: without.question.to_string(),
            outputs: [without.output(agent), with.output(agent)].map(str::to_string),
            answers: [without.answer(graph), with.answer(graph)].map(str::to_string),
        }
    }
}

/// Returns a few positions of questions that differ from each other as much as possible: the first
/// one, and then always the one that is least like those that were chosen.
pub(super) fn diverse(questions: &[&str], positions: &[usize]) -> Vec<usize> {
    let words = |at: usize| questions[at].split_whitespace().collect::<BTreeSet<&str>>();
    let likeness = |one: usize, other: usize| {
        let (one, other) = (words(one), words(other));
        let both = one.intersection(&other).count();
        let either = one.len() + other.len() - both;
        if either == 0 { 1.0 } else { both as f64 / either as f64 }
    };
    let mut chosen: Vec<usize> = positions.first().copied().into_iter().collect();
    while chosen.len() < SHOWN {
        let nearest = |at: usize| chosen.iter().map(|other| likeness(at, *other)).fold(0.0, f64::max);
        let rest = positions.iter().copied().filter(|at| !chosen.contains(at));
        // Of equally different ones the first wins.
        let Some(next) = rest.min_by(|one, other| nearest(*one).total_cmp(&nearest(*other))) else { break };
        chosen.push(next);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_that_differ_are_shown() {
        let questions = ["a b c", "a b c d", "x y", "a b c", "x y z w"];
        assert_eq!(diverse(&questions, &[0, 1, 2, 3, 4]), [0, 2, 4]);
        assert_eq!(diverse(&questions, &[1, 3]), [1, 3]);
        assert_eq!(diverse(&questions, &[]), Vec::<usize>::new());
    }
}
