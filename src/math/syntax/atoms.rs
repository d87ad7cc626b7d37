//! Atoms: numbers, letters, commands with their arguments, and whatever is in brackets.

use super::functions::named;
use super::node::{Constant, Edge, Function, Joint, Node};
use super::parser::{Fault, Parser};
use crate::text::Token;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, Zero};

impl Parser {
    pub(super) fn atom(&mut self) -> Result<Node, Fault> {
        self.count()?;
        let Some(token) = self.peek().cloned() else { return Err(Fault::Syntax) };
        match &token {
            Token::Number(digits) => {
                self.at += 1;
                self.mixed(Self::number(digits)?)
            }
            Token::Repeating(whole, part, period) => {
                self.at += 1;
                repeating(whole, part, period)
            }
            Token::Scientific(digits, exponent) => {
                self.at += 1;
                let Node::Number(value, _) = Self::number(digits)? else { return Err(Fault::Syntax) };
                let power = BigRational::from_integer(BigInt::from(10).pow(exponent.unsigned_abs()));
                Ok(Node::Number(if *exponent < 0 { value / power } else { value * power }, 0))
            }
            Token::Numeral(value, base) => {
                self.at += 1;
                Ok(Node::Numeral(value.clone(), *base))
            }
            Token::Letter(name) => {
                self.at += 1;
                self.letter(name)
            }
            Token::Command(name) => {
                self.at += 1;
                self.command(name)
            }
            Token::Word(_) => Err(Fault::Syntax),
            Token::Symbol(symbol) => self.symbol(*symbol),
        }
    }

    fn symbol(&mut self, symbol: char) -> Result<Node, Fault> {
        if symbol == '{' {
            return self.group();
        }
        self.at += 1;
        match symbol {
            '(' => self.enclosed(Edge::Round),
            '[' => self.enclosed(Edge::Square),
            '⟨' => self.enclosed(Edge::Angle),
            '⦃' => self.set(),
            '|' => self.fenced('|', Function::Absolute),
            '⌊' => self.fenced('⌋', Function::Floor),
            '⌈' => self.fenced('⌉', Function::Ceiling),
            _ => Err(Fault::Syntax),
        }
    }

    /// Reads an atom of a script, in which a number is never mixed.
    pub(super) fn script_atom(&mut self) -> Result<Node, Fault> {
        let atom = match self.peek().cloned() {
            Some(Token::Number(digits)) => {
                self.count()?;
                self.at += 1;
                Self::number(&digits)?
            }
            _ => self.atom()?,
        };
        if self.next_is('^') { self.postfixes(atom) } else { Ok(atom) }
    }

    /// Returns the number that decimal digits stand for.
    pub(super) fn number(digits: &str) -> Result<Node, Fault> {
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let places = part.len() as u32;
        let numerator: BigInt = format!("{whole}{part}").parse().map_err(|_| Fault::Syntax)?;
        Ok(Node::Number(BigRational::new(numerator, BigInt::from(10).pow(places)), places))
    }

    /// Adds the fraction after a whole number: `1\frac45` is 9/5, and so is `1 4/5`.
    fn mixed(&mut self, whole: Node) -> Result<Node, Fault> {
        let Node::Number(value, 0) = &whole else { return Ok(whole) };
        if let Some((top, bottom, length)) = self.simple_fraction()
            && is_proper(&top, &bottom)
        {
            self.at += length;
            return Ok(Node::Number(value + top / bottom, 0));
        }
        if let (Some(Token::Number(top)), Some(slash), Some(Token::Number(bottom))) =
            (self.peek(), self.peek_at(1), self.peek_at(2))
            && slash.is('/')
            && let (Ok(Node::Number(top, 0)), Ok(Node::Number(bottom, 0))) = (Self::number(top), Self::number(bottom))
            && is_proper(&top, &bottom)
        {
            let value = value + top / bottom;
            self.at += 3;
            return Ok(Node::Number(value, 0));
        }
        Ok(whole)
    }

