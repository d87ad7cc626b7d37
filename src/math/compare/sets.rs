//! Sets of real numbers: unions of intervals with their ends, as intervals, inequalities and finite
//! sets describe them.

use super::comparer::Comparer;
use super::scalars::infinite;
use crate::decide::Decider;
use crate::number::Stop;
use crate::syntax::{Edge, Joint, Node, Order};
use std::cmp::Ordering;

/// The most pieces of a set.
const MAX_PIECES: usize = 64;

/// An end of a piece.
#[derive(Clone, Debug)]
enum Bound {
    MinusInfinity,
    Finite(Node),
    PlusInfinity,
}

/// An interval, or a point if both ends are the same.
#[derive(Clone, Debug)]
struct Piece {
    low: Bound,
    has_low: bool,
    high: Bound,
    has_high: bool,
}

/// A set, and the name of the variable that lies in it if there is one.
struct RealSet {
    name: Option<String>,
    pieces: Vec<Piece>,
}

/// Why a tree is no set of known numbers.
enum NoSet {
    /// It describes something else, or has variables in it.
    Other,
    Stopped(Stop),
}

impl From<Stop> for NoSet {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

impl Comparer {
    /// Compares two trees as sets of real numbers; unions with variables in them are compared part
    /// by part.
    pub(super) fn same_sets(&mut self, a: &Node, b: &Node) -> bool {
        let decided = self.sets(a, b);
        match decided {
            Ok(same) => same,
            Err(NoSet::Stopped(stop)) => self.settle(Err(stop)),
            Err(NoSet::Other) => match (a, b) {
                (Node::Union(parts), Node::Union(others)) | (Node::Intersection(parts), Node::Intersection(others)) => {
                    let list = |parts: &[Node]| Node::list(parts.to_vec(), Joint::Or);
                    self.same_brackets(&list(parts), &list(others))
                }
                (Node::Difference(a, b), Node::Difference(other_a, other_b)) => {
                    self.same(a, other_a) && self.same(b, other_b)
                }
                (Node::Bracket(..), Node::Bracket(..)) => self.same_brackets(a, b),
                _ => false,
            },
        }
    }

