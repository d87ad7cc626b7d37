//! Answers made worse on purpose.

use crate::base::{Seed, Stage};
use rand::seq::SliceRandom;
use serde::Serialize;

/// How a good answer is damaged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Damage {
    /// The second half of its words is missing.
    Cut,
    /// Its words are in random order.
    Scrambled,
    /// It is the same agent's answer to another query. Where the agent does little of its task,
    /// that may be no worse.
    Swapped,
}

/// The fewest words of an answer that can be cut or scrambled.
const MIN_WORDS: usize = 4;

/// Returns the first half of an answer's words; `None` if there are too few.
pub(super) fn cut(answer: &str) -> Option<String> {
    let words: Vec<&str> = answer.split_whitespace().collect();
    (words.len() >= MIN_WORDS).then(|| words[..words.len() / 2].join(" "))
}

/// Returns the answer's words in an order that depends on the seed and the draw alone; `None` if
/// there are too few, or if they come out in the same order.
pub(super) fn scrambled(answer: &str, seed: Seed, draw: &[u64]) -> Option<String> {
    let words: Vec<&str> = answer.split_whitespace().collect();
    let mut shuffled = words.clone();
    shuffled.shuffle(&mut seed.derive(Stage::Damage, draw).rng());
    (words.len() >= MIN_WORDS && shuffled != words).then(|| shuffled.join(" "))
}

/// Returns, for each answer, the next one after it that differs from it, white space and case
/// aside; `None` where there is none.
pub(super) fn swapped<'a>(answers: &[&'a str]) -> Vec<Option<&'a str>> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let others = |at: usize| (1..answers.len()).map(move |step| answers[(at + step) % answers.len()]);
    let differs = |at: usize, other: &str| !other.trim().is_empty() && plain(other) != plain(answers[at]);
    (0..answers.len()).map(|at| others(at).find(|other| differs(at, other))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_seen_in_the_text_or_not_done() {
        assert_eq!(cut("one two three four five").as_deref(), Some("one two"));
        assert_eq!(cut("<answer>human</answer>"), None);
        let words = "one two three four five six seven eight";
        let shuffled = scrambled(words, Seed(1), &[0]).unwrap();
        assert_ne!(shuffled, words);
        assert_eq!(scrambled(words, Seed(1), &[0]).unwrap(), shuffled, "it is the same every time");
        assert_eq!(scrambled("a a a a", Seed(1), &[0]), None);
        assert_eq!(swapped(&["A", " a", "", "b"]), [Some("b"), Some("b"), Some("b"), Some("A")]);
        assert_eq!(swapped(&["a", "A"]), [None, None]);
    }
}
