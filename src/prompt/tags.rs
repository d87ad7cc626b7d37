//! Finds passages that a model marked with tags, such as `<answer>B</answer>`.

use std::ops::Range;

/// Returns the trimmed text of the last complete `<name>…</name>` in `text`, whatever the case of
/// the tags; `None` if there is none. The last one counts, since a model may quote the format
/// before it uses it. Of nested tags the innermost passage counts.
pub fn last_tagged<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let tags = tags(text, name);
    let last = tags.windows(2).rev().find(|pair| pair[0].opens && !pair[1].opens)?;
    Some(text[last[0].range.end..last[1].range.start].trim())
}

/// One tag in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Whether it is `<name>`, and not `</name>`.
    pub opens: bool,
    /// Its bytes in the text.
    pub range: Range<usize>,
}

/// Returns every `<name>` and `</name>` in `text`, in order, whatever their case.
pub fn tags(text: &str, name: &str) -> Vec<Tag> {
    // ASCII case folding keeps the positions of all bytes.
    let (text, name) = (text.to_ascii_lowercase(), name.to_ascii_lowercase());
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let found = |opens, tag: &str| -> Vec<Tag> {
        text.match_indices(tag).map(|(at, tag)| Tag { opens, range: at..at + tag.len() }).collect()
    };
    let mut tags = [found(true, &open), found(false, &close)].concat();
    tags.sort_by_key(|tag| tag.range.start);
    tags
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

    #[test]
    fn tags_count_in_any_case_and_nested_or_doubled() {
        let check = |text, expected| assert_eq!(last_tagged(text, "answer"), expected, "{text}");
        check("<ANSWER>B</ANSWER>", Some("B"));
        check("<Answer>B</answer>", Some("B"));
        check("İ <aNSWER>ß B</Answer> é", Some("ß B"));
        check("<answer><answer>B</answer></answer>", Some("B"));
        check("<answer>B</answer></answer>", Some("B"));
        check("in <answer> tags: <answer>B</answer>", Some("B"));
        check("<answers>B</answers>", None);
    }
}
