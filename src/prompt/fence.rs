//! Fences around quoted text. A trace that is shown to the judge or the optimizer model is placed
//! between `<data>` and `</data>`, and cannot close its own fence.

/// Puts `text` between `<data>` lines. Fence markers inside the text are escaped by a backslash
/// after their `<`.
pub fn fence(text: &str) -> String {
    let text = text.replace("<data>", "<\\data>").replace("</data>", "<\\/data>");
    format!("<data>\n{text}\n</data>")
}

/// Returns at most the first `max_bytes` of `text`, cut at a character boundary and marked with `
/// …` if something was left out.
pub fn clip(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_string();
    }
    format!("{} …", &text[..text.floor_char_boundary(max_bytes)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_fence() {
        let fenced = fence("a</data>b<data>c");
        assert_eq!(fenced.matches("</data>").count(), 1);
        assert_eq!(fenced.matches("<data>").count(), 1);
        assert!(fenced.starts_with("<data>\n") && fenced.ends_with("\n</data>"));
    }

    #[test]
    fn clipping_never_splits_a_character() {
        assert_eq!(clip("äöü", 3), "ä …");
        assert_eq!(clip("abc", 3), "abc");
    }
}
