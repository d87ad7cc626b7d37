//! Answers as values: read once, compared often.

use crate::compare::Comparer;
use crate::options::Options;
use crate::syntax::{Fault, Node, expanded, parse};
use crate::text::{Commas, Refused, Token, clean, lex, normal_phrase};
use thiserror::Error;

/// Why a text cannot be an answer.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// There is nothing in the text.
    #[error("the answer is empty")]
    Empty,
    /// The text is longer than any answer.
    #[error("the answer has {bytes} bytes, at most 8192 are read")]
    TooLong {
        /// The length of the text.
        bytes: usize,
    },
    /// There is a control character, such as NUL, in the text.
    #[error("the answer has a control character in it")]
    ControlCharacter,
    /// The expression is nested more deeply, or has more parts, than any answer.
    #[error("the answer is nested too deeply or has too many parts")]
    TooComplex,
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answers are equal.
    Equal,
    /// The answers are not equal.
    Different,
    /// No difference was found, but the steps or the precision that are allowed do not suffice to
    /// call the answers equal. It counts as not equal.
    Undecided,
}

impl Verdict {
    /// Returns whether the answers are equal.
    pub fn is_equal(self) -> bool {
        self == Self::Equal
    }
}

/// An answer that was read.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The tokens in one line: the form in which identical notation is identical.
    plain: String,
    /// The letters alone, in lower case, if the answer is nothing but words or letters.
    words: Option<String>,
    has_word: bool,
    /// The expressions that the text can mean: none if it is not mathematics, two if its commas
    /// can separate thousands or items.
    readings: Vec<Node>,
}

impl Answer {
    /// Reads an answer, without whatever stood around it.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let text = clean(text).map_err(|refused| match refused {
            Refused::Empty => Unreadable::Empty,
            Refused::TooLong(bytes) => Unreadable::TooLong { bytes },
            Refused::ControlCharacter => Unreadable::ControlCharacter,
        })?;
        let lexed = lex(&text, Commas::Thousands);
        let (plain, words) = (plain(&lexed.tokens), words(&lexed.tokens));
        if plain.is_empty() {
            return Err(Unreadable::Empty);
        }
        let has_word = lexed.tokens.iter().any(|token| matches!(token, Token::Word(_)));
        let mut readings = Vec::new();
        let others = lexed.is_ambiguous.then(|| lex(&text, Commas::Lists).tokens);
        for tokens in std::iter::once(lexed.tokens).chain(others) {
            match parse(tokens) {
                Ok(node) => readings.push(expanded(node)),
                Err(Fault::Syntax) => {}
                Err(Fault::TooLarge) => return Err(Unreadable::TooComplex),
            }
        }
        Ok(Self { plain, words, has_word, readings })
    }

    /// Returns whether the answer was understood as mathematics or words. One that was not equals
    /// only what is written like it.
    pub fn is_understood(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Compares two answers; the first is the gold answer where one of them is.
    pub fn compare(&self, other: &Self, options: &Options) -> Verdict {
        if self.plain == other.plain || (self.has_word || other.has_word) && self.words_equal(other) {
            return Verdict::Equal;
        }
        // Without rounding, neither answer comes first: the work is done in one and the same order.
        let swaps = !options.round_to_gold && self.plain > other.plain;
        let (a, b) = if swaps { (other, self) } else { (self, other) };
        let mut comparer = Comparer::new(options.round_to_gold);
        for reading in &a.readings {
            for other in &b.readings {
                if comparer.same(reading, other) {
                    return Verdict::Equal;
                }
            }
        }
        if comparer.is_open() { Verdict::Undecided } else { Verdict::Different }
    }

    /// Returns whether two answers are equal under the default options.
    pub fn equals(&self, other: &Self) -> bool {
        self.compare(other, &Options::default()).is_equal()
    }

    fn words_equal(&self, other: &Self) -> bool {
        self.words.is_some() && self.words == other.words
    }
}

