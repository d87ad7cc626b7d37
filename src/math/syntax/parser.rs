//! The parser's state, and the outermost levels of the grammar:
//!
//! ```text
//! answer   = item { ("," | ";" | "or" | "and") item }
//! item     = [phrase] relation [unit] | phrase
//! relation = sets { ("=" | "<" | …) sets }
//! sets     = ratio { ("∪" | "∩" | "∖") ratio }
//! ratio    = sum { ":" sum }
//! ```
//!
//! `terms` has sums, products and powers, `atoms` what they are made of.

use super::node::{Edge, Joint, Node, Order};
use crate::text::Token;

/// How deep an expression may be nested.
const MAX_DEPTH: usize = 48;

/// The most nodes of an answer.
const MAX_NODES: usize = 4096;

/// Why tokens are no expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nested too deeply, or too many parts.
    TooLarge,
    /// Not of the grammar.
    Syntax,
}

/// Reads a whole answer.
pub(crate) fn parse(tokens: Vec<Token>) -> Result<Node, Fault> {
    let mut parser = Parser { tokens, at: 0, depth: 0, nodes: 0, bars: 0, has_ratios: true };
    let answer = parser.answer()?;
    if parser.at < parser.tokens.len() { Err(Fault::Syntax) } else { Ok(answer) }
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
    nodes: usize,
    /// The absolute values that are open.
    pub(super) bars: usize,
    /// Whether a colon makes a ratio; in a set it may stand before a condition.
    pub(super) has_ratios: bool,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    pub(super) fn next_is(&self, symbol: char) -> bool {
        self.peek().is_some_and(|token| token.is(symbol))
    }

    pub(super) fn next_is_command(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Token::Command(own)) if own == name)
    }

    /// Goes past a symbol if it is next.
    pub(super) fn take(&mut self, symbol: char) -> bool {
        let found = self.next_is(symbol);
        self.at += usize::from(found);
        found
    }

    pub(super) fn take_command(&mut self, name: &str) -> bool {
        let found = self.next_is_command(name);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, symbol: char) -> Result<(), Fault> {
        if self.take(symbol) { Ok(()) } else { Err(Fault::Syntax) }
    }

    /// Runs one level deeper. Bars that are open outside do not close inside.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::TooLarge);
        }
        let (bars, has_ratios) = (std::mem::take(&mut self.bars), std::mem::replace(&mut self.has_ratios, true));
        let result = read(self);
        (self.bars, self.has_ratios) = (bars, has_ratios);
        self.depth -= 1;
        result
    }

    /// Counts a part of the answer.
    pub(super) fn count(&mut self) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn answer(&mut self) -> Result<Node, Fault> {
        let (mut items, joint) = self.items(Self::item)?;
        match items.len() {
            0 => Err(Fault::Syntax),
            1 => Ok(items.remove(0)),
            _ => Ok(Node::list(items, joint)),
        }
    }

    /// Reads items up to what is no separator. Several separators in a row are one, as in ", and".
    pub(super) fn items(
        &mut self,
        item: impl Fn(&mut Self) -> Result<Node, Fault>,
    ) -> Result<(Vec<Node>, Joint), Fault> {
        let (mut items, mut joint) = (Vec::new(), Joint::Comma);
        while self.peek().is_some() && !self.closes() {
            items.push(item(self)?);
            let before = self.at;
            loop {
                if self.take_command("or") {
                    joint = Joint::Or;
                } else if self.take_command("and") {
                    joint = Joint::And;
                } else if !self.take(',') && !self.take(';') {
                    break;
                }
            }
            if self.at == before {
                break;
            }
        }
        Ok((items, joint))
    }

    /// Returns whether the next token closes a bracket.
    pub(super) fn closes(&self) -> bool {
        matches!(self.peek(), Some(Token::Symbol(')' | ']' | '}' | '⦄' | '⟩')))
    }

    /// Reads a chain of relations.
    pub(super) fn relation(&mut self) -> Result<Node, Fault> {
        let first = self.side(true)?;
        let mut rest = Vec::new();
        while let Some(order) = self.order() {
            self.count()?;
            self.at += 1;
            rest.push((order, self.side(false)?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let has_structure = |node: &Node| !node.is_scalar() && !matches!(node, Node::Measured(..) | Node::Words(_));
        let orders_structures = rest.iter().any(|(order, side)| {
            has_structure(side) && !matches!(order, Order::Equal | Order::In | Order::Approximately)
        });
        if orders_structures || has_structure(&first) && rest.iter().any(|(order, _)| *order != Order::Equal) {
            return Err(Fault::Syntax);
        }
        Ok(Node::Relation(Box::new(first), rest))
    }

    fn order(&self) -> Option<Order> {
        let Some(Token::Symbol(symbol)) = self.peek() else { return None };
        Some(match symbol {
            '=' => Order::Equal,
            '≈' => Order::Approximately,
            '≠' => Order::Unequal,
            '<' => Order::Less,
            '≤' => Order::AtMost,
            '>' => Order::Greater,
            '≥' => Order::AtLeast,
            '∈' => Order::In,
            _ => return None,
        })
    }

    fn side(&mut self, is_first: bool) -> Result<Node, Fault> {
        if let Some(name) = self.name(is_first) {
            return Ok(name);
        }
        self.sets()
    }

    fn sets(&mut self) -> Result<Node, Fault> {
        let mut left = self.ratio()?;
        loop {
            let Some(Token::Symbol(symbol @ ('∪' | '∩' | '∖'))) = self.peek().cloned() else {
                // `\cup` in plain letters is a command.
                if !self.take_command("cup") {
                    return Ok(left);
                }
                left = Self::union(left, self.ratio()?);
                continue;
            };
            self.count()?;
            self.at += 1;
            let right = self.ratio()?;
            let is_set = |node: &Node| {
                matches!(
                    node,
                    Node::Bracket(..) | Node::Union(_) | Node::Intersection(_) | Node::Difference(..) | Node::Reals
                )
            };
            if !is_set(&left) || !is_set(&right) {
                return Err(Fault::Syntax);
            }
            left = match (symbol, left) {
                ('∪', left) => Self::union(left, right),
                ('∩', Node::Intersection(mut items)) => {
                    items.push(right);
                    Node::Intersection(items)
                }
                ('∩', left) => Node::Intersection(vec![left, right]),
                (_, Node::Difference(..)) => return Err(Fault::Syntax),
                (_, left) => Node::Difference(Box::new(left), Box::new(right)),
            };
        }
    }

    fn union(left: Node, right: Node) -> Node {
        match left {
            Node::Union(mut items) => {
                items.push(right);
                Node::Union(items)
            }
            left => Node::Union(vec![left, right]),
        }
    }

    fn ratio(&mut self) -> Result<Node, Fault> {
        let first = self.sum()?;
        if !self.next_is(':') || !self.has_ratios {
            return Ok(first);
        }
        let mut terms = vec![first];
        while self.take(':') {
            self.count()?;
            terms.push(self.sum()?);
        }
        if terms.iter().any(|term| !term.is_scalar()) {
            return Err(Fault::Syntax);
        }
        Ok(Node::Ratio(terms))
    }

    /// Returns the node for items between two ends: a single item between the same round or square
    /// ends is only grouped.
    pub(super) fn bracket(open: Edge, mut items: Vec<Node>, close: Edge, joint: Joint) -> Result<Node, Fault> {
        let groups = matches!(open, Edge::Round | Edge::Square) && open == close;
        match items.len() {
            1 if groups => Ok(items.remove(0)),
            0 if open != Edge::Brace => Err(Fault::Syntax),
            1 if open != Edge::Brace && open != Edge::Angle => Err(Fault::Syntax),
            _ if open != close && items.len() != 2 => Err(Fault::Syntax),
            _ => Ok(Node::Bracket(open, items, close, joint)),
        }
    }
}
