//! The first look at an answer: refuses what cannot be one, drops what surrounds it, and writes
//! Unicode's mathematical characters in LaTeX.

use std::borrow::Cow;

/// The longest answer, in bytes. The longest gold answer of the known data sets has about 200.
pub(crate) const MAX_BYTES: usize = 8192;

/// Why a text cannot be an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Empty,
    TooLong(usize),
    ControlCharacter,
}

/// Returns the answer without delimiters of mathematics, emphasis and a closing full stop.
pub(crate) fn clean(text: &str) -> Result<String, Refused> {
    let text = text.trim();
    if text.len() > MAX_BYTES {
        return Err(Refused::TooLong(text.len()));
    }
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return Err(Refused::ControlCharacter);
    }
    let text = once_escaped(text);
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match spelled(c) {
            Some(spelling) => cleaned.push_str(spelling),
            None => cleaned.push(c),
        }
    }
    let mut rest = cleaned.as_str();
    loop {
        let before = rest;
        rest = rest.trim().trim_matches(['`', '$']);
        for (open, close) in [("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("\"", "\"")] {
            rest = rest.strip_prefix(open).and_then(|inner| inner.strip_suffix(close)).unwrap_or(rest);
        }
        // `\left.` and `\right.` have delimiters, not full stops; `...` goes on.
        if rest.ends_with(['.', ',', ';']) && !["..", "\\right.", "\\,", "\\;"].iter().any(|end| rest.ends_with(end)) {
            rest = &rest[..rest.len() - 1];
        }
        rest = rest.strip_suffix("\\\\").unwrap_or(rest);
        if rest == before {
            break;
        }
    }
    // A backslash and a blank are a blank in LaTeX; at the end only the backslash is left of them.
    let rest = rest.strip_suffix('\\').unwrap_or(rest).trim();
    if rest.is_empty() { Err(Refused::Empty) } else { Ok(rest.to_string()) }
}

/// Returns the text with single backslashes if it was escaped twice, as LaTeX within JSON is: all
/// backslashes come in pairs, and a command follows one of them.
fn once_escaped(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let (mut at, mut has_command) = (0, false);
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
        if run % 2 == 1 {
            return text.into();
        }
        let letters = bytes[at + run..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        has_command |= run == 2 && letters > 1;
        at += run + letters.max(usize::from(run == 0));
    }
    if has_command { text.replace("\\\\", "\\").into() } else { text.into() }
}

/// Returns how a character is written in LaTeX or ASCII; `None` if it stays as it is.
fn spelled(c: char) -> Option<&'static str> {
    Some(match c {
        '−' | '–' | '—' | '‐' | '‑' | '﹣' | '－' => "-",
        '×' | '⋅' | '·' | '∙' | '•' | '∗' => "*",
        '÷' | '⁄' | '∕' => "/",
        'π' => "\\pi ",
        '√' => "\\sqrt ",
        '∛' => "\\cbrt ",
        '∞' => "\\infty ",
        '∪' => "\\cup ",
        '∩' => "\\cap ",
        '∖' => "\\setminus ",
        '≤' | '⩽' | '≦' => "\\le ",
        '≥' | '⩾' | '≧' => "\\ge ",
        '≠' => "\\ne ",
        '≈' => "\\approx ",
        '∈' => "\\in ",
        '∅' | '⌀' => "\\emptyset ",
        '±' => "\\pm ",
        '∓' => "\\mp ",
        '°' | 'º' => "^\\circ ",
        'ℝ' => "\\mathbb{R}",
        'ℤ' => "\\mathbb{Z}",
        '⟨' | '〈' => "\\langle ",
        '⟩' | '〉' => "\\rangle ",
        '⌊' => "\\lfloor ",
        '⌋' => "\\rfloor ",
        '⌈' => "\\lceil ",
        '⌉' => "\\rceil ",
        '…' => "\\ldots ",
        '½' => "\\frac12 ",
        '⅓' => "\\frac13 ",
        '⅔' => "\\frac23 ",
        '¼' => "\\frac14 ",
        '¾' => "\\frac34 ",
        '′' | '’' | '‘' => "'",
        '“' | '”' => "\"",
        '⁰' => "^0",
        '¹' => "^1",
        '²' => "^2",
        '³' => "^3",
        '⁴' => "^4",
        '⁵' => "^5",
        '⁶' => "^6",
        '⁷' => "^7",
        '⁸' => "^8",
        '⁹' => "^9",
        '₀' => "_0",
        '₁' => "_1",
        '₂' => "_2",
        '₃' => "_3",
        '₄' => "_4",
        '₅' => "_5",
        '₆' => "_6",
        '₇' => "_7",
        '₈' => "_8",
        '₉' => "_9",
        '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{feff}' | '\u{2061}' | '\u{2062}' | '\u{ad}' => "",
        '（' => "(",
        '）' => ")",
        '，' | '、' => ",",
        '：' => ":",
        '；' => ";",
        '＝' => "=",
        '。' => ".",
        '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{3000}' => " ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_an_answer_is_dropped() {
        for (text, cleaned) in [
            (" $\\frac12$. ", "\\frac12"),
            ("\\( x \\)", "x"),
            ("**\\[5\\]**", "5"),
            ("`42`", "42"),
            ("5 − 3", "5 - 3"),
            ("0.333...", "0.333..."),
            ("5\\ ", "5"),
            ("\\\\left(\\\\frac{1}{5},1\\\\right)", "\\left(\\frac{1}{5},1\\right)"),
            ("a \\\\ b", "a \\\\ b"),
            ("1 \\\\ \\text{or} 2", "1 \\\\ \\text{or} 2"),
        ] {
            assert_eq!(clean(text).as_deref(), Ok(cleaned), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_an_answer_is_refused() {
        assert_eq!(clean(" $ $ "), Err(Refused::Empty));
        assert_eq!(clean("4\0"), Err(Refused::ControlCharacter));
        assert_eq!(clean(&"1".repeat(4 << 20)), Err(Refused::TooLong(4 << 20)));
    }
}
