//! Makes a foreign text harmless to the eye: characters that cannot be seen or that change the
//! order of others are replaced by their code, and long texts are cut with a note. Escaping for
//! HTML is not done here but by the templates.

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The most characters of a text that is shown in full.
pub(super) const TEXT: usize = 4_000;
/// The most characters of a prompt.
pub(super) const PROMPT: usize = 8_000;
/// The most characters of a text that is shown in one line.
pub(super) const EXCERPT: usize = 140;
/// The most characters of a name.
pub(super) const NAME: usize = 60;
/// The most marks that may stand above one letter.
const MARKS: usize = 4;
/// The zero-width joiner and non-joiner, which many scripts and emojis need between letters.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Returns the first `most` characters of a text, with what cannot be seen made visible, and a note
/// if there are more.
pub(super) fn visible(text: &str, most: usize) -> String {
    let mut out = String::with_capacity(text.len().min(most.saturating_mul(4)));
    let mut marks = 0;
    let mut rest = text.chars();
    for c in rest.by_ref().take(most) {
        let category = c.general_category();
        let is_mark = matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark);
        marks = if is_mark { marks + 1 } else { 0 };
        match c {
            '\n' | '\t' => out.push(c),
            _ if JOINERS.contains(&c) => out.push(c),
            _ if marks > MARKS || is_hidden(category) => out.push_str(&code(c)),
            _ => out.push(c),
        }
    }
    let left = rest.count();
    if left > 0 {
        out.push_str(&format!(" … [cut here: {left} more characters]"));
    }
    out
}

/// Returns the beginning of a text as one line.
pub(super) fn excerpt(text: &str) -> String {
    let head: String = text.chars().take(4 * EXCERPT).collect();
    let line = head.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(EXCERPT).collect();
    let more = if short.len() < line.len() || head.len() < text.len() { "…" } else { "" };
    visible(&short, usize::MAX) + more
}

/// Returns a name, such as an agent's.
pub(super) fn name(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    visible(&line, NAME)
}

fn is_hidden(category: GeneralCategory) -> bool {
    matches!(
        category,
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    )
}

/// Returns the code of a character in brackets that no text needs.
fn code(c: char) -> String {
    format!("⟦U+{:04X}⟧", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown_by_its_code() {
        let check = |text: &str, expected: &str| assert_eq!(visible(text, TEXT), expected);
        check("plain\n\ttext ä 漢 🙂", "plain\n\ttext ä 漢 🙂");
        check("a\u{202e}b\u{2066}c\u{200f}", "a⟦U+202E⟧b⟦U+2066⟧c⟦U+200F⟧");
        check("\u{0}\u{1b}[31m\r\u{7f}\u{9b}", "⟦U+0000⟧⟦U+001B⟧[31m⟦U+000D⟧⟦U+007F⟧⟦U+009B⟧");
        check("zero\u{200b}width\u{feff}\u{ad}", "zero⟦U+200B⟧width⟦U+FEFF⟧⟦U+00AD⟧");
        check("tag\u{e0041}\u{2028}\u{2029}\u{e000}", "tag⟦U+E0041⟧⟦U+2028⟧⟦U+2029⟧⟦U+E000⟧");
        check("<b>&", "<b>&");
        let tower = visible(&format!("z{}", "\u{301}".repeat(9)), TEXT);
        assert_eq!(tower.matches("⟦U+0301⟧").count(), 5);
    }

    #[test]
    fn long_texts_are_cut_with_a_note() {
        assert_eq!(visible(&"x".repeat(10), 4), "xxxx … [cut here: 6 more characters]");
        assert_eq!(visible("xxxx", 4), "xxxx");
        assert_eq!(excerpt("one\n two"), "one two");
        let long = excerpt(&"y".repeat(1_000_000));
        assert!(long.chars().count() == EXCERPT + 1 && long.ends_with('…'), "{long}");
    }
}
