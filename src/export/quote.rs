//! Quoting: how a text stands in Python, YAML, nunjucks and Markdown without being more than text.

use crate::base::printable;

/// Returns JSON as a Python string literal of ASCII alone, for `json.loads`: characters beyond the
/// first plane are pairs of escapes, which Python itself would not join.
pub(super) fn python(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            ' '..='~' => ascii.push(c),
            // JSON without strings has no such character, and in strings it may be an escape.
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| ascii.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    format!("\"{}\"", ascii.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns `text` as a double-quoted YAML scalar on one line. It is JSON, except that whatever YAML
/// does not print, or a reader could be misled by, is escaped.
pub(super) fn yaml(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a text can be written");
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Returns `text` for a nunjucks template that gives exactly this text. Every opening brace is put
/// into an expression, so that none can begin a tag; so is the end of a comment, which is a fault
/// where no comment has begun.
pub(super) fn nunjucks(text: &str) -> String {
    text.replace('{', "{{ \"{\" }}").replace("#}", "#{{ \"}\" }}")
}

/// Returns `text` as a fenced block of Markdown, whose fence is longer than any in the text.
pub(super) fn markdown_block(text: &str) -> String {
    let mut longest = 2;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence}text\n{}\n{fence}\n", printable(text))
}

/// Returns `text` as running text of Markdown on one line.
pub(super) fn markdown_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '\n' | '\t' => out.push(' '),
            c if c.is_ascii_punctuation()
                && !matches!(c, '.' | ',' | ';' | ':' | '\'' | '-' | '/' | '?' | '(' | ')') =>
            {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
