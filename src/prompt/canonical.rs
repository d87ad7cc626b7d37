//! The form in which texts are compared, whatever code points they are written with.

use unicode_normalization::UnicodeNormalization;

/// Returns `text` in Unicode NFC, without the characters that take no space (zero-width spaces and
/// joiners, byte-order marks, direction marks, variation selectors).
pub fn canonical(text: &str) -> String {
    if text.is_ascii() {
        return text.to_string();
    }
    text.chars().filter(|c| !is_zero_width(*c)).nfc().collect()
}

/// Returns `text` without byte-order marks, and with a line feed for every end of a line: what
/// editors add to a prompt is no part of it.
pub fn without_marks(text: &str) -> String {
    let text = text.replace('\u{feff}', "");
    if !text.contains('\r') {
        return text;
    }
    // A line that went through two conversions ends in two carriage returns and a line feed.
    let lines: Vec<&str> = text.split('\n').collect();
    let (last, lines) = lines.split_last().expect("a text has a line");
    let ended: String = lines.iter().map(|line| format!("{}\n", line.trim_end_matches('\r'))).collect();
    (ended + last).replace('\r', "\n")
}

fn is_zero_width(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_add_is_dropped() {
        let check = |text, expected| assert_eq!(without_marks(text), expected, "{text:?}");
        check("\u{feff}Answer well.\n{question}\n", "Answer well.\n{question}\n");
        check("Answer well.\r\nEnd.\r\n", "Answer well.\nEnd.\n");
        check("one\r\r\ntwo", "one\ntwo");
        check("one\rtwo\r", "one\ntwo\n");
        check("one\r\ntwo\r\rthree", "one\ntwo\n\nthree");
        check("one\u{feff}\r\n\u{feff}two", "one\ntwo");
        check("caf\u{e9} \u{200b}", "caf\u{e9} \u{200b}");
        check("", "");
    }
}
