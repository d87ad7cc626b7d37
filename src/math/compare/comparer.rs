//! The comparison of two trees: what kind of answer each is decides who compares them.

use crate::decide::Decider;
use crate::number::Stop;
use crate::syntax::{Constant, Edge, Joint, Node};

/// The steps that one comparison may take: at most about a second in a debug build, and more
/// than the answers of any data set need.
const MAX_STEPS: u64 = 20_000_000;

/// Compares trees. The first tree is always the gold answer's, if one of them is.
pub(crate) struct Comparer {
    pub(super) decider: Decider,
    /// Whether decimals of the first tree may stand for what rounds to them.
    pub(super) rounds: bool,
    /// Whether something could not be decided.
    is_open: bool,
}

impl Comparer {
    pub(crate) fn new(rounds: bool) -> Self {
        Self { decider: Decider::new(MAX_STEPS), rounds, is_open: false }
    }

    /// Returns whether a part of the comparison ended without a decision.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open || self.decider.is_spent()
    }

    /// Returns a decision, and notes where there is none.
    pub(super) fn settle(&mut self, decision: Result<bool, Stop>) -> bool {
        match decision {
            Ok(decision) => decision,
            Err(Stop::Undefined) => false,
            Err(Stop::Inexact | Stop::Exhausted) => {
                self.is_open = true;
                false
            }
        }
    }

    /// Returns whether two answers, or two parts of them, are known to be equal.
    pub(crate) fn same(&mut self, a: &Node, b: &Node) -> bool {
        if !self.decider.spend(16) {
            return false;
        }
        if a == b {
            return true;
        }
        match (a, b) {
            (Node::Measured(a, unit), Node::Measured(b, other)) => unit == other && self.same(a, b),
            (Node::Measured(a, _), b) => !has_degrees(b) && self.same(a, b),
            (a, Node::Measured(b, _)) => !has_degrees(a) && self.same(a, b),
            (Node::Relation(..), _) | (_, Node::Relation(..)) => self.same_relations(a, b),
            _ if is_real_set(a) || is_real_set(b) => self.same_sets(a, b),
            (Node::Bracket(..), _) | (_, Node::Bracket(..)) => self.same_brackets(a, b),
            (Node::Matrix(rows), Node::Matrix(others)) => self.same_matrices(rows, others),
            (Node::Ratio(terms), Node::Ratio(others)) => self.same_ratios(terms, others),
            (Node::Ratio(terms), other) if terms.len() == 2 && other.is_scalar() => {
                self.same(&Node::quotient(terms[0].clone(), terms[1].clone()), other)
            }
            (other, Node::Ratio(terms)) if terms.len() == 2 && other.is_scalar() => {
                self.same(other, &Node::quotient(terms[0].clone(), terms[1].clone()))
            }
            (Node::Words(words), other) | (other, Node::Words(words)) => {
                letters(other).is_some_and(|own| own == *words)
            }
            _ if a.is_scalar() && b.is_scalar() => self.same_scalars(a, b),
            _ => false,
        }
    }
}

/// Returns whether a tree is a set of real numbers and nothing else.
fn is_real_set(node: &Node) -> bool {
    match node {
        Node::Union(_) | Node::Intersection(_) | Node::Difference(..) | Node::Reals => true,
        Node::Bracket(Edge::Bare, items, Edge::Bare, joint) => {
            let is_inequality =
                |item: &Node| matches!(item, Node::Relation(..)) && !super::relations::is_equation(item);
            *joint != Joint::Comma && items.iter().any(is_inequality) || items.iter().all(is_inequality)
        }
        _ => false,
    }
}

pub(super) fn has_degrees(node: &Node) -> bool {
    matches!(node, Node::Degrees(_)) || matches!(node, Node::Negative(of) if has_degrees(of))
}

/// Returns the letters, in lower case, of a tree that is nothing but a product of them.
fn letters(node: &Node) -> Option<String> {
    match node {
        Node::Variable(name) if name.len() == 1 => Some(name.to_lowercase()),
        Node::Constant(Constant::E) => Some("e".to_string()),
        Node::Constant(Constant::I) => Some("i".to_string()),
        Node::Product(factors) => factors.iter().map(letters).collect(),
        _ => None,
    }
}
