//! Splits an answer into words and marks as a reader sees them: typesetting (LaTeX, Markdown,
//! full-width and styled letters) is undone first. Knows nothing of what the words mean.

use crate::prompt::canonical;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The brackets that stand for a LaTeX box.
const BOX: (char, char) = ('⟦', '⟧');
/// LaTeX commands that draw a box around their argument.
const BOXES: &[&str] = &["boxed", "fbox", "framebox", "bbox"];
/// LaTeX commands that set the type of their argument.
const TYPES: &[&str] = &[
    "text",
    "textbf",
    "textit",
    "textrm",
    "textsf",
    "texttt",
    "textup",
    "textnormal",
    "textmd",
    "textsc",
    "textsl",
    "emph",
    "underline",
    "mathbf",
    "mathrm",
    "mathit",
    "mathsf",
    "mathtt",
    "mathnormal",
    "bm",
    "boldsymbol",
    "pmb",
    "mbox",
    "hbox",
    "bf",
    "bfseries",
    "rm",
    "it",
    "itshape",
    "sf",
    "tt",
    "large",
    "Large",
    "LARGE",
    "huge",
    "Huge",
    "normalsize",
    "small",
    "displaystyle",
    "textstyle",
    "left",
    "right",
    "big",
    "Big",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
];
/// LaTeX commands whose first argument is a colour, and whose second one is shown.
const COLOURS: &[&str] = &["textcolor", "color", "colorbox"];
/// LaTeX commands that are white space.
const SPACES: &[&str] = &["quad", "qquad", "enspace", "thinspace", "space"];
/// Marks of the category "other punctuation" that do not end or divide a sentence.
const SYMBOLS: &str = "%&@#*/\\'\"†‡′″‴‵‶‷⁗§¶·‧・•※‰‱⁂⁎⁑";

/// A word or one mark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    /// The word in lower case, or the mark.
    pub(super) text: String,
    /// The only character of a word or mark.
    pub(super) single: Option<char>,
    /// Whether it is a word: letters and digits, and apostrophes between them.
    pub(super) word: bool,
    /// Whether it is a word of a script that sets no blanks between words.
    pub(super) unspaced: bool,
    /// Whether it directly follows the token before.
    pub(super) glued: bool,
    /// Whether it is the first on its line, and the line is not the first.
    pub(super) line: bool,
    /// Whether it is a full-width mark.
    pub(super) wide: bool,
}

impl Token {
    /// The letter from A to J that is the whole word, in upper case.
    pub(super) fn choice(&self) -> Option<char> {
        self.letter().filter(|letter| ('A'..='J').contains(letter))
    }

    /// The Latin letter that is the whole word, in upper case.
    pub(super) fn letter(&self) -> Option<char> {
        self.single.filter(|c| self.word && c.is_ascii_alphabetic()).map(|c| c.to_ascii_uppercase())
    }

    /// The mark, where it is one.
    pub(super) fn mark(&self) -> Option<char> {
        self.single.filter(|_| !self.word)
    }

    /// Whether the mark ends or divides a sentence.
    pub(super) fn separates(&self) -> bool {
        self.mark().is_some_and(|c| c.general_category() == GeneralCategory::OtherPunctuation && !SYMBOLS.contains(c))
    }

    /// Whether the mark is a dash.
    pub(super) fn dashes(&self) -> bool {
        self.mark().is_some_and(|c| c == '−' || c.general_category() == GeneralCategory::DashPunctuation)
    }

    /// Whether the mark closes brackets.
    pub(super) fn closes(&self) -> bool {
        self.mark().is_some_and(|c| c.general_category() == GeneralCategory::ClosePunctuation && !is_quote(c))
    }

    /// Whether the mark opens brackets or quotes.
    pub(super) fn opens(&self) -> bool {
        self.mark().is_some_and(|c| c.general_category() == GeneralCategory::OpenPunctuation || is_quote(c))
    }

