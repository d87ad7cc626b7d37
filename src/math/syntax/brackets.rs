//! Brackets: groups, tuples, intervals, sets, absolute values, matrices.

use super::node::{Edge, Function, Joint, Node, Order};
use super::parser::{Fault, Parser};
use crate::text::Token;

/// The environments that are matrices.
const MATRICES: &[&str] = &["pmatrix", "bmatrix", "Bmatrix", "matrix", "smallmatrix", "array"];

impl Parser {
    /// Reads round, square and angle brackets: a group, a tuple or an interval.
    pub(super) fn enclosed(&mut self, open: Edge) -> Result<Node, Fault> {
        let (items, joint) = self.nested(|parser| parser.items(Self::item))?;
        let close = match self.peek() {
            Some(Token::Symbol(')')) => Edge::Round,
            Some(Token::Symbol(']')) => Edge::Square,
            Some(Token::Symbol('⟩')) => Edge::Angle,
            _ => return Err(Fault::Syntax),
        };
        if (open == Edge::Angle) != (close == Edge::Angle) || joint != Joint::Comma {
            return Err(Fault::Syntax);
        }
        self.at += 1;
        // `([1, 2])` may end as `([1, 2)]` nowhere: ends are checked pair by pair.
        Self::bracket(open, items, close, joint)
    }

    /// Reads a set in literal braces: its items, or a condition after a bar.
    pub(super) fn set(&mut self) -> Result<Node, Fault> {
        let node = self.nested(|parser| {
            // The bar or colon of `{x | x > 3}` closes nothing, opens no absolute value and
            // makes no ratio.
            (parser.bars, parser.has_ratios) = (1, false);
            let (items, joint) = parser.items(Self::item)?;
            if !parser.take('|') && !parser.take(':') {
                return Self::bracket(Edge::Brace, items, Edge::Brace, joint);
            }
            let binds = match &items[..] {
                [Node::Variable(name)] => name.clone(),
                [Node::Relation(first, rest)] => match (&**first, &rest[..]) {
                    (Node::Variable(name), [(Order::In, Node::Reals)]) => name.clone(),
                    _ => return Err(Fault::Syntax),
                },
                _ => return Err(Fault::Syntax),
            };
            (parser.bars, parser.has_ratios) = (0, true);
            let (conditions, joint) = parser.items(Self::item)?;
            let names_it = |node: &Node| matches!(node, Node::Variable(name) if *name == binds);
            if !conditions.iter().all(|condition| condition.any(&mut |node| names_it(node))) || conditions.is_empty() {
                return Err(Fault::Syntax);
            }
            Ok(Node::list(conditions, if joint == Joint::Comma { Joint::And } else { joint }))
        })?;
        self.expect('⦄')?;
        match node {
            Node::Bracket(Edge::Bare, mut items, Edge::Bare, _) if items.len() == 1 => Ok(items.remove(0)),
            node => Ok(node),
        }
    }

    /// Reads a TeX group: mathematics that belongs together, or what some write for a set.
    pub(super) fn group(&mut self) -> Result<Node, Fault> {
        self.expect('{')?;
        let node = self.nested(|parser| {
            let (mut items, joint) = parser.items(Self::item)?;
            if let Some(rest) = parser.infix()? {
                let (1, Some(first)) = (items.len(), items.pop()) else { return Err(Fault::Syntax) };
                if !first.is_scalar() {
                    return Err(Fault::Syntax);
                }
                return Ok(match rest {
                    (true, bottom) => Node::quotient(first, bottom),
                    (false, bottom) => Node::Binomial(Box::new(first), Box::new(bottom)),
                });
            }
            match items.len() {
                1 => Ok(items.remove(0)),
                0 => Err(Fault::Syntax),
                _ => Ok(Node::Bracket(Edge::Brace, items, Edge::Brace, joint)),
            }
        })?;
        self.expect('}')?;
        Ok(node)
    }

    /// Reads the second half of `{a \over b}` or `{n \choose k}`; the flag means `\over`.
    fn infix(&mut self) -> Result<Option<(bool, Node)>, Fault> {
        let is_over = self.take_command("over");
        if !is_over && !self.take_command("choose") {
            return Ok(None);
        }
        let bottom = self.sum()?;
        if bottom.is_scalar() { Ok(Some((is_over, bottom))) } else { Err(Fault::Syntax) }
    }

    /// Reads what is between bars, floors or ceilings.
    pub(super) fn fenced(&mut self, close: char, function: Function) -> Result<Node, Fault> {
        let inner = self.nested(|parser| {
            parser.bars = usize::from(close == '|');
            parser.sum()
        })?;
        self.expect(close)?;
        if inner.is_scalar() { Ok(Node::Apply(function, Box::new(inner))) } else { Err(Fault::Syntax) }
    }

    /// Reads a matrix after its `\begin`.
    pub(super) fn matrix(&mut self, environment: &str) -> Result<Node, Fault> {
        if !MATRICES.contains(&environment) {
            return Err(Fault::Syntax);
        }
        let end = format!("end {environment}");
        let (mut rows, mut row) = (Vec::new(), Vec::new());
        self.nested(|parser| {
            while !parser.next_is_command(&end) {
                let entry = parser.sum()?;
                if !entry.is_scalar() {
                    return Err(Fault::Syntax);
                }
                row.push(entry);
                if parser.take_command("\\") {
                    rows.push(std::mem::take(&mut row));
                } else if !parser.take('&') && !parser.next_is_command(&end) {
                    return Err(Fault::Syntax);
                }
            }
            Ok(())
        })?;
        self.at += 1;
        if !row.is_empty() {
            rows.push(row);
        }
        let width = rows.first().map_or(0, Vec::len);
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return Err(Fault::Syntax);
        }
        Ok(Node::Matrix(rows))
    }

    /// Reads the argument of a command: a group, or the next character.
    pub(super) fn argument(&mut self) -> Result<Node, Fault> {
        if self.next_is('{') {
            return self.group();
        }
        if let Some(Token::Number(digits)) = self.peek().cloned()
            && digits.len() > 1
            && digits.starts_with(|c: char| c.is_ascii_digit())
        {
            // `\frac34` is 3/4: the rest of the number stays for what follows.
            let (first, rest) = digits.split_at(1);
            self.tokens[self.at] = Token::Number(rest.to_string());
            return Self::number(first);
        }
        self.nested(Self::script_atom)
    }

    /// Reads an argument that must be a single number.
    pub(super) fn scalar_argument(&mut self) -> Result<Node, Fault> {
        let node = self.argument()?;
        if node.is_scalar() { Ok(node) } else { Err(Fault::Syntax) }
    }
}
