//! Finds the answer in a model's output.

use crate::prompt::last_tagged;

/// Returns the last `<answer>…</answer>`, trimmed; `None` if there is no complete one, or if it is
/// empty.
pub(super) fn tagged(output: &str) -> Option<&str> {
    last_tagged(output, "answer").filter(|text| !text.is_empty())
}

/// Returns the choice A–E that `text` (an answer, not a whole reply) names, in upper case; the last
/// one if several are named.
///
/// A letter counts only as a choice: alone (`b`, `**B**`, `$B$`, `\boxed{B}`), in brackets (`(B)`),
/// before the bracket, full stop or colon of an option's label (`B) 150 m`), or right after
/// "option", "choice" or "answer (is)". A letter inside a word, or a capital A as an article, never
/// counts.
pub(super) fn letter(text: &str) -> Option<char> {
    let text = text.trim();
    alone(text).or_else(|| last_anchored(text))
}

/// Returns the letter if only formatting surrounds it.
fn alone(text: &str) -> Option<char> {
    let inner = text.strip_prefix("\\boxed{").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let inner = inner.trim_matches(|c: char| c.is_whitespace() || "*_`$()[]{}\"'.:,".contains(c));
    let mut chars = inner.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => choice(c.to_ascii_uppercase()),
        _ => None,
    }
}

fn last_anchored(text: &str) -> Option<char> {
    let chars: Vec<char> = text.chars().collect();
    (0..chars.len()).rev().find_map(|at| anchored(&chars, at))
}

fn anchored(chars: &[char], at: usize) -> Option<char> {
    let letter = choice(chars[at])?;
    let before = at.checked_sub(1).map(|i| chars[i]);
    let after = chars.get(at + 1).copied();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '\'') || after.is_some_and(char::is_alphanumeric) {
        return None;
    }
    // `P(A)` is a function of A, not a choice.
    let called = at >= 2 && chars[at - 2].is_alphanumeric();
    let bracketed = before == Some('(') && after == Some(')') && !called;
    let labels = chars[..at].iter().all(|c| c.is_whitespace() || "*_`$([".contains(*c))
        && after.is_some_and(|c| ").:]".contains(c));
    (bracketed || labels || named(&chars[..at], after)).then_some(letter)
}

/// Whether the words before the letter announce a choice.
fn named(before: &[char], after: Option<char>) -> bool {
    let before: String = before.iter().collect::<String>().to_ascii_lowercase();
    let before = before.trim_end_matches(|c: char| c.is_whitespace() || "*_`$([:\"'".contains(c));
    let ends_with_word = |text: &str, word: &str| {
        text.strip_suffix(word).is_some_and(|rest| !rest.chars().next_back().is_some_and(char::is_alphanumeric))
    };
    if ends_with_word(before, "option") || ends_with_word(before, "choice") {
        return true;
    }
    // "The answer is A" names a choice; "the answer is A car" does not.
    let announced = ["answer", "answer is"].iter().any(|word| ends_with_word(before, word));
    announced && after.is_none_or(|c| !c.is_whitespace())
}

fn choice(c: char) -> Option<char> {
    ('A'..='E').contains(&c).then_some(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Option<char>) {
        assert_eq!(letter(text), expected, "{text}");
    }

    #[test]
    fn a_choice_is_found_in_its_usual_forms() {
        for text in [
            "B",
            "b",
            " B ",
            "(B)",
            "(b)",
            "B)",
            "B.",
            "**B**",
            "$B$",
            "\\boxed{B}",
            "\"B\"",
            "[B]",
            "Option B",
            "option (B)",
            "choice: B",
            "Choice B.",
            "B) 150 m",
            "(B) 150 m",
            "B: 150 m",
            "B. 150",
            "The answer is B",
            "Answer: B",
            "the answer is (B).",
            "The answer is **B**",
            "it is 150 m, so (B)",
            "Option B is right",
        ] {
            check(text, Some('B'));
        }
    }

    #[test]
    fn the_last_choice_counts() {
        check("not (A) but (C)", Some('C'));
        check("A) no, option D", Some('D'));
    }

    #[test]
    fn other_text_is_never_a_choice() {
        for text in [
            "",
            "Bob",
            "A car costs 5",
            "Because",
            "vitamin C",
            "E=mc2",
            "BE",
            "F",
            "(F)",
            "The answer is A car",
            "AB)",
            "grade B work",
            "150",
            "Plan B",
            "it's D's",
            "optional B",
            "B12",
            "x = (AB)",
            "P(A) = 0.3",
            "None",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn only_a_complete_tag_counts() {
        assert_eq!(tagged("I think <answer> B </answer>."), Some("B"));
        assert_eq!(tagged("<answer></answer>"), None);
        assert_eq!(tagged("<answer>B"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = letter(&text);
        }

        #[test]
        fn a_letter_inside_a_word_is_never_a_choice(text in "[a-z]{2,8}( [a-zA-Z]{2,8}){0,4}") {
            prop_assert_eq!(letter(&text), None);
        }
    }
}
