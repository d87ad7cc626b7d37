//! The lexer: characters to tokens. It never fails; what it does not know is a symbol of its own,
//! which the parser refuses.

use super::Token;
use super::commands::{self, Kind};
use super::numerals::numeral;
use super::words::{self, Before, Run, normal_phrase};

/// How deep text is looked for within text.
const MAX_NESTING: usize = 4;

/// What a comma before three digits is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commas {
    /// A separator of thousands.
    Thousands,
    /// A separator of a list.
    Lists,
}

/// The tokens of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    /// Whether another reading of the commas may give another answer, as in `100,200`.
    pub(crate) is_ambiguous: bool,
}

/// Returns the tokens of a clean text.
pub(crate) fn lex(text: &str, commas: Commas) -> Lexed {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { commas, tokens: Vec::new(), is_ambiguous: false };
    lexer.read(&chars, 0);
    Lexed { tokens: lexer.tokens, is_ambiguous: lexer.is_ambiguous }
}

struct Lexer {
    commas: Commas,
    tokens: Vec<Token>,
    is_ambiguous: bool,
}

impl Lexer {
    fn read(&mut self, chars: &[char], nesting: usize) {
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            let rest = &chars[at..];
            let goes_on_in_letters = |at: usize| chars.get(at + 1).is_some_and(|c| c.is_alphabetic());
            at += match c {
                '\\' => self.command(rest, nesting),
                _ if c.is_whitespace() => 1,
                '~' | '$' | '%' | '£' | '€' | '"' => 1,
                '{' if rest.starts_with(&['{', ',', '}']) => {
                    self.symbol(',');
                    3
                }
                // Between words, a hyphen or a full stop only joins them.
                '-' | '.' if matches!(self.tokens.last(), Some(Token::Word(_))) && goes_on_in_letters(at) => 1,
                '.' if matches!(self.tokens.last(), Some(Token::Word(_))) => 1,
                '.' if rest.starts_with(&['.', '.', '.']) => {
                    self.symbol('…');
                    3
                }
                '<' | '>' | '!' | '=' if rest.get(1) == Some(&'=') => {
                    self.symbol(match c {
                        '<' => '≤',
                        '>' => '≥',
                        '!' => '≠',
                        _ => '=',
                    });
                    2
                }
                '*' if rest.get(1) == Some(&'*') => {
                    self.symbol('^');
                    2
                }
                _ => match numeral(rest, self.commas) {
                    Some(found) => {
                        self.is_ambiguous |= found.is_ambiguous;
                        self.tokens.push(found.token);
                        found.length
                    }
                    None if c.is_ascii_alphabetic() => self.letters(rest, at == 0),
                    None if c.is_alphabetic() => {
                        self.tokens.push(Token::Letter(c.to_string()));
                        1
                    }
                    None => {
                        self.symbol(c);
                        1
                    }
                },
            };
        }
    }

    fn symbol(&mut self, symbol: char) {
        self.tokens.push(Token::Symbol(symbol));
    }

    /// Reads a run of letters; an apostrophe within a word belongs to it.
    fn letters(&mut self, chars: &[char], is_first: bool) -> usize {
        let own = |at: usize| {
            let inside = |step: usize| chars.get(at + step).is_some_and(char::is_ascii_alphabetic);
            inside(0) || at > 2 && chars[at] == '\'' && inside(1)
        };
        let length = (0..chars.len()).find(|at| !own(*at)).unwrap_or(chars.len());
        let run: String = chars[..length].iter().filter(|c| **c != '\'').collect();
        let before = match self.tokens.last() {
            _ if is_first && length == chars.len() => Before::Alone,
            Some(Token::Word(_)) => Before::Word,
            Some(Token::Number(_) | Token::Symbol('}' | ')' | '/')) => Before::Number,
            _ => Before::Other,
        };
        match words::run(&run, before) {
            Run::Name(name) => self.tokens.push(Token::Command(name.to_string())),
            Run::NameAndLetter(name, letter) => {
                self.tokens.push(Token::Command(name.to_string()));
                self.tokens.push(Token::Letter(letter.to_string()));
            }
            Run::Word => self.tokens.push(Token::Word(run)),
            Run::Letters => self.tokens.extend(run.chars().map(|letter| Token::Letter(letter.to_string()))),
        }
        length
    }

    /// Reads a command and the group after it where that belongs to it; returns how many characters
    /// they take.
    fn command(&mut self, chars: &[char], nesting: usize) -> usize {
        let letters = chars[1..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
        let length = 1 + if letters > 0 { letters } else { usize::from(chars.len() > 1) };
        let name: String = chars[1..length].iter().collect();
        let rest = &chars[length..];
        let kind = commands::kind(&name);
        match kind {
            // An invisible delimiter goes with its command.
            Kind::Nothing if matches!(name.as_str(), "left" | "right") => {
                return length + usize::from(rest.first() == Some(&'.'));
            }
            Kind::Nothing => return length,
            Kind::Symbol(symbol) => self.symbol(symbol),
            Kind::Alias("degree") => {
                self.symbol('^');
                self.tokens.push(Token::Command("circ".to_string()));
            }
            Kind::Alias("i") => self.tokens.push(Token::Letter("i".to_string())),
            Kind::Alias(other) => self.tokens.push(Token::Command(other.to_string())),
            Kind::Greek => self.tokens.push(Token::Letter(name)),
            Kind::Other => self.tokens.push(Token::Command(name)),
            _ => {
                let (content, taken) = argument(rest);
                let content = if nesting < MAX_NESTING { content } else { &[] };
                self.group(kind, &name, content, nesting);
                return length + taken + self.column_format(kind, content, &rest[taken..]);
            }
        }
        length
    }

    /// Reads the group of a command that is the lexer's own business.
    fn group(&mut self, kind: Kind, name: &str, content: &[char], nesting: usize) {
        let text: String = content.iter().collect();
        let text = text.trim();
        let single = (text.chars().count() == 1).then(|| text.chars().next()).flatten().filter(|c| c.is_alphabetic());
        match kind {
            Kind::Text => self.text(text, nesting),
            Kind::Upright => match (single, words::run(text, Before::Other)) {
                (Some(letter), _) => self.tokens.push(Token::Letter(letter.to_string())),
                (None, Run::Name(name)) => self.tokens.push(Token::Command(name.to_string())),
                (None, _) => self.text(text, nesting),
            },
            Kind::Styled => match single {
                // Bold `i` and `e` are vectors, not the constants.
                Some(letter @ ('i' | 'e')) => self.tokens.push(Token::Letter(format!("bold {letter}"))),
                Some(letter) => self.tokens.push(Token::Letter(letter.to_string())),
                None => self.read(content, nesting + 1),
            },
            Kind::Blackboard if text == "R" => self.tokens.push(Token::Command("Reals".to_string())),
            Kind::Blackboard => self.tokens.push(Token::Letter(format!("set {text}"))),
            Kind::Accent => self.tokens.push(Token::Letter(format!("{name} {}", text.replace(' ', "")))),
            Kind::Environment => self.tokens.push(Token::Command(format!("{name} {}", text.trim_end_matches('*')))),
            _ => {}
        }
    }

    /// Reads the content of `\text{…}`: words, or mathematics if it has digits or commands.
    fn text(&mut self, text: &str, nesting: usize) {
        if text.chars().any(|c| c.is_ascii_digit() || "\\=$<>".contains(c)) {
            let chars: Vec<char> = text.chars().collect();
            return self.read(&chars, nesting + 1);
        }
        for (number, item) in text.split([',', ';']).enumerate() {
            if number > 0 {
                self.symbol(',');
            }
            let mut phrase = Vec::new();
            for word in normal_phrase(&item.replace('/', " per ")).split_whitespace() {
                if matches!(word, "and" | "or") {
                    self.phrase(&mut phrase);
                    self.tokens.push(Token::Command(word.to_string()));
                } else {
                    phrase.push(word.to_string());
                }
            }
            self.phrase(&mut phrase);
        }
    }

    fn phrase(&mut self, words: &mut Vec<String>) {
        if !words.is_empty() {
            self.tokens.push(Token::Word(words.join(" ")));
            words.clear();
        }
    }

    /// Returns the length of what follows `\begin{array}`: the format of its columns.
    fn column_format(&self, kind: Kind, content: &[char], rest: &[char]) -> usize {
        let is_array = kind == Kind::Environment && content.iter().collect::<String>() == "array";
        let opens = matches!(self.tokens.last(), Some(Token::Command(name)) if name == "begin array");
        if is_array && opens && rest.first() == Some(&'{') { argument(rest).1 } else { 0 }
    }
}

