//! Single numbers: infinity, degrees, numerals in a base, rounding to printed digits.

use super::comparer::Comparer;
use crate::syntax::{Constant, Node};

impl Comparer {
    pub(super) fn same_scalars(&mut self, a: &Node, b: &Node) -> bool {
        match (infinite(a), infinite(b)) {
            (None, None) => {}
            (one, other) => return one == other,
        }
        match (a, b) {
            (Node::Numeral(value, base), Node::Numeral(other, other_base)) => {
                return value == other && base == other_base;
            }
            // Without its base a numeral is one to the base 10.
            (Node::Numeral(_, base), _) | (_, Node::Numeral(_, base)) if *base != 10 => return false,
            _ => {}
        }
        match (without_degrees(a), without_degrees(b)) {
            (Some(a), Some(b)) => self.equal(&a, &b),
            // A number without a degree sign is one of degrees or of radians.
            (Some(degrees), None) => self.equal(&degrees, b) || self.equal(a, b),
            (None, Some(degrees)) => self.equal(a, &degrees) || self.equal(a, b),
            (None, None) => self.equal(a, b),
        }
    }

    fn equal(&mut self, a: &Node, b: &Node) -> bool {
        if self.rounds
            && let Some(places) = decimal_places(a)
        {
            let rounds = self.decider.rounds_to(b, a, places);
            if self.settle(rounds) {
                return true;
            }
        }
        let equal = self.decider.equal(a, b);
        self.settle(equal)
    }
}

/// Returns the places of a decimal number; `None` for anything else.
fn decimal_places(node: &Node) -> Option<u32> {
    match node {
        Node::Number(_, places) if *places > 0 => Some(*places),
        Node::Negative(of) => decimal_places(of),
        _ => None,
    }
}

/// Returns whether an infinite number is positive; `None` for finite ones.
pub(super) fn infinite(node: &Node) -> Option<bool> {
    match node {
        Node::Constant(Constant::Infinity) => Some(true),
        Node::Negative(of) => infinite(of).map(|positive| !positive),
        _ => None,
    }
}

/// Returns the expression with numbers of degrees as plain numbers; `None` if there are none
/// outside functions.
fn without_degrees(node: &Node) -> Option<Node> {
    match node {
        Node::Degrees(of) => Some((**of).clone()),
        Node::Negative(of) => without_degrees(of).map(Node::negative),
        Node::Sum(terms) => some_without(terms).map(Node::Sum),
        Node::Product(factors) => some_without(factors).map(Node::Product),
        _ => None,
    }
}

fn some_without(nodes: &[Node]) -> Option<Vec<Node>> {
    let stripped: Vec<Option<Node>> = nodes.iter().map(without_degrees).collect();
    let has_any = stripped.iter().any(Option::is_some);
    has_any.then(|| stripped.into_iter().zip(nodes).map(|(new, old)| new.unwrap_or_else(|| old.clone())).collect())
}