    /// Matches `\frac` with whole numbers; returns them and the number of tokens.
    fn simple_fraction(&self) -> Option<(BigRational, BigRational, usize)> {
        if !self.next_is_command("frac") {
            return None;
        }
        let whole = |ahead: usize| match self.peek_at(ahead) {
            Some(Token::Number(digits)) if !digits.contains('.') => Some(digits.as_str()),
            _ => None,
        };
        let parse = |digits: &str| digits.parse::<BigInt>().ok().map(BigRational::from_integer);
        if let Some(digits) = whole(1).filter(|digits| digits.len() == 2) {
            return Some((parse(&digits[..1])?, parse(&digits[1..])?, 2));
        }
        let argument = |ahead: usize| {
            if let Some(digits) = whole(ahead) {
                return (digits.len() == 1).then_some((digits, ahead + 1));
            }
            let encloses = self.peek_at(ahead)?.is('{') && self.peek_at(ahead + 2)?.is('}');
            whole(ahead + 1).filter(|_| encloses).map(|digits| (digits, ahead + 3))
        };
        let (top, next) = argument(1)?;
        let (bottom, length) = argument(next)?;
        Some((parse(top)?, parse(bottom)?, length))
    }

    fn letter(&mut self, name: &str) -> Result<Node, Fault> {
        let mut name = name.to_string();
        if self.next_is('_') {
            self.at += 1;
            let subscript = self.subscript().ok_or(Fault::Syntax)?;
            name = format!("{name}_{subscript}");
        }
        while self.take('\'') {
            name.push('\'');
            if name.len() > 64 {
                return Err(Fault::TooLarge);
            }
        }
        Ok(match name.as_str() {
            "e" => Node::Constant(Constant::E),
            "i" => Node::Constant(Constant::I),
            _ => Node::Variable(name),
        })
    }

    fn command(&mut self, name: &str) -> Result<Node, Fault> {
        if let Some(function) = named(name) {
            return self.function(function);
        }
        if let Some(environment) = name.strip_prefix("begin ") {
            return self.matrix(environment);
        }
        match name {
            "pi" => Ok(Node::Constant(Constant::Pi)),
            "infty" => Ok(Node::Constant(Constant::Infinity)),
            "Reals" => Ok(Node::Reals),
            "emptyset" => Ok(Node::Bracket(Edge::Brace, Vec::new(), Edge::Brace, Joint::Comma)),
            "frac" => {
                let numerator = self.scalar_argument()?;
                Ok(Node::quotient(numerator, self.scalar_argument()?))
            }
            "binom" => {
                let top = self.scalar_argument()?;
                Ok(Node::Binomial(Box::new(top), Box::new(self.scalar_argument()?)))
            }
            "sqrt" => self.root(),
            "cbrt" => Ok(Node::Root(3, Box::new(self.scalar_argument()?))),
            "log" | "lg" => self.logarithm(),
            "boxed" => self.argument(),
            _ => Err(Fault::Syntax),
        }
    }
}

/// Returns whether two whole numbers make a proper fraction.
fn is_proper(top: &BigRational, bottom: &BigRational) -> bool {
    top.is_positive() && top < bottom
}

/// Returns the value of a repeating decimal.
fn repeating(whole: &str, part: &str, period: &str) -> Result<Node, Fault> {
    let parse = |digits: String| digits.parse::<BigInt>().map_err(|_| Fault::Syntax);
    let ten = |n: usize| BigInt::from(10).pow(n as u32);
    let once = parse(format!("{whole}{part}"))?;
    let twice = parse(format!("{whole}{part}{period}"))?;
    let denominator = (ten(period.len()) - BigInt::one()) * ten(part.len());
    if denominator.is_zero() {
        return Err(Fault::Syntax);
    }
    Ok(Node::Number(BigRational::new(twice - once, denominator), 0))
}