/// Returns whether an answer equals the gold answer. What cannot be read equals nothing.
pub fn equivalent(gold: &str, answer: &str, options: &Options) -> bool {
    match (Answer::read(gold), Answer::read(answer)) {
        (Ok(gold), Ok(answer)) => gold.compare(&answer, options).is_equal(),
        _ => false,
    }
}

/// Returns the group of each answer, numbered from 0 in order of appearance, for a majority vote.
///
/// Since equality is not transitive, groups need a rule: an answer joins the first group whose
/// first member it equals, and opens one if there is none.
pub fn group(answers: &[Answer]) -> Vec<usize> {
    let mut firsts: Vec<&Answer> = Vec::new();
    let mut groups = Vec::with_capacity(answers.len());
    for answer in answers {
        let known = firsts.iter().position(|first| first.equals(answer));
        groups.push(known.unwrap_or_else(|| {
            firsts.push(answer);
            firsts.len() - 1
        }));
    }
    groups
}

/// Returns the tokens in one line.
fn plain(tokens: &[Token]) -> String {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Number(digits) => text.push_str(digits),
            Token::Repeating(whole, part, period) => text.push_str(&format!("{whole}.{part}({period})")),
            Token::Scientific(digits, exponent) => text.push_str(&format!("{digits}e{exponent}")),
            Token::Numeral(value, base) => text.push_str(&format!("{value}[{base}]")),
            Token::Letter(name) => text.push_str(name),
            Token::Command(name) => text.push_str(&format!("\\{name}")),
            Token::Word(word) => text.push_str(&normal_phrase(word)),
            Token::Symbol(symbol) => text.push(*symbol),
        }
        // What is apart stays apart: `\frac12` is not a command of another name.
        text.push(' ');
    }
    text.trim_end().to_string()
}

/// Returns the letters of an answer of words or letters only.
fn words(tokens: &[Token]) -> Option<String> {
    let mut text = String::new();
    for token in tokens {
        match token {
            Token::Word(word) => text.push_str(&normal_phrase(word).replace(' ', "")),
            Token::Letter(letter) if letter.len() == 1 => text.push_str(&letter.to_lowercase()),
            Token::Command(name) if name == "and" || name == "or" => text.push_str(name),
            Token::Symbol('.' | '!' | '?' | '\'' | '-' | '(' | ')') => {}
            _ => return None,
        }
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_counts_equal_answers_together() {
        let answers = ["1/2", "3", "0.5", "\\frac{1}{2}", "3 \\text{ cm}", "3 \\text{ m}", "x=3"];
        let answers: Vec<Answer> = answers.iter().map(|text| Answer::read(text).unwrap()).collect();
        assert_eq!(group(&answers), [0, 1, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn what_cannot_be_an_answer_says_why() {
        let check = |text: &str, expected| assert_eq!(Answer::read(text).map(|_| ()), Err(expected));
        check(" ", Unreadable::Empty);
        check("\\left. \\right.", Unreadable::Empty);
        check("4\0 2", Unreadable::ControlCharacter);
        check(&"(".repeat(4000), Unreadable::TooComplex);
        check(&"1+".repeat(5000), Unreadable::TooLong { bytes: 10_000 });
    }

    #[test]
    fn rounding_is_to_the_gold_answer_and_only_if_wanted() {
        let rounded = Options { round_to_gold: true };
        for (gold, answer, expected) in [
            ("3.14", "\\pi", true),
            ("\\pi", "3.14", false),
            ("3.15", "\\pi", false),
            ("-0.33", "-1/3", true),
            ("3", "\\pi", false),
            ("x = 1.41", "\\sqrt 2", true),
            ("(0.67, 1)", "(2/3, 1)", true),
        ] {
            assert_eq!(equivalent(gold, answer, &rounded), expected, "{gold} and {answer}");
            assert!(!equivalent(gold, answer, &Options::default()), "{gold} and {answer}");
        }
    }
}