    /// Whether this mark and `other` enclose what is between them: brackets, quotes, a LaTeX box or
    /// Markdown's emphasis.
    pub(super) fn encloses_with(&self, other: &Self) -> bool {
        let (Some(open), Some(close)) = (self.mark(), other.mark()) else { return false };
        match open {
            '"' | '\'' | '*' | '_' | '´' | '$' => close == open,
            '<' => close == '>',
            '`' => close == '\'',
            _ if is_quote(open) => is_quote(close),
            _ => {
                // Nearly all pairs of Unicode stand next to each other; some open with the closing
                // category, as they are written from right to left.
                let kinds = [open, close].map(|c| c.general_category());
                let bracket =
                    |kind| matches!(kind, GeneralCategory::OpenPunctuation | GeneralCategory::ClosePunctuation);
                kinds[0] != kinds[1] && kinds.into_iter().all(bracket) && u32::from(open).abs_diff(close.into()) <= 2
            }
        }
    }

    /// Whether the mark is that of a LaTeX box.
    pub(super) fn boxes(&self) -> bool {
        self.mark().is_some_and(|c| c == BOX.0 || c == BOX.1)
    }
}

fn is_quote(c: char) -> bool {
    use GeneralCategory::{FinalPunctuation, InitialPunctuation};
    matches!(c.general_category(), InitialPunctuation | FinalPunctuation) || "„‚〝〞〟\"".contains(c)
}

/// Splits `text` into tokens.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let text = without_markup(&canonical(text));
    let mut tokens: Vec<Token> = Vec::new();
    let (mut space, mut line) = (true, false);
    let chars: Vec<(char, bool)> = text.chars().flat_map(plain).collect();
    for (at, &(c, wide)) in chars.iter().enumerate() {
        if c.is_whitespace() {
            space = true;
            line |= c == '\n' && !tokens.is_empty();
            continue;
        }
        let next = chars.get(at + 1).map(|(c, _)| *c);
        let word = c.is_alphanumeric() || is_combining_mark(c);
        let unspaced = is_unspaced(c);
        let apostrophe = "'’ʼ".contains(c) && next.is_some_and(|next| next.is_alphanumeric() && !is_unspaced(next));
        let last = tokens.last_mut().filter(|last| !space && last.word);
        match last.filter(|last| {
            (word && (last.unspaced == unspaced || is_combining_mark(c))) || (apostrophe && !last.unspaced)
        }) {
            Some(last) => {
                last.text.extend(if apostrophe { '\'' } else { c }.to_lowercase());
                last.single = None;
            }
            None => tokens.push(Token {
                text: c.to_lowercase().collect(),
                single: Some(c),
                word,
                unspaced: word && unspaced,
                glued: !space,
                line,
                wide: wide && !word,
            }),
        }
        (space, line) = (false, false);
    }
    tokens
}

/// Returns what a full-width, circled or styled character stands for, and whether it is full-width.
/// Symbols that are only made of letters, such as ℂ and Ⅽ, stay as they are.
fn plain(c: char) -> impl Iterator<Item = (char, bool)> {
    let offset = |first: u32, a: char| char::from_u32(u32::from(c) - first + u32::from(a)).unwrap_or(c);
    let (plain, wide) = match u32::from(c) {
        0xff01..=0xff5e => (offset(0xff01, '!'), true),
        0x24b6..=0x24cf => (offset(0x24b6, 'A'), false),
        0x24d0..=0x24e9 => (offset(0x24d0, 'a'), false),
        0x249c..=0x24b5 => (offset(0x249c, 'a'), false),
        0x1f110..=0x1f129 => (offset(0x1f110, 'A'), false),
        0x1f130..=0x1f149 => (offset(0x1f130, 'A'), false),
        0x1f150..=0x1f169 => (offset(0x1f150, 'A'), false),
        0x1f170..=0x1f189 => (offset(0x1f170, 'A'), false),
        0x1d400..=0x1d7ff => (std::iter::once(c).nfkc().next().unwrap_or(c), false),
        code => (c, code > 0x2e7f && !c.is_alphanumeric()),
    };
    std::iter::once((plain, wide))
}

