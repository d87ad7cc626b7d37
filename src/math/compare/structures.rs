//! Tuples, intervals, sets, lists, matrices and ratios.

use super::comparer::Comparer;
use super::relations::name_of;
use crate::syntax::{Edge, Node};
use std::collections::BTreeSet;

/// The most items of lists that are compared without regard to order.
const MAX_ITEMS: usize = 128;

impl Comparer {
    /// Compares two trees of which at least one is a bracket.
    pub(super) fn same_brackets(&mut self, a: &Node, b: &Node) -> bool {
        match (a, b) {
            (Node::Bracket(open, items, close, _), Node::Bracket(other_open, others, other_close, _)) => {
                match (is_unordered(*open), is_unordered(*other_open)) {
                    (true, true) => self.same_collections((*open, items), (*other_open, others)),
                    (false, false) => {
                        same_edges((*open, *close), (*other_open, *other_close), items.len())
                            && self.same_in_order(items, others)
                    }
                    (true, false) => self.same_as_list((*open, items), (*other_open, *other_close), others, false),
                    (false, true) => self.same_as_list((*other_open, others), (*open, *close), items, true),
                }
            }
            (Node::Bracket(open, items, _, _), other) if items.len() == 1 && is_unordered(*open) => {
                self.same(&items[0], other)
            }
            (other, Node::Bracket(open, items, _, _)) if items.len() == 1 && is_unordered(*open) => {
                self.same(other, &items[0])
            }
            (Node::Bracket(open, items, close, _), Node::Matrix(rows)) if is_tuple(*open, *close) => {
                let column = column(rows);
                column.is_some_and(|column| self.same_in_order(items, &column))
            }
            (Node::Matrix(rows), Node::Bracket(open, items, close, _)) if is_tuple(*open, *close) => {
                let column = column(rows);
                column.is_some_and(|column| self.same_in_order(&column, items))
            }
            _ => false,
        }
    }

    pub(super) fn same_in_order(&mut self, items: &[Node], others: &[Node]) -> bool {
        items.len() == others.len() && items.iter().zip(others).all(|(a, b)| self.same(a, b))
    }

    /// Compares a bare list with a tuple: the order that is printed has to be the tuple's. A pair
    /// in square brackets is an interval, and a set in braces has no order.
    fn same_as_list(&mut self, list: (Edge, &[Node]), edges: (Edge, Edge), items: &[Node], is_swapped: bool) -> bool {
        let is_ordered = is_tuple(edges.0, edges.1) || edges == (Edge::Square, Edge::Square) && items.len() > 2;
        if list.0 == Edge::Brace || !is_ordered {
            return false;
        }
        if is_swapped { self.same_in_order(items, list.1) } else { self.same_in_order(list.1, items) }
    }

    /// Compares sets and bare lists. Braces on either side make both sets, in which repetitions say
    /// nothing; in two bare lists they count.
    fn same_collections(&mut self, a: (Edge, &[Node]), b: (Edge, &[Node])) -> bool {
        let ((open, items), (other_open, others)) = (a, b);
        if items.len().max(others.len()) > MAX_ITEMS {
            return self.same_in_order(items, others);
        }
        // `x = 1, y = 2` gives an order to `1, 2`.
        let names = |items: &[Node]| items.iter().filter_map(name_of).collect::<BTreeSet<_>>().len();
        let (own, other) = (names(items), names(others));
        if own > 1 && other == 0 || other > 1 && own == 0 {
            return self.same_in_order(items, others);
        }
        let mut pairs = vec![vec![false; others.len()]; items.len()];
        for (row, item) in pairs.iter_mut().zip(items) {
            for (cell, other) in row.iter_mut().zip(others) {
                *cell = self.same(item, other);
            }
            if !row.contains(&true) {
                return false;
            }
        }
        if open == Edge::Bare && other_open == Edge::Bare {
            return items.len() == others.len() && has_matching(&pairs);
        }
        (0..others.len()).all(|column| pairs.iter().any(|row| row[column]))
    }

    pub(super) fn same_matrices(&mut self, rows: &[Vec<Node>], others: &[Vec<Node>]) -> bool {
        rows.len() == others.len() && rows.iter().zip(others).all(|(row, other)| self.same_in_order(row, other))
    }

    /// Compares ratios: a : b = c : d if ad = bc. With a zero in it, as in the time 12:00, a ratio
    /// equals only itself.
    pub(super) fn same_ratios(&mut self, terms: &[Node], others: &[Node]) -> bool {
        if terms.iter().chain(others).any(|term| *term == Node::integer(0)) {
            return self.same_in_order(terms, others);
        }
        let product = |a: &Node, b: &Node| Node::Product(vec![a.clone(), b.clone()]);
        terms.len() == others.len()
            && (1..terms.len()).all(|at| self.same(&product(&terms[at], &others[0]), &product(&terms[0], &others[at])))
    }
}

fn is_unordered(edge: Edge) -> bool {
    matches!(edge, Edge::Bare | Edge::Brace)
}

fn is_tuple(open: Edge, close: Edge) -> bool {
    open == close && matches!(open, Edge::Round | Edge::Angle)
}

/// Returns whether two kinds of brackets say the same. Between two items they say which ends belong
/// to an interval; around more items they are a matter of taste.
fn same_edges(a: (Edge, Edge), b: (Edge, Edge), items: usize) -> bool {
    a == b || is_tuple(a.0, a.1) && is_tuple(b.0, b.1) || items != 2 && a.0 == a.1 && b.0 == b.1
}

/// Returns the entries of a matrix with one column.
fn column(rows: &[Vec<Node>]) -> Option<Vec<Node>> {
    rows.iter().map(|row| (row.len() == 1).then(|| row[0].clone())).collect()
}

/// Returns whether every row can have a column of its own (Kuhn's algorithm).
fn has_matching(pairs: &[Vec<bool>]) -> bool {
    let mut owner = vec![None; pairs.len()];
    (0..pairs.len()).all(|row| claim(row, pairs, &mut owner, &mut vec![false; pairs.len()]))
}

/// Gives the row a column, moving the rows that stand in the way.
fn claim(row: usize, pairs: &[Vec<bool>], owner: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    for column in 0..pairs[row].len() {
        if !pairs[row][column] || std::mem::replace(&mut seen[column], true) {
            continue;
        }
        if owner[column].is_none_or(|other| claim(other, pairs, owner, seen)) {
            owner[column] = Some(row);
            return true;
        }
    }
    false
}
