//! Equations and inequalities.

use super::comparer::Comparer;
use crate::syntax::{Edge, Node, Order};

/// What an answer states.
enum Statement<'a> {
    /// A name and the expressions that it equals, or the set that it lies in.
    Named(String, Vec<&'a Node>, bool),
    /// Sides that are equal to each other.
    Equation(Vec<&'a Node>),
    /// Anything else with a relation in it.
    Inequality,
    /// No relation at all.
    Plain,
}

impl Comparer {
    /// Compares two trees of which at least one is a relation.
    pub(super) fn same_relations(&mut self, a: &Node, b: &Node) -> bool {
        match (statement(a), statement(b)) {
            (Statement::Named(_, values, _), Statement::Plain) => values.iter().all(|value| self.same(value, b)),
            (Statement::Plain, Statement::Named(_, values, _)) => values.iter().all(|value| self.same(a, value)),
            (Statement::Equation(sides), Statement::Plain) => {
                !has_variables(a) && sides.iter().all(|side| self.same(side, b))
            }
            (Statement::Plain, Statement::Equation(sides)) => {
                !has_variables(b) && sides.iter().all(|side| self.same(a, side))
            }
            (Statement::Named(name, values, is_in), Statement::Named(other, others, other_in))
                if is_in == other_in && (name == other || is_in) =>
            {
                let same = name == other
                    && values.iter().all(|value| self.same(value, others[0]))
                    && others[1..].iter().all(|other| self.same(values[0], other));
                same || !is_in && self.same_equations(&sides(a), &sides(b))
            }
            (
                Statement::Named(_, _, false) | Statement::Equation(_),
                Statement::Named(_, _, false) | Statement::Equation(_),
            ) => self.same_equations(&sides(a), &sides(b)),
            _ => self.same_sets(a, b) || self.same_inequalities(a, b),
        }
    }

    /// Compares equations: side by side, swapped, or by what is left when one side is subtracted
    /// from the other, up to a constant factor.
    fn same_equations(&mut self, a: &[&Node], b: &[&Node]) -> bool {
        if a.len() != b.len() {
            return false;
        }
        let same = |own: &mut Self, a: &[&Node], b: &[&Node]| a.iter().zip(b).all(|(a, b)| own.same(a, b));
        let reversed: Vec<&Node> = b.iter().rev().copied().collect();
        if same(self, a, b) || same(self, a, &reversed) {
            return true;
        }
        let ([left, right], [other_left, other_right]) = (a, b) else { return false };
        if ![left, right, other_left, other_right].iter().all(|side| side.is_scalar()) {
            return false;
        }
        let (a, b) = (difference(left, right), difference(other_left, other_right));
        if !has_variables(&a) || !has_variables(&b) {
            return false;
        }
        let proportional = self.decider.proportional(&a, &b, false);
        self.settle(proportional)
    }

    /// Compares inequalities: side by side, turned around, or by the difference of two sides, up to
    /// a positive factor.
    fn same_inequalities(&mut self, a: &Node, b: &Node) -> bool {
        let (Node::Relation(..), Node::Relation(..)) = (a, b) else { return false };
        let (own, other, turned) = (sides(a), sides(b), sides(b).into_iter().rev().collect::<Vec<_>>());
        let turned_orders: Vec<Order> = orders(b).into_iter().rev().map(mirrored).collect();
        if orders(a) == orders(b) && own.len() == other.len() && own.iter().zip(&other).all(|(a, b)| self.same(a, b)) {
            return true;
        }
        if orders(a) == turned_orders && own.iter().zip(&turned).all(|(a, b)| self.same(a, b)) {
            return true;
        }
        let (Some((strict, a)), Some((other_strict, b))) = (excess(a), excess(b)) else { return false };
        if strict != other_strict || !has_variables(&a) || !has_variables(&b) {
            return false;
        }
        let proportional = self.decider.proportional(&a, &b, true);
        self.settle(proportional)
    }
}

fn has_variables(node: &Node) -> bool {
    node.any(&mut |node| matches!(node, Node::Variable(_)))
}

fn difference(a: &Node, b: &Node) -> Node {
    Node::difference(a.clone(), b.clone())
}

/// Returns the sides of a relation without what they only nearly equal.
fn sides(node: &Node) -> Vec<&Node> {
    let Node::Relation(first, rest) = node else { return vec![node] };
    let mut sides = vec![&**first];
    for (order, side) in rest {
        // `x ≈ 3.14` names a number; `\sqrt 2 ≈ 1.41` has one already.
        if *order == Order::Approximately && !(sides.len() == 1 && name(first).is_some()) {
            break;
        }
        sides.push(side);
    }
    sides
}

fn orders(node: &Node) -> Vec<Order> {
    let Node::Relation(_, rest) = node else { return Vec::new() };
    rest.iter().map(|(order, _)| *order).collect()
}

fn mirrored(order: Order) -> Order {
    match order {
        Order::Less => Order::Greater,
        Order::AtMost => Order::AtLeast,
        Order::Greater => Order::Less,
        Order::AtLeast => Order::AtMost,
        order => order,
    }
}

/// Returns whether an inequality of two sides is strict, and the larger side without the smaller.
fn excess(node: &Node) -> Option<(bool, Node)> {
    let Node::Relation(first, rest) = node else { return None };
    let [(order, second)] = &rest[..] else { return None };
    if !first.is_scalar() || !second.is_scalar() {
        return None;
    }
    match order {
        Order::Less => Some((true, difference(second, first))),
        Order::AtMost => Some((false, difference(second, first))),
        Order::Greater => Some((true, difference(first, second))),
        Order::AtLeast => Some((false, difference(first, second))),
        _ => None,
    }
}

pub(super) fn is_equation(node: &Node) -> bool {
    orders(node).iter().all(|order| matches!(order, Order::Equal | Order::Approximately))
}

/// Returns the name that an equation gives to a value.
pub(super) fn name_of(node: &Node) -> Option<String> {
    match statement(node) {
        Statement::Named(name, _, false) => Some(name),
        _ => None,
    }
}

fn statement(node: &Node) -> Statement<'_> {
    let Node::Relation(first, rest) = node else { return Statement::Plain };
    if let (Some(name), [(Order::In, set)]) = (name(first), &rest[..]) {
        return Statement::Named(name, vec![set], true);
    }
    if !is_equation(node) {
        return Statement::Inequality;
    }
    let sides = sides(node);
    if sides.len() < 2 {
        return Statement::Equation(sides);
    }
    if let Some(name) = name(sides[0]) {
        return Statement::Named(name, sides[1..].to_vec(), false);
    }
    match sides.last().and_then(|last| name(last)) {
        Some(name) => Statement::Named(name, sides[..sides.len() - 1].to_vec(), false),
        None => Statement::Equation(sides),
    }
}

/// Returns the name that a side is: a variable, or a tuple of them.
fn name(node: &Node) -> Option<String> {
    match node {
        Node::Variable(name) => Some(name.clone()),
        Node::Bracket(Edge::Round, items, Edge::Round, _) => {
            let names: Option<Vec<String>> = items.iter().map(name).collect();
            Some(format!("({})", names?.join(",")))
        }
        _ => None,
    }
}
