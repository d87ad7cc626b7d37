//! Scores a model's output against the gold answer.

use super::answer::tagged;
use super::compare::{normalised, spaced};
use super::letter::letter;
use super::row::RowFault;
use serde::{Deserialize, Serialize};

/// A scorer of outputs. Scoring never fails: an output without an answer is wrong, and counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Scorer {
    /// The last `<answer>` must be one of `labels`, in any case and any Unicode normal form.
    Label {
        /// The allowed answers.
        labels: Vec<String>,
    },
    /// The last `<answer>` must name a choice from A to J.
    Letter,
    /// The last `<answer>`, or the whole output without one, must equal the gold answer except for
    /// white space, Unicode normal forms and characters without width.
    Text,
}

/// The outcome for one output.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The answer equals the gold answer.
    Correct,
    /// The answer is another one.
    Wrong,
    /// The output holds no answer; it counts as wrong.
    Unparsable,
}

/// The answer of an output, and its outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scored {
    /// The answer in its normalized form; `None` if there is none.
    pub answer: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
}

impl Scorer {
    /// Scores one output.
    pub fn score(&self, output: &str, gold: &str) -> Scored {
        let answer = self.answer(output);
        let outcome = match (&answer, self.gold(gold)) {
            (None, _) => Outcome::Unparsable,
            (Some(answer), Ok(gold)) if *answer == gold => Outcome::Correct,
            _ => Outcome::Wrong,
        };
        Scored { answer, outcome }
    }

    /// Returns the answer in `output`, in the normalized form in which answers are compared.
    pub fn answer(&self, output: &str) -> Option<String> {
        match self {
            Self::Label { labels } => label(labels, tagged(output)?),
            Self::Letter => letter(tagged(output)?).map(String::from),
            Self::Text => Some(spaced(tagged(output).unwrap_or(output))).filter(|text| !text.is_empty()),
        }
    }

    /// Returns the gold answer in the same normalized form.
    ///
    /// # Errors
    /// Returns an error if no output could ever equal it.
    pub fn gold(&self, answer: &str) -> Result<String, RowFault> {
        let bad = |problem: String| RowFault::BadAnswer { answer: answer.to_string(), problem };
        match self {
            Self::Label { labels } => {
                label(labels, answer).ok_or_else(|| bad(format!("not one of the labels ({})", labels.join(", "))))
            }
            Self::Letter => letter(answer).map(String::from).ok_or_else(|| bad("not a letter from A to J".to_string())),
            Self::Text => match spaced(answer) {
                text if text.is_empty() => Err(bad("empty".to_string())),
                text => Ok(text),
            },
        }
    }
}

fn label(labels: &[String], text: &str) -> Option<String> {
    let text = normalised(text);
    labels.iter().find(|label| normalised(label) == text).cloned()
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Correct, Unparsable, Wrong};
    use super::*;

    #[track_caller]
    fn check(scorer: &Scorer, output: &str, gold: &str, expected: Outcome) {
        assert_eq!(scorer.score(output, gold).outcome, expected, "{output} / {gold}");
    }

    #[test]
    fn labels_are_exact_but_for_case() {
        let labels = Scorer::Label { labels: vec!["human".into(), "scraper".into()] };
        check(&labels, "<answer>human</answer>", "human", Correct);
        check(&labels, "x <answer>scraper</answer> <answer> HUMAN\n</answer>", "Human", Correct);
        check(&labels, "<answer>scraper</answer>", "human", Wrong);
        check(&labels, "<answer>not human</answer>", "human", Unparsable);
        check(&labels, "human", "human", Unparsable);
        check(&labels, "", "human", Unparsable);
        let fault = labels.gold("robot").unwrap_err();
        assert_eq!(fault.to_string(), "the answer \"robot\" is not one of the labels (human, scraper)");
    }

    #[test]
    fn letters_come_from_the_last_tag_only() {
        check(&Scorer::Letter, "A? <answer>B</answer>", "B", Correct);
        check(&Scorer::Letter, "<answer>Option B</answer>", "(B)", Correct);
        check(&Scorer::Letter, "<answer>B</answer> <answer>C) 5</answer>", "B", Wrong);
        check(&Scorer::Letter, "the answer is B", "B", Unparsable);
        // The paper's released code counts the gold letter anywhere in the text as right.
        check(&Scorer::Letter, "<answer>Because</answer>", "B", Unparsable);
        check(&Scorer::Letter, "<answer>A, not B at all</answer>", "B", Wrong);
        check(&Scorer::Letter, "<answer>（Ｆ）</answer>", "(f)", Correct);
        check(&Scorer::Letter, "<answer>(F)</answer>", "E", Wrong);
        for gold in ["F", "J", "（Ｂ）", "b)", "\\boxed{B}", "答案：B"] {
            assert!(Scorer::Letter.gold(gold).is_ok(), "{gold}");
        }
        assert_eq!(Scorer::Letter.gold("K").unwrap_err().to_string(), "the answer \"K\" is not a letter from A to J");
    }

    #[test]
    fn tags_count_in_any_case_for_every_scorer() {
        let labels = Scorer::Label { labels: vec!["b".into(), "c".into()] };
        for scorer in [Scorer::Letter, Scorer::Text, labels] {
            check(&scorer, "<answer>C</answer> So <ANSWER>B</Answer>.", "B", Correct);
        }
    }

    #[test]
    fn normal_forms_and_characters_without_width_make_no_difference() {
        let (composed, decomposed) = ("r\u{e9}sum\u{e9}", "re\u{301}sume\u{301}");
        let labels = Scorer::Label { labels: vec![composed.into(), "non".into()] };
        let swapped = Scorer::Label { labels: vec![decomposed.into(), "non".into()] };
        for scorer in [Scorer::Text, labels, swapped] {
            for (output, gold) in [(composed, decomposed), (decomposed, composed)] {
                check(&scorer, &format!("<answer>{output}\u{200b}</answer>"), &format!("\u{feff}{gold}"), Correct);
            }
        }
        check(&Scorer::Text, "<answer>42</answer>", "42\u{200b}", Correct);
        check(&Scorer::Text, "4\u{2060}2", "42", Correct);
        check(&Scorer::Text, "<answer>42</answer>", "43\u{200b}", Wrong);
        check(&Scorer::Text, "<answer>\u{200b}</answer>", "42", Unparsable);
        assert_eq!(Scorer::Text.gold("\u{200b}").unwrap_err().to_string(), "the answer \"\\u{200b}\" is empty");
    }

    #[test]
    fn texts_are_equal_but_for_white_space() {
        check(&Scorer::Text, " two\n words ", "two words", Correct);
        check(&Scorer::Text, "so <answer>two  words</answer>!", "two words", Correct);
        check(&Scorer::Text, "Two words", "two words", Wrong);
        check(&Scorer::Text, " \n", "two words", Unparsable);
    }
}
