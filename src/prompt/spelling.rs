//! Slots as people and models also write them: in the notation of another template language, with
//! blanks inside, in capitals. None of them is filled, so they are named or repaired.

use super::template::Slot;
use std::ops::Range;

/// A slot in another spelling than its marker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spelling {
    /// The slot that is meant.
    pub(super) slot: Slot,
    /// Its bytes in the text.
    pub(super) range: Range<usize>,
    /// Whether it is a slot of another template language for certain: `{{question}}`,
    /// `${question}`. Otherwise it may be plain text: `{ question }`.
    pub(super) foreign: bool,
}

/// Returns every slot in another spelling in `text`, in order.
pub(super) fn spellings(text: &str) -> Vec<Spelling> {
    // ASCII case folding keeps the positions of all bytes.
    let lower = text.to_ascii_lowercase();
    let mut found = Vec::new();
    for slot in Slot::ALL {
        let name = slot.marker().trim_matches(['{', '}']);
        for (at, _) in lower.match_indices(name) {
            let (before, after) = (text[..at].trim_end(), text[at + name.len()..].trim_start());
            let opened = before.len() - before.trim_end_matches('{').len();
            let closed = after.len() - after.trim_start_matches('}').len();
            let braces = opened.min(closed);
            if braces == 0 {
                continue;
            }
            let dollar = before[..before.len() - braces].ends_with('$');
            let range = before.len() - braces - usize::from(dollar)..text.len() - after.len() + braces;
            if &text[range.clone()] != slot.marker() {
                found.push(Spelling { slot, range, foreign: dollar || braces > 1 });
            }
        }
    }
    found.sort_by_key(|spelling| spelling.range.start);
    found
}

/// Returns `text` with the markers of the slots that it writes otherwise. What may be plain text is
/// taken for a slot only where the slot does not stand in the text.
pub(super) fn respelled(text: &str) -> String {
    let text = replaced(text, spellings(text).into_iter().filter(|spelling| spelling.foreign));
    let absent = |spelling: &Spelling| !text.contains(spelling.slot.marker());
    replaced(&text, spellings(&text).into_iter().filter(absent))
}

/// Returns the first word in single braces that looks like a misspelt `slot`: `{contxt}`.
pub(super) fn misspelt(text: &str, slot: Slot) -> Option<&str> {
    /// The number of wrong, missing or swapped letters up to which a word counts as misspelt.
    const WRONG_LETTERS: usize = 2;
    let name = slot.marker().trim_matches(['{', '}']);
    let is_near = |word: &str| strsim::damerau_levenshtein(&word.to_lowercase(), name) <= WRONG_LETTERS;
    text.match_indices('{').find_map(|(at, _)| {
        let end = text[at..].find('}')?;
        let word = text[at + 1..at + end].trim();
        // A text of other braces may be long.
        (word.len() <= 2 * name.len() && is_near(word)).then(|| &text[at..=at + end])
    })
}

/// Whether a slot stands in `text`, in any spelling.
pub fn has_slot(text: &str) -> bool {
    Slot::ALL.iter().any(|slot| text.contains(slot.marker())) || !spellings(text).is_empty()
}

fn replaced(text: &str, spellings: impl Iterator<Item = Spelling>) -> String {
    let (mut out, mut end) = (String::with_capacity(text.len()), 0);
    for Spelling { slot, range, .. } in spellings {
        out.push_str(&text[end..range.start]);
        out.push_str(slot.marker());
        end = range.end;
    }
    out + &text[end..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, foreign: &[&str], repaired: &str) {
        let found = spellings(text);
        let found: Vec<_> =
            found.iter().filter(|found| found.foreign).map(|found| &text[found.range.clone()]).collect();
        assert_eq!((found.as_slice(), respelled(text).as_str()), (foreign, repaired), "{text}");
    }

    #[test]
    fn slots_of_other_template_languages_are_found_and_repaired() {
        check("Do {{question}}!", &["{{question}}"], "Do {question}!");
        check("Do {{{question}}}!", &["{{{question}}}"], "Do {question}!");
        check("Do {{ Question }}", &["{{ Question }}"], "Do {question}");
        check("Do ${question}", &["${question}"], "Do {question}");
        check("Do ${{ context }}", &["${{ context }}"], "Do {context}");
        check("é {{context}} {{question}}", &["{{context}}", "{{question}}"], "é {context} {question}");
        check("{{{question}}", &["{{question}}"], "{{question}");
    }

    #[test]
    fn blanks_and_capitals_are_repaired_where_the_slot_is_missing() {
        check("Do { question }", &[], "Do {question}");
        check("Do {Question} {\ncontext\n}", &[], "Do {question} {context}");
        check("Do {question}, not { question }", &[], "Do {question}, not { question }");
    }

    #[test]
    fn misspelt_slots_are_found() {
        for (text, found) in [
            ("Read {contxt}.", Some("{contxt}")),
            ("{a} { Contexts } {contxt}", Some("{ Contexts }")),
            ("{question} {\"text\": 1} {con", None),
            ("{cntt}", None),
        ] {
            assert_eq!(misspelt(text, Slot::Context), found, "{text}");
        }
    }

    #[test]
    fn other_braces_are_plain_text() {
        for text in [
            "Reply as {\"a\": \"{question}\", \"b\": {}}",
            "{\"q\":{question}}",
            "{{\"a\": \"{question}\"}}",
            "{ {question} }",
            "$ {question}",
            "{questions} {the question} question} {question {x} {{x}}",
            r"\frac{a}{b}",
        ] {
            check(text, &[], text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[{}$ ]{0,4}(question|context|é){0,2}[{}$ ]{0,4}(Question)?[{}\\PC]{0,4}") {
            let repaired = respelled(&text);
            let is_there = |spelling: &Spelling| repaired.contains(spelling.slot.marker());
            proptest::prop_assert!(spellings(&repaired).iter().all(is_there));
        }
    }
}
