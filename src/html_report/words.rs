//! The difference of two prompts by word, as pieces that the templates mark.

use super::visible::{PROMPT, visible};
use minijinja::{Value, context};
use similar::{ChangeTag, TextDiff};

/// Texts with at least this similarity are shown as one text with marked words, others one after
/// the other.
const ALIKE: f32 = 0.5;

/// Returns the pieces of a diff: each has a text and a kind, `same`, `gone` or `new`.
pub(super) fn pieces(before: &str, after: &str) -> Vec<Value> {
    let (before, after) = (visible(before, PROMPT), visible(after, PROMPT));
    if before == after {
        return vec![piece("same", &before)];
    }
    let words = TextDiff::from_words(before.as_str(), after.as_str());
    if words.ratio() < ALIKE {
        return vec![piece("gone", &before), piece("same", "\n"), piece("new", &after)];
    }
    let mut pieces: Vec<(ChangeTag, String)> = Vec::new();
    for change in words.iter_all_changes() {
        match pieces.last_mut() {
            Some((tag, text)) if *tag == change.tag() => text.push_str(change.value()),
            _ => pieces.push((change.tag(), change.value().to_string())),
        }
    }
    let kind = |tag: &ChangeTag| match tag {
        ChangeTag::Equal => "same",
        ChangeTag::Delete => "gone",
        ChangeTag::Insert => "new",
    };
    pieces.iter().map(|(tag, text)| piece(kind(tag), text)).collect()
}

/// Returns the only piece of a text that has no room on the page.
pub(super) fn left_out() -> Vec<Value> {
    vec![piece("same", "[left out, because the page would be too large]")]
}

fn piece(kind: &str, text: &str) -> Value {
    context! { kind => kind, text => text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> String {
        let show = |piece: &Value| {
            let text = piece.get_attr("text").unwrap().to_string();
            match piece.get_attr("kind").unwrap().to_string().as_str() {
                "gone" => format!("[-{text}-]"),
                "new" => format!("{{+{text}+}}"),
                _ => text,
            }
        };
        pieces(before, after).iter().map(show).collect()
    }

    #[test]
    fn words_are_marked_and_unlike_texts_stand_one_after_the_other() {
        assert_eq!(shown("a b c", "a b c"), "a b c");
        assert_eq!(shown("a b c d", "a b x d"), "a b [-c-]{+x+} d");
        assert_eq!(shown("Count the words.", "Name every colour!"), "[-Count the words.-]\n{+Name every colour!+}");
        assert_eq!(shown("a b c \u{202e}d", "a b c d"), "a b c [-⟦U+202E⟧d-]{+d+}");
    }
}
