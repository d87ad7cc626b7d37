//! From the text of an answer to tokens: LaTeX and plain notation, numerals, words. Knows nothing
//! of what the tokens mean together.

mod clean;
mod numerals;
mod words;

mod commands;

mod lexer;

pub(crate) use clean::{Refused, clean};
pub(crate) use lexer::{Commas, lex};
pub(crate) use words::{is_negating, normal_phrase, scale_of, unit_of};

use num_rational::BigRational;

/// A token of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Decimal digits with at most one point, as written but for separators.
    Number(String),
    /// A decimal with a repeating end: the digits before the point, after it, and the ones that
    /// repeat.
    Repeating(String, String, String),
    /// A number in scientific notation with an `e`: digits and exponent.
    Scientific(String, i32),
    /// A numeral with its base as a subscript.
    Numeral(BigRational, u32),
    /// One letter, or the name of a Greek one.
    Letter(String),
    /// A LaTeX command without its backslash, or a function written in plain letters.
    Command(String),
    /// A word or phrase of ordinary language.
    Word(String),
    /// Any other character. Literal set braces are `⦃` and `⦄`, TeX groups `{` and `}`.
    Symbol(char),
}

impl Token {
    /// Returns whether the token is this symbol.
    pub(crate) fn is(&self, symbol: char) -> bool {
        matches!(self, Self::Symbol(own) if *own == symbol)
    }
}
