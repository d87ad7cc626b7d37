//! Items of an answer with ordinary language in them: words alone, a number with its unit, a number
//! after a few words that say nothing.

use super::node::{Edge, Joint, Node};
use super::parser::{Fault, Parser};
use crate::text::{Token, is_negating, normal_phrase, scale_of, unit_of};

/// Words that may stand before an answer.
const INTRODUCTIONS: &[&str] = &["the", "final", "answer", "is", "value", "equals", "total", "so", "hence", "thus"];

/// Phrases for sets.
const EMPTY: &[&str] =
    &["no solution", "no solutions", "no real solution", "no real solutions", "empty set", "the empty set"];
const REALS: &[&str] = &["all real numbers", "all reals", "all real", "the real numbers"];

impl Parser {
    /// Reads one item of an answer.
    pub(super) fn item(&mut self) -> Result<Node, Fault> {
        let start = self.at;
        if let Some(phrase) = self.words() {
            if self.ends_item() {
                return Ok(Self::worded(phrase));
            }
            // `\text{Area} = 5` is an equation; "the answer is 5" is a number.
            if self.next_is('=') || self.next_is('≈') {
                self.at = start;
            } else if !phrase.split(' ').all(|word| INTRODUCTIONS.contains(&word)) {
                return Err(Fault::Syntax);
            }
        }
        let node = self.relation()?;
        self.measured(node)
    }

    /// Reads words in a row.
    fn words(&mut self) -> Option<String> {
        let mut words = Vec::new();
        while let Some(Token::Word(word)) = self.peek() {
            words.push(normal_phrase(word));
            self.at += 1;
        }
        // "vitamin C" and "option B" end with a letter.
        if !words.is_empty()
            && let Some(Token::Letter(letter)) = self.peek().cloned()
            && letter.len() == 1
        {
            self.at += 1;
            if self.ends_item() {
                words.push(letter.to_lowercase());
            } else {
                self.at -= 1;
            }
        }
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn ends_item(&self) -> bool {
        match self.peek() {
            None | Some(Token::Symbol(',' | ';')) => true,
            Some(Token::Command(name)) => name == "or" || name == "and",
            _ => self.closes(),
        }
    }

    fn worded(phrase: String) -> Node {
        if EMPTY.contains(&phrase.as_str()) {
            return Node::Bracket(Edge::Brace, Vec::new(), Edge::Brace, Joint::Comma);
        }
        if REALS.contains(&phrase.as_str()) {
            return Node::Reals;
        }
        Node::Words(phrase)
    }

    /// Reads the unit after a number, if there is one: words with powers, products and quotients.
    fn measured(&mut self, node: Node) -> Result<Node, Fault> {
        let mut unit = String::new();
        loop {
            match self.peek() {
                Some(Token::Word(word)) => {
                    unit.push(' ');
                    unit.push_str(word);
                }
                Some(Token::Symbol('^')) if !unit.is_empty() => {
                    let exponent = self.unit_exponent()?;
                    unit.push('^');
                    unit.push_str(&exponent);
                    continue;
                }
                Some(Token::Symbol(joint @ ('/' | '*'))) if matches!(self.peek_at(1), Some(Token::Word(_))) => {
                    unit.push(*joint);
                }
                _ => break,
            }
            self.at += 1;
        }
        if unit.is_empty() {
            return Ok(node);
        }
        let phrase = normal_phrase(&unit);
        if is_negating(&phrase) {
            return Err(Fault::Syntax);
        }
        Self::with_unit(node, &unit, &phrase)
    }

    /// Attaches the unit to the number, which may be the last side of a relation.
    fn with_unit(node: Node, unit: &str, phrase: &str) -> Result<Node, Fault> {
        match node {
            Node::Relation(first, mut rest) => {
                if let Some((order, last)) = rest.pop() {
                    rest.push((order, Self::with_unit(last, unit, phrase)?));
                }
                Ok(Node::Relation(first, rest))
            }
            Node::Ratio(_) | Node::Bracket(..) => Ok(Node::Measured(Box::new(node), unit_of(unit))),
            node if node.is_scalar() => {
                if let Some((factor, rest)) = scale_of(phrase) {
                    let factor = Node::integer(factor.try_into().map_err(|_| Fault::Syntax)?);
                    let scaled = Node::Product(vec![node, factor]);
                    let rest = unit_of(rest);
                    return Ok(if rest.is_empty() { scaled } else { Node::Measured(Box::new(scaled), rest) });
                }
                let unit = unit_of(unit);
                match unit.as_str() {
                    "" => Ok(node),
                    "degree" => Ok(Node::Degrees(Box::new(node))),
                    _ => Ok(Node::Measured(Box::new(node), unit)),
                }
            }
            _ => Err(Fault::Syntax),
        }
    }

    /// Reads the exponent of a unit.
    fn unit_exponent(&mut self) -> Result<String, Fault> {
        self.expect('^')?;
        let grouped = self.take('{');
        let sign = if self.take('-') { "-" } else { "" };
        let Some(Token::Number(digits)) = self.peek().cloned() else { return Err(Fault::Syntax) };
        self.at += 1;
        if grouped {
            self.expect('}')?;
        }
        Ok(format!("{sign}{digits}"))
    }
}