/// Whether the script of `c` sets no blanks between words, or attaches particles to them.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0x0e00..=0x0eff | 0x1000..=0x109f | 0x1100..=0x11ff | 0x1780..=0x17ff | 0x2e80..=0x2fdf | 0x3005..=0x3007
        | 0x3040..=0x30ff | 0x3130..=0x318f | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff
        | 0x20000..=0x3ffff)
}

/// Undoes LaTeX that boxes or sets type, and Markdown's strong emphasis and code.
fn without_markup(text: &str) -> String {
    let text = text.replace("**", "").replace("__", "").replace("~~", "").replace('`', "");
    let paired = text.matches('$').count().is_multiple_of(2);
    let text = if paired { text.replace('$', "") } else { text };
    if !text.contains('\\') {
        return text;
    }
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    // What stands for the closing brace of every open group.
    let mut groups: Vec<Option<char>> = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '\\' => {
                let name: String = chars[at..].iter().take_while(|c| c.is_ascii_alphabetic()).collect();
                at += name.len();
                if name.is_empty() {
                    let symbol = chars.get(at).copied();
                    at += 1;
                    match symbol {
                        Some('(' | ')' | '[' | ']') => {}
                        Some(',' | ';' | ':' | '!' | ' ' | '~') => out.push(' '),
                        Some('\\') => out.push('\n'),
                        Some(escaped) if "{}$%&#_".contains(escaped) => out.push(escaped),
                        Some(other) => out.extend(['\\', other]),
                        None => out.push('\\'),
                    }
                    continue;
                }
                let name = name.as_str();
                let boxes = BOXES.contains(&name);
                if SPACES.contains(&name) {
                    out.push(' ');
                } else if boxes || TYPES.contains(&name) || COLOURS.contains(&name) {
                    let group = |at: usize| at + chars[at..].iter().take_while(|c| c.is_whitespace()).count();
                    if COLOURS.contains(&name) && chars.get(group(at)) == Some(&'{') {
                        at = chars[at..].iter().position(|c| *c == '}').map_or(chars.len(), |end| at + end + 1);
                    }
                    let opening = group(at);
                    if chars.get(opening) == Some(&'{') {
                        at = opening + 1;
                        groups.push(boxes.then_some(BOX.1));
                        out.extend(boxes.then_some(BOX.0));
                    } else if chars.get(at).is_some_and(|c| c.is_whitespace()) {
                        at = opening;
                    }
                } else {
                    out.push('\\');
                    out.push_str(name);
                }
            }
            '{' => {
                groups.push(Some('}'));
                out.push('{');
            }
            '}' => out.extend(groups.pop().unwrap_or(Some('}'))),
            '~' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens, with a blank before those that are not glued and a bar before a new line.
    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown: String = tokens(text)
            .iter()
            .map(|t| {
                format!(
                    "{}{}",
                    if t.line {
                        "|"
                    } else if t.glued {
                        "+"
                    } else {
                        " "
                    },
                    t.text
                )
            })
            .collect();
        assert_eq!(shown.trim_start(), expected, "{text}");
    }

    #[test]
    fn words_and_marks_are_told_apart() {
        check("It's B, I'm sure.", "it's b+, i'm sure+.");
        check("答案是Ｂ：150米", "答案是+b+:+150+米");
        check("Option\nB", "option|b");
        check("B\u{302} 2² ⒝Ⓒ 𝐁 ℂ", "b\u{302} 2² bc b ℂ");
        check("'B'", "'+b+'");
    }

    #[test]
    fn typesetting_is_undone_and_mathematics_is_kept() {
        check("$\\boxed{\\text{B}}$", "⟦+b+⟧");
        check("\\textcolor{red}{B} \\( C \\)", "b c");
        check("\\boxed{\\textbf{(B)}\\ 150}", "⟦+(+b+) 150+⟧");
        check("{\\bf B} **C** `D`", "{+b+} c d");
        check("\\frac{A}{B}", "\\+frac+{+a+}+{+b+}");
        check("\\mathbb{C} \\text", "\\+mathbb+{+c+}");
        check("A$", "a+$");
        check("\\", "\\");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\\\{}$a-zA-Z（）~ \\PC]{0,40}") {
            let _ = tokens(&text);
        }
    }
}
