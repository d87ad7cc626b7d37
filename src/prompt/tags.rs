//! Finds passages that a model marked with tags, such as `<answer>B</answer>`.

/// Returns the trimmed text of the last complete `<name>…</name>` in `text`; `None` if there is
/// none. The last one counts, since a model may quote the format before it uses it.
pub fn last_tagged<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let end = text.rfind(&close)?;
    let start = text[..end].rfind(&open)? + open.len();
    Some(text[start..end].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_complete_passage_counts() {
        let check = |text, expected| assert_eq!(last_tagged(text, "answer"), expected, "{text}");
        check("<answer> B </answer>", Some("B"));
        check("write <answer>X</answer>: <answer>A</answer> ok", Some("A"));
        check("<answer>A</answer> <answer>B", Some("A"));
        check("<answer>A", None);
        check("A</answer>", None);
        check("", None);
        check("<answer></answer>", Some(""));
    }
}
