//! Sums, products and powers.
//!
//! ```text
//! sum     = [sign] product { sign product }
//! product = factor { ("*" | "/" | nothing) factor }
//! factor  = atom { "!" | "^" script | "'" | "°" }
//! ```
//!
//! Multiplication that is not written binds like one that is: `1/2x` is x/2.

use super::node::Node;
use super::parser::{Fault, Parser};
use crate::text::Token;

/// The most operators behind one atom.
const MAX_POSTFIXES: usize = 8;

impl Parser {
    pub(super) fn sum(&mut self) -> Result<Node, Fault> {
        let mut terms = Vec::new();
        while let Some(sign) = self.sign(terms.is_empty())? {
            let product = self.product()?;
            if !terms.is_empty() || sign != Sign::Plus {
                Self::scalar(&product)?;
            }
            terms.push(match sign {
                Sign::Plus => product,
                Sign::Minus => Self::opposite(product),
                Sign::PlusMinus => Node::PlusMinus(Box::new(product), false),
                Sign::MinusPlus => Node::PlusMinus(Box::new(product), true),
            });
        }
        match terms.len() {
            1 => Ok(terms.remove(0)),
            _ if terms.iter().any(|term| matches!(term, Node::Matrix(_))) => Err(Fault::Syntax),
            _ => terms.iter().try_for_each(Self::scalar).map(|()| Node::Sum(terms)),
        }
    }

    /// Returns an error for what cannot be added or multiplied.
    fn scalar(node: &Node) -> Result<(), Fault> {
        if node.is_scalar() || matches!(node, Node::Matrix(_)) { Ok(()) } else { Err(Fault::Syntax) }
    }

    fn opposite(node: Node) -> Node {
        match node {
            Node::Matrix(rows) => Node::Matrix(each(rows, Node::negative)),
            Node::Negative(inner) => *inner,
            node => Node::negative(node),
        }
    }

    /// Reads the signs before a term; `None` if no term follows. The first term needs no sign.
    fn sign(&mut self, is_first: bool) -> Result<Option<Sign>, Fault> {
        let mut sign = Sign::Plus;
        let mut found = is_first;
        while let Some(Token::Symbol(symbol)) = self.peek() {
            sign = match (symbol, sign) {
                ('+', sign) => sign,
                ('-', Sign::Plus) => Sign::Minus,
                ('-', Sign::Minus) => Sign::Plus,
                ('±', Sign::Plus) => Sign::PlusMinus,
                ('∓', Sign::Plus) => Sign::MinusPlus,
                ('-' | '±' | '∓', _) => return Err(Fault::Syntax),
                _ => break,
            };
            found = true;
            self.at += 1;
        }
        Ok(found.then_some(sign))
    }

    fn product(&mut self) -> Result<Node, Fault> {
        self.count()?;
        let mut factors = vec![self.factor()?];
        loop {
            let divides = self.next_is('/');
            let is_written = divides || self.next_is('*');
            if is_written {
                if matches!(self.peek_at(1), Some(Token::Word(_))) {
                    break;
                }
                self.at += 1;
            } else if !self.starts_factor() {
                break;
            }
            self.count()?;
            let is_negative = is_written && self.take('-');
            let factor = self.factor()?;
            let factor = if is_negative { Node::negative(factor) } else { factor };
            if divides && !factor.is_scalar() {
                return Err(Fault::Syntax);
            }
            factors.push(if divides { Node::Inverse(Box::new(factor)) } else { factor });
        }
        if factors.len() == 1 {
            return Ok(factors.remove(0));
        }
        factors.iter().try_for_each(Self::scalar)?;
        let (matrices, mut factors): (Vec<Node>, Vec<Node>) =
            factors.into_iter().partition(|factor| matches!(factor, Node::Matrix(_)));
        match (matrices.len(), matrices.into_iter().next()) {
            (1, Some(Node::Matrix(rows))) => {
                let scale = if factors.len() == 1 { factors.remove(0) } else { Node::Product(factors) };
                Ok(Node::Matrix(each(rows, |entry| Node::Product(vec![scale.clone(), entry]))))
            }
            (0, _) => Ok(Node::Product(factors)),
            _ => Err(Fault::Syntax),
        }
    }

    /// Returns whether the next token can start a factor that is multiplied without a sign. Two
    /// numbers, or a letter and a number, do not stand side by side.
    pub(super) fn starts_factor(&self) -> bool {
        let after = self.at.checked_sub(1).and_then(|before| self.tokens.get(before));
        match self.peek() {
            Some(Token::Letter(_)) => true,
            Some(Token::Number(_) | Token::Repeating(..) | Token::Scientific(..)) => {
                !matches!(after, Some(Token::Number(_) | Token::Letter(_) | Token::Repeating(..)))
            }
            Some(Token::Command(name)) => {
                !matches!(name.as_str(), "or" | "and" | "cup" | "\\" | "over" | "choose" | "circ" | "prime")
                    && !name.starts_with("end ")
            }
            Some(Token::Symbol('(' | '[' | '{' | '⌊' | '⌈')) => true,
            Some(Token::Symbol('|')) => self.bars == 0,
            _ => false,
        }
    }

    pub(super) fn factor(&mut self) -> Result<Node, Fault> {
        let base = self.atom()?;
        self.postfixes(base)
    }

    /// Reads what stands behind an atom.
    pub(super) fn postfixes(&mut self, base: Node) -> Result<Node, Fault> {
        let mut node = base;
        for _ in 0..=MAX_POSTFIXES {
            let next = if self.take('!') {
                let step = if self.take('!') { 2 } else { 1 };
                Node::Factorial(Box::new(node), step)
            } else if self.take('^') {
                if self.degree_sign() {
                    Node::Degrees(Box::new(node))
                } else {
                    let exponent = self.nested(Self::script)?;
                    if !exponent.is_scalar() {
                        return Err(Fault::Syntax);
                    }
                    Node::Power(Box::new(node), Box::new(exponent))
                }
            } else {
                return Ok(node);
            };
            let (Node::Factorial(of, _) | Node::Degrees(of) | Node::Power(of, _)) = &next else {
                return Err(Fault::Syntax);
            };
            if !of.is_scalar() {
                return Err(Fault::Syntax);
            }
            self.count()?;
            node = next;
        }
        Err(Fault::TooLarge)
    }

    /// Goes past `\circ` or `{\circ}` behind a `^`.
    fn degree_sign(&mut self) -> bool {
        if self.take_command("circ") {
            return true;
        }
        let is_circ = |ahead: usize| matches!(self.peek_at(ahead), Some(Token::Command(name)) if name == "circ");
        let found = self.next_is('{') && is_circ(1) && self.peek_at(2).is_some_and(|token| token.is('}'));
        self.at += if found { 3 } else { 0 };
        found
    }

    /// Reads an exponent: a group, or a signed atom with its own exponent.
    pub(super) fn script(&mut self) -> Result<Node, Fault> {
        if self.next_is('{') {
            return self.argument();
        }
        if self.take('-') {
            return Ok(Node::negative(self.script_atom()?));
        }
        self.take('+');
        self.script_atom()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    PlusMinus,
    MinusPlus,
}

fn each(rows: Vec<Vec<Node>>, change: impl Fn(Node) -> Node) -> Vec<Vec<Node>> {
    rows.into_iter().map(|row| row.into_iter().map(&change).collect()).collect()
}