    fn sets(&mut self, a: &Node, b: &Node) -> Result<bool, NoSet> {
        let (a, b) = (self.decider.set(a)?, self.decider.set(b)?);
        if a.name.is_some() && b.name.is_some() && a.name != b.name || a.pieces.len() != b.pieces.len() {
            return Ok(false);
        }
        for (a, b) in a.pieces.iter().zip(&b.pieces) {
            let same = a.has_low == b.has_low
                && a.has_high == b.has_high
                && self.decider.bounds(&a.low, &b.low)?.is_eq()
                && self.decider.bounds(&a.high, &b.high)?.is_eq();
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Decider {
    fn set(&mut self, node: &Node) -> Result<RealSet, NoSet> {
        match node {
            Node::Reals => Ok(RealSet { name: None, pieces: vec![everything()] }),
            Node::Bracket(Edge::Bare, items, Edge::Bare, joint) => self.list(items, *joint),
            Node::Bracket(Edge::Brace, items, Edge::Brace, _) => {
                let pieces = items.iter().map(|item| point(item).ok_or(NoSet::Other)).collect::<Result<_, _>>()?;
                self.united(None, pieces)
            }
            Node::Bracket(open, items, close, _) => {
                let piece = self.interval(*open, items, *close)?;
                self.united(None, vec![piece])
            }
            Node::Union(parts) => {
                let mut pieces = Vec::new();
                for part in parts {
                    pieces.extend(self.set(part)?.pieces);
                }
                self.united(None, pieces)
            }
            Node::Intersection(parts) => {
                let mut common = vec![everything()];
                for part in parts {
                    let set = self.set(part)?;
                    common = self.common(&common, &set.pieces)?;
                }
                self.united(None, common)
            }
            Node::Difference(from, without) => {
                let (from, without) = (self.set(from)?, self.set(without)?);
                let pieces = self.common(&from.pieces, &complement(&without.pieces))?;
                self.united(None, pieces)
            }
            Node::Relation(first, rest) => self.relation(first, rest),
            node => {
                let piece = point(node).ok_or(NoSet::Other)?;
                self.united(None, vec![piece])
            }
        }
    }

    /// Reads statements side by side. "And" means what they have in common, and so does a comma
    /// unless that is nothing.
    fn list(&mut self, items: &[Node], joint: Joint) -> Result<RealSet, NoSet> {
        let (mut name, mut all, mut common) = (None, Vec::new(), vec![everything()]);
        for item in items {
            let set = self.set(item)?;
            if name.is_some() && set.name.is_some() && name != set.name {
                return Err(NoSet::Other);
            }
            name = set.name.or(name);
            common = self.common(&common, &set.pieces)?;
            all.extend(set.pieces);
        }
        let pieces = match joint {
            Joint::Or => all,
            Joint::And => common,
            Joint::Comma if common.is_empty() => all,
            Joint::Comma => common,
        };
        self.united(name, pieces)
    }

    fn interval(&mut self, open: Edge, items: &[Node], close: Edge) -> Result<Piece, NoSet> {
        let [low, high] = items else { return Err(NoSet::Other) };
        if ![open, close].iter().all(|edge| matches!(edge, Edge::Round | Edge::Square)) {
            return Err(NoSet::Other);
        }
        let (low, high) = (bound(low).ok_or(NoSet::Other)?, bound(high).ok_or(NoSet::Other)?);
        let is_closed = |edge: Edge, bound: &Bound| edge == Edge::Square && matches!(bound, Bound::Finite(_));
        let piece = Piece { has_low: is_closed(open, &low), has_high: is_closed(close, &high), low, high };
        if self.is_empty(&piece)? { Err(NoSet::Other) } else { Ok(piece) }
    }

    /// Reads a relation of one variable with known numbers.
    fn relation(&mut self, first: &Node, rest: &[(Order, Node)]) -> Result<RealSet, NoSet> {
        if let (Node::Variable(name), [(Order::In, set)]) = (first, rest) {
            return Ok(RealSet { name: Some(name.clone()), ..self.set(set)? });
        }
        let sides: Vec<&Node> = std::iter::once(first).chain(rest.iter().map(|(_, side)| side)).collect();
        let at = sides.iter().position(|side| matches!(side, Node::Variable(_))).ok_or(NoSet::Other)?;
        let Node::Variable(name) = sides[at] else { return Err(NoSet::Other) };
        let mut pieces = vec![everything()];
        for (pair, (order, _)) in sides.windows(2).zip(rest) {
            // Every relation has to be one of the variable: `1 < 2 < x` is not read.
            let (order, other) = match (pair[0] == sides[at], pair[1] == sides[at]) {
                (true, false) => (*order, pair[1]),
                (false, true) => (turned(*order), pair[0]),
                _ => return Err(NoSet::Other),
            };
            let value = bound(other).ok_or(NoSet::Other)?;
            pieces = self.common(&pieces, &ray(order, value).ok_or(NoSet::Other)?)?;
        }
        self.united(Some(name.clone()), pieces)
    }

    fn bounds(&mut self, a: &Bound, b: &Bound) -> Result<Ordering, Stop> {
        let rank = |bound: &Bound| match bound {
            Bound::MinusInfinity => 0,
            Bound::Finite(_) => 1,
            Bound::PlusInfinity => 2,
        };
        match (a, b) {
            (Bound::Finite(a), Bound::Finite(b)) => self.order(a, b),
            _ => Ok(rank(a).cmp(&rank(b))),
        }
    }

    fn is_empty(&mut self, piece: &Piece) -> Result<bool, Stop> {
        Ok(match self.bounds(&piece.low, &piece.high)? {
            Ordering::Less => false,
            Ordering::Equal => !(piece.has_low && piece.has_high),
            Ordering::Greater => true,
        })
    }

    /// Returns the intersections of all pieces of one set with all of another.
    fn common(&mut self, a: &[Piece], b: &[Piece]) -> Result<Vec<Piece>, Stop> {
        let mut found = Vec::new();
        for a in a {
            for b in b {
                let (low, has_low) = match self.bounds(&a.low, &b.low)? {
                    Ordering::Less => (&b.low, b.has_low),
                    Ordering::Equal => (&a.low, a.has_low && b.has_low),
                    Ordering::Greater => (&a.low, a.has_low),
                };
                let (high, has_high) = match self.bounds(&a.high, &b.high)? {
                    Ordering::Less => (&a.high, a.has_high),
                    Ordering::Equal => (&a.high, a.has_high && b.has_high),
                    Ordering::Greater => (&b.high, b.has_high),
                };
                let piece = Piece { low: low.clone(), has_low, high: high.clone(), has_high };
                if !self.is_empty(&piece)? {
                    found.push(piece);
                }
            }
        }
        if found.len() > MAX_PIECES { Err(Stop::Exhausted) } else { Ok(found) }
    }

    /// Returns the set with its pieces in order, and those that touch joined.
    fn united(&mut self, name: Option<String>, pieces: Vec<Piece>) -> Result<RealSet, NoSet> {
        if pieces.len() > MAX_PIECES {
            return Err(NoSet::Stopped(Stop::Exhausted));
        }
        let mut sorted: Vec<Piece> = Vec::new();
        for piece in pieces {
            let mut at = sorted.len();
            while at > 0 {
                let before = &sorted[at - 1];
                let order = self.bounds(&piece.low, &before.low)?;
                if order.is_gt() || order.is_eq() && (before.has_low || !piece.has_low) {
                    break;
                }
                at -= 1;
            }
            sorted.insert(at, piece);
        }
        let mut joined: Vec<Piece> = Vec::new();
        for piece in sorted {
            let Some(last) = joined.last_mut() else {
                joined.push(piece);
                continue;
            };
            let gap = self.bounds(&last.high, &piece.low)?;
            if gap.is_lt() || gap.is_eq() && !last.has_high && !piece.has_low {
                joined.push(piece);
                continue;
            }
            match self.bounds(&last.high, &piece.high)? {
                Ordering::Less => (last.high, last.has_high) = (piece.high, piece.has_high),
                Ordering::Equal => last.has_high |= piece.has_high,
                Ordering::Greater => {}
            }
        }
        Ok(RealSet { name, pieces: joined })
    }
}

fn everything() -> Piece {
    Piece { low: Bound::MinusInfinity, has_low: false, high: Bound::PlusInfinity, has_high: false }
}

/// Returns the end that a known number is.
fn bound(node: &Node) -> Option<Bound> {
    match infinite(node) {
        Some(true) => Some(Bound::PlusInfinity),
        Some(false) => Some(Bound::MinusInfinity),
        None if !node.is_scalar() || node.any(&mut |node| matches!(node, Node::Variable(_))) => None,
        None => Some(Bound::Finite(node.clone())),
    }
}

fn point(node: &Node) -> Option<Piece> {
    match bound(node)? {
        Bound::Finite(value) => {
            Some(Piece { low: Bound::Finite(value.clone()), has_low: true, high: Bound::Finite(value), has_high: true })
        }
        _ => None,
    }
}

fn turned(order: Order) -> Order {
    match order {
        Order::Less => Order::Greater,
        Order::AtMost => Order::AtLeast,
        Order::Greater => Order::Less,
        Order::AtLeast => Order::AtMost,
        order => order,
    }
}

/// Returns the numbers that are in a relation to one number.
fn ray(order: Order, value: Bound) -> Option<Vec<Piece>> {
    let is_finite = matches!(value, Bound::Finite(_));
    let below = |has_high: bool| Piece { high: value.clone(), has_high: has_high && is_finite, ..everything() };
    let above = |has_low: bool| Piece { low: value.clone(), has_low: has_low && is_finite, ..everything() };
    match order {
        Order::Less => Some(vec![below(false)]),
        Order::AtMost => Some(vec![below(true)]),
        Order::Greater => Some(vec![above(false)]),
        Order::AtLeast => Some(vec![above(true)]),
        Order::Unequal if is_finite => Some(vec![below(false), above(false)]),
        Order::Equal if is_finite => {
            Some(vec![Piece { low: value.clone(), has_low: true, high: value.clone(), has_high: true }])
        }
        _ => None,
    }
}

/// Returns the numbers that are in none of the pieces, which are in order and apart.
fn complement(pieces: &[Piece]) -> Vec<Piece> {
    let mut gaps = Vec::new();
    let mut rest = everything();
    for piece in pieces {
        if !matches!(piece.low, Bound::MinusInfinity) {
            gaps.push(Piece { high: piece.low.clone(), has_high: !piece.has_low, ..rest });
        }
        rest = Piece { low: piece.high.clone(), has_low: !piece.has_high, ..everything() };
    }
    if !matches!(rest.low, Bound::PlusInfinity) {
        gaps.push(rest);
    }
    gaps
}
