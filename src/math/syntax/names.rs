//! Names on one side of an equation: `x`, `a_1`, `f(x)`, `AB`, `y'`, `\text{Area}`.

use super::node::Node;
use super::parser::Parser;
use crate::text::{Token, normal_phrase};

impl Parser {
    /// Reads a name that is a whole side of a relation. A product of letters is a name only if they
    /// are capitals, as of points.
    pub(super) fn name(&mut self, is_first: bool) -> Option<Node> {
        let (name, length) = self.application().or_else(|| self.points()).or_else(|| self.phrase())?;
        let ends = match self.peek_at(length) {
            Some(Token::Symbol('=' | '≈')) => true,
            None | Some(Token::Symbol(',' | ';' | ')' | ']')) => !is_first,
            _ => false,
        };
        if !ends {
            return None;
        }
        self.at += length;
        Some(Node::Variable(name))
    }

    /// Matches `f(x)`, `f_1(x, y)` or `f^{-1}(x)`.
    fn application(&self) -> Option<(String, usize)> {
        let Some(Token::Letter(letter)) = self.peek() else { return None };
        let (mut name, mut at) = (letter.clone(), 1);
        while let Some(token) = self.peek_at(at) {
            match token {
                Token::Symbol('\'') => name.push('\''),
                Token::Symbol(symbol @ ('^' | '_')) => {
                    name.push(*symbol);
                    let length = self.script_length(at + 1)?;
                    for ahead in at + 1..at + 1 + length {
                        name.push_str(&spelled(self.peek_at(ahead)?)?);
                    }
                    at += length;
                }
                _ => break,
            }
            at += 1;
        }
        if !self.peek_at(at)?.is('(') {
            return None;
        }
        loop {
            let token = self.peek_at(at)?;
            match token {
                Token::Letter(_) | Token::Symbol('(' | ')' | ',') | Token::Number(_) => name.push_str(&spelled(token)?),
                _ => return None,
            }
            at += 1;
            if token.is(')') {
                return Some((name, at));
            }
        }
    }

    /// Returns the number of tokens of a script: a group, or one token.
    fn script_length(&self, at: usize) -> Option<usize> {
        if !self.peek_at(at)?.is('{') {
            return Some(1);
        }
        let length = (1..12).find(|ahead| self.peek_at(at + ahead).is_some_and(|token| token.is('}')))?;
        Some(length + 1)
    }

    /// Matches capitals side by side, as in `AB = 5`, or in bars, as in `|AB| = 5`.
    fn points(&self) -> Option<(String, usize)> {
        let bars = usize::from(self.next_is('|'));
        let mut name = String::new();
        while let Some(Token::Letter(letter)) = self.peek_at(bars + name.len()) {
            if letter.len() != 1 || !letter.starts_with(|c: char| c.is_ascii_uppercase()) {
                return None;
            }
            name.push_str(letter);
        }
        let closes = bars == 0 || self.peek_at(1 + name.len())?.is('|');
        let length = name.len() + 2 * bars;
        (name.len() >= 2 && closes).then_some((name, length))
    }

    /// Matches words, as in `\text{Area} = 5`.
    fn phrase(&self) -> Option<(String, usize)> {
        let words = (0..).map_while(|ahead| match self.peek_at(ahead) {
            Some(Token::Word(word)) => Some(normal_phrase(word)),
            _ => None,
        });
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| (words.join(" "), words.len()))
    }
}

/// Returns how a token is written in a name.
fn spelled(token: &Token) -> Option<String> {
    match token {
        Token::Letter(text) | Token::Number(text) | Token::Word(text) => Some(text.clone()),
        Token::Symbol('{' | '}') => Some(String::new()),
        Token::Symbol(symbol) => Some(symbol.to_string()),
        Token::Command(name) => Some(name.clone()),
        _ => None,
    }
}

impl Parser {
    /// Reads the subscript of a variable as it is written.
    pub(super) fn subscript(&mut self) -> Option<String> {
        let length = self.script_length(0)?;
        let mut text = String::new();
        for ahead in 0..length {
            text.push_str(&spelled(self.peek_at(ahead)?)?);
        }
        self.at += length;
        Some(text)
    }
}
