//! Functions with their arguments, powers and bases: `\sin^2 2x`, `\log_2 8`, `\sqrt[3]{2}`.

use super::node::{Function, Node};
use super::parser::{Fault, Parser};
use crate::text::Token;
use num_traits::ToPrimitive;

/// The largest index of a root.
const MAX_INDEX: u32 = 1000;

/// Returns the function that a command names.
pub(super) fn named(command: &str) -> Option<Function> {
    Some(match command {
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" => Function::Tan,
        "cot" => Function::Cot,
        "sec" => Function::Sec,
        "csc" => Function::Csc,
        "arcsin" => Function::Arcsin,
        "arccos" => Function::Arccos,
        "arctan" => Function::Arctan,
        "sinh" => Function::Sinh,
        "cosh" => Function::Cosh,
        "tanh" => Function::Tanh,
        "exp" => Function::Exp,
        "ln" => Function::Ln,
        "cis" => Function::Cis,
        "abs" => Function::Absolute,
        "floor" => Function::Floor,
        "ceil" => Function::Ceiling,
        _ => return None,
    })
}

impl Parser {
    /// Reads the rest of a function after its name. An exponent before the argument is one of the
    /// result, but `-1` means the inverse function.
    pub(super) fn function(&mut self, function: Function) -> Result<Node, Fault> {
        let exponent = if self.take('^') { Some(self.nested(Self::script)?) } else { None };
        let argument = Box::new(self.function_argument()?);
        let Some(exponent) = exponent else { return Ok(Node::Apply(function, argument)) };
        if exponent == Node::negative(Node::integer(1)) {
            let inverse = match function {
                Function::Sin => Function::Arcsin,
                Function::Cos => Function::Arccos,
                Function::Tan => Function::Arctan,
                _ => return Err(Fault::Syntax),
            };
            return Ok(Node::Apply(inverse, argument));
        }
        if !exponent.is_scalar() {
            return Err(Fault::Syntax);
        }
        Ok(Node::Power(Box::new(Node::Apply(function, argument)), Box::new(exponent)))
    }

    /// Reads a logarithm after its name. Without a base it is the common one.
    pub(super) fn logarithm(&mut self) -> Result<Node, Fault> {
        let (mut base, mut exponent) = (Node::integer(10), None);
        for _ in 0..2 {
            if self.take('_') {
                base = self.nested(Self::scalar_argument)?;
            } else if self.take('^') {
                exponent = Some(self.nested(Self::script)?);
            }
        }
        let logarithm = Node::Logarithm(Box::new(base), Box::new(self.function_argument()?));
        match exponent {
            None => Ok(logarithm),
            Some(exponent) if exponent.is_scalar() => Ok(Node::Power(Box::new(logarithm), Box::new(exponent))),
            Some(_) => Err(Fault::Syntax),
        }
    }

    /// Reads an argument: what is in brackets, or all factors up to the next sign, operator,
    /// function or bracket.
    fn function_argument(&mut self) -> Result<Node, Fault> {
        let argument = self.nested(|parser| {
            if parser.next_is('(') || parser.next_is('[') {
                return parser.atom();
            }
            if parser.next_is('{') {
                let group = parser.atom()?;
                return if parser.next_is('^') { parser.postfixes(group) } else { Ok(group) };
            }
            let is_negative = parser.take('-');
            let mut factors = vec![parser.factor()?];
            while parser.starts_factor() && !parser.next_is('(') && !parser.next_is('[') {
                let starts_function = matches!(parser.peek(), Some(Token::Command(name))
                    if named(name).is_some() || matches!(name.as_str(), "log" | "lg"));
                if starts_function {
                    break;
                }
                parser.count()?;
                factors.push(parser.factor()?);
            }
            if factors.iter().any(|factor| !factor.is_scalar()) {
                return Err(Fault::Syntax);
            }
            let product = if factors.len() == 1 { factors.remove(0) } else { Node::Product(factors) };
            Ok(if is_negative { Node::negative(product) } else { product })
        })?;
        if argument.is_scalar() { Ok(argument) } else { Err(Fault::Syntax) }
    }

    /// Reads a root after its name.
    pub(super) fn root(&mut self) -> Result<Node, Fault> {
        let mut degree = 2;
        if self.take('[') {
            let index = self.nested(Self::sum)?;
            self.expect(']')?;
            let Node::Number(index, 0) = index else {
                // The n-th root with a letter for n is a power.
                let radicand = self.scalar_argument()?;
                if !index.is_scalar() {
                    return Err(Fault::Syntax);
                }
                return Ok(Node::Power(Box::new(radicand), Box::new(Node::Inverse(Box::new(index)))));
            };
            degree = index.numer().to_u32().filter(|degree| (1..=MAX_INDEX).contains(degree)).ok_or(Fault::Syntax)?;
        }
        Ok(Node::Root(degree, Box::new(self.scalar_argument()?)))
    }
}