/// Returns the content of the group at the start, or the single character there, and how many
/// characters it takes. A group that does not end goes on to the end.
fn argument(chars: &[char]) -> (&[char], usize) {
    let blanks = chars.iter().take_while(|c| c.is_whitespace()).count();
    if chars.get(blanks) != Some(&'{') {
        let length = usize::from(chars.len() > blanks);
        return (&chars[blanks..blanks + length], blanks + length);
    }
    let mut depth = 0usize;
    for (at, c) in chars.iter().enumerate().skip(blanks) {
        match c {
            '{' if at == 0 || chars[at - 1] != '\\' => depth += 1,
            '}' if chars[at - 1] != '\\' => {
                depth -= 1;
                if depth == 0 {
                    return (&chars[blanks + 1..at], at + 1);
                }
            }
            _ => {}
        }
    }
    (&chars[blanks + 1..], chars.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: Expect) {
        let shown: Vec<String> = lex(text, Commas::Thousands)
            .tokens
            .into_iter()
            .map(|token| match token {
                Token::Number(text) | Token::Letter(text) => text,
                Token::Command(name) => format!("\\{name}"),
                Token::Word(word) => format!("\"{word}\""),
                Token::Symbol(symbol) => symbol.to_string(),
                other => format!("{other:?}"),
            })
            .collect();
        expected.assert_eq(&shown.join(" "));
    }

    #[test]
    fn notation_becomes_tokens() {
        check("\\left[ 0, \\infty \\right)", expect!["[ 0 , \\infty )"]);
        check("\\dfrac12\\,\\text{cm}^2", expect![[r#"\frac 12 "cm" ^ 2"#]]);
        check("x = 1 \\text{ or } x=\\{2\\}", expect!["x = 1 \\or x = ⦃ 2 ⦄"]);
        check("5 apples, non-negative", expect![[r#"5 "apples" , "non" "negative""#]]);
        check("\\mathbf{i} + \\vec{v} \\in \\mathbb R", expect!["bold i + vec v ∈ \\Reals"]);
        check("\\begin{array}{cc} 1 & 2 \\\\ 3 \\end{array}", expect!["\\begin array 1 & 2 \\\\ 3 \\end array"]);
        check("\\text{5 cm and x}", expect![[r#"5 "cm" \and x"#]]);
        check("90\\degree <= 3\\mathrm{e}^x", expect!["90 ^ \\circ ≤ 3 e ^ x"]);
        check("\\text{unclosed", expect![[r#""unclosed""#]]);
    }
}
