//! Scores a model's output against the gold answer.

use super::answer::tagged;
use super::code::{CodeJudge, Tests};
use super::compare::{normalised, spaced};
use super::json_field;
use super::letter::letter;
use super::number::{Tolerance, last_number, whole_number};
use super::pattern::Pattern;
use super::row::RowFault;
use maspo_sandbox::SandboxError;
use serde::{Deserialize, Serialize};

/// A scorer of outputs. An output never makes it fail: one without an answer is wrong, and counted.
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
    /// The answer in `\\boxed{}`, in the last `<answer>` or at the end must equal the gold answer
    /// as mathematics.
    Math {
        /// Whether an answer may be rounded to the digits that the gold answer has.
        #[serde(default)]
        round_to_gold: bool,
    },
    /// The number in the last `<answer>`, or the last number of the output without one, must be
    /// close to the gold answer.
    Number {
        /// How close.
        #[serde(flatten)]
        tolerance: Tolerance,
    },
    /// What a regular expression matches last must equal the gold answer except for white space.
    Regex {
        /// The expression.
        pattern: Pattern,
    },
    /// A field of the last JSON object in the output must equal the gold answer.
    Json {
        /// The field's name, or a dotted path.
        field: String,
    },
    /// The Python program in the output must pass the tests of its task, in a sandbox.
    Code {
        /// Whether programs run although this machine cannot confine them.
        #[serde(default)]
        unsafe_exec: bool,
    },
}

/// Which version of which rules a score follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Convention {
    /// The scorer's name.
    pub scorer: &'static str,
    /// The version of its rules, which changes whenever an outcome could.
    pub version: u32,
    /// The rules in one sentence.
    pub rules: &'static str,
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
    /// The program, or its tests, used up its time; it counts as wrong.
    Timeout,
    /// The program was not judged to the end, because it went beyond another limit; it counts as
    /// wrong.
    Refused,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [Self::Correct, Self::Wrong, Self::Unparsable, Self::Timeout, Self::Refused];

    /// Returns the name as reports have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Wrong => "wrong",
            Self::Unparsable => "unparsable",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
        }
    }
}

/// The answer of an output, and its outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scored {
    /// The answer in its normalized form; `None` if there is none.
    pub answer: Option<String>,
    /// The outcome.
    pub outcome: Outcome,
    /// What led to it, where there is more to say: the test that a program failed.
    pub detail: Option<String>,
}

impl Scorer {
    /// Scores outputs, each beside its gold answer, in their order.
    ///
    /// # Errors
    /// Programs cannot be run on this machine. (Outputs never make it fail.)
    pub fn score_all(&self, pairs: &[(&str, &str)]) -> Result<Vec<Scored>, SandboxError> {
        let Self::Code { unsafe_exec } = *self else {
            return Ok(pairs.iter().map(|(output, gold)| self.score(output, gold)).collect());
        };
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        // Tests that cannot be read are refused when they are loaded; none would be refused here.
        let no_tests = |_| Tests { tests: Vec::new(), imports: Vec::new(), entry_point: None };
        let tests: Vec<Tests> = pairs.iter().map(|(_, gold)| Tests::read(gold).unwrap_or_else(no_tests)).collect();
        let pairs: Vec<_> = pairs.iter().map(|(output, _)| *output).zip(&tests).collect();
        CodeJudge::new(unsafe_exec)?.score_all(&pairs)
    }

    /// Scores one output by its text alone; programs are scored by
    /// [`score_all`](Self::score_all) only, and are refused here.
    fn score(&self, output: &str, gold: &str) -> Scored {
        if matches!(self, Self::Code { .. }) {
            return Scored { answer: None, outcome: Outcome::Refused, detail: None };
        }
        let answer = self.answer(output);
        let outcome = match (&answer, self.gold(gold)) {
            (None, _) => Outcome::Unparsable,
            (Some(answer), Ok(gold)) if self.equal(&gold, answer) => Outcome::Correct,
            _ => Outcome::Wrong,
        };
        Scored { answer, outcome, detail: None }
    }

    /// Returns whether an answer equals the gold answer; both are in normalized form.
    fn equal(&self, gold: &str, answer: &str) -> bool {
        match self {
            Self::Math { round_to_gold } => {
                let options = maspo_math::Options { round_to_gold: *round_to_gold };
                maspo_math::equivalent(gold, answer, &options)
            }
            Self::Number { tolerance } => {
                let values = whole_number(gold).zip(whole_number(answer));
                values.is_some_and(|(gold, answer)| tolerance.allows(gold, answer))
            }
            Self::Json { .. } => json_field::equal(gold, answer),
            Self::Label { .. } | Self::Letter | Self::Text | Self::Regex { .. } | Self::Code { .. } => gold == answer,
        }
    }

    /// Returns which rules the scores follow.
    pub fn convention(&self) -> Convention {
        let of = |scorer, version, rules| Convention { scorer, version, rules };
        match self {
            Self::Label { .. } => of("label", 1, "the last <answer> is one of the labels, in any case"),
            Self::Letter => of("letter", 1, "the last <answer> names a choice from A to J"),
            Self::Text => of("text", 1, "the last <answer>, or the whole output, equals the gold text but for spaces"),
            Self::Math { .. } => of("math", maspo_math::VERSION, maspo_math::CONVENTION),
            Self::Number { .. } => of("number", 1, "the number in the last <answer>, or the last number of the output"),
            Self::Regex { .. } => of("regex", 1, "the last match of the pattern equals the gold text but for spaces"),
            Self::Json { .. } => of("json", 1, "a field of the last JSON object equals the gold value"),
            Self::Code { .. } => of("code", maspo_sandbox::convention::VERSION, maspo_sandbox::convention::CONVENTION),
        }
    }

    /// Returns the answer in `output`, in the normalized form in which answers are compared;
    /// `None` for programs.
    pub fn answer(&self, output: &str) -> Option<String> {
        match self {
            Self::Label { labels } => label(labels, tagged(output)?),
            Self::Letter => letter(tagged(output)?).map(String::from),
            Self::Text => Some(spaced(tagged(output).unwrap_or(output))).filter(|text| !text.is_empty()),
            Self::Math { .. } => {
                let answer = maspo_math::answer(output)?;
                maspo_math::Answer::read(answer).ok().map(|_| answer.to_string())
            }
            Self::Number { .. } => {
                let value = match tagged(output) {
                    Some(answer) => whole_number(answer).or_else(|| last_number(answer)),
                    None => last_number(output),
                };
                value.map(|value| value.to_string())
            }
            Self::Regex { pattern } => pattern.answer(output),
            Self::Json { field } => json_field::field(output, field),
            Self::Code { .. } => None,
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
            Self::Math { .. } => match maspo_math::Answer::read(answer) {
                Ok(read) if read.is_understood() => Ok(answer.to_string()),
                Ok(_) => Err(bad("not an answer that can be read as mathematics".to_string())),
                Err(error) => Err(bad(format!("not an answer: {error}"))),
            },
            Self::Number { .. } => {
                whole_number(answer).map(|value| value.to_string()).ok_or_else(|| bad("not a number".to_string()))
            }
            Self::Regex { .. } | Self::Json { .. } => match spaced(answer) {
                text if text.is_empty() => Err(bad("empty".to_string())),
                text => Ok(text),
            },
            Self::Code { .. } => Tests::read(answer).map(|_| answer.to_string()),
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
    fn mathematics_is_compared_by_value() {
        let math = Scorer::Math { round_to_gold: false };
        check(&math, "Half: $\\boxed{\\tfrac12}$", "0.5", Correct);
        check(&math, "<answer>\\frac{1}{2}</answer>", "0.5", Correct);
        check(&math, "\\boxed{(0,1]}", "[0,1)", Wrong);
        check(&math, "\\boxed{3.14}", "\\pi", Wrong);
        check(&math, "\\boxed{", "3", Unparsable);
        assert!(math.gold(" ").is_err() && math.gold("\\frac{1}{2}").is_ok());
    }

    #[test]
    fn numbers_are_compared_within_the_tolerance() {
        let number = |abs, rel| Scorer::Number { tolerance: Tolerance { abs, rel } };
        check(&number(0.0, 0.0), "So it is 1,000.", "1000", Correct);
        check(&number(0.0, 0.0), "<answer>$12.50</answer> of 99", "12.5", Correct);
        check(&number(0.0, 0.0), "1000.1", "1000", Wrong);
        check(&number(0.0, 0.001), "1000.1", "1000", Correct);
        check(&number(0.5, 0.0), "none", "1000", Unparsable);
        assert_eq!(number(0.0, 0.0).gold("ten").unwrap_err().to_string(), "the answer \"ten\" is not a number");
    }

    #[test]
    fn patterns_and_fields_find_the_last_answer() {
        let regex = Scorer::Regex { pattern: Pattern::new("verdict: *(\\w+)").unwrap() };
        check(&regex, "verdict: bot. No, verdict: human.", "human", Correct);
        check(&regex, "human", "human", Unparsable);
        let json = Scorer::Json { field: "verdict".into() };
        check(&json, "{\"verdict\": \"human\"} it is", "human", Correct);
        check(&json, "{\"verdict\": 1.0}", "1", Correct);
        check(&json, "{\"verdict\": ", "1", Unparsable);
    }

    #[test]
    fn programs_are_judged_by_their_tests_only() {
        let code = Scorer::Code { unsafe_exec: false };
        let gold = "{\"tests\": [\"assert double(2) == 4\"]}";
        assert!(code.gold(gold).is_ok() && code.gold("{\"tests\": []}").is_err() && code.gold("4").is_err());
        let outputs = ["```python\ndef double(x):\n    return 2 * x\n```", "def double(x): return x", "I cannot."];
        let pairs: Vec<_> = outputs.iter().map(|output| (*output, gold)).collect();
        let scored = match code.score_all(&pairs) {
            Ok(scored) => scored,
            Err(error @ SandboxError::Unsupported { .. })
                if std::env::var("MASPO_CI_WITHOUT").is_ok_and(|names| names.contains("sandbox")) =>
            {
                eprintln!("SKIPPED, as MASPO_CI_WITHOUT allows: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let outcomes: Vec<_> = scored.iter().map(|scored| scored.outcome).collect();
        assert_eq!(outcomes, [Correct, Wrong, Unparsable]);
        assert_eq!(Tests::read(gold).unwrap().hint().as_deref(), Some("The function is called `double`."));
    }

    #[test]
    fn a_scorer_is_the_same_after_it_was_stored() {
        for scorer in [
            Scorer::Math { round_to_gold: true },
            Scorer::Number { tolerance: Tolerance { abs: 0.5, rel: 0.0 } },
            Scorer::Regex { pattern: Pattern::new("a(b)").unwrap() },
            Scorer::Json { field: "a.b".into() },
            Scorer::Code { unsafe_exec: false },
        ] {
            let text = serde_json::to_string(&scorer).unwrap();
            assert_eq!(serde_json::from_str::<Scorer>(&text).unwrap(), scorer, "{text}");
            assert!(scorer.convention().version >= 1);
        }
    }

    #[test]
    fn texts_are_equal_but_for_white_space() {
        check(&Scorer::Text, " two\n words ", "two words", Correct);
        check(&Scorer::Text, "so <answer>two  words</answer>!", "two words", Correct);
        check(&Scorer::Text, "Two words", "two words", Wrong);
        check(&Scorer::Text, " \n", "two words", Unparsable);
    }
}
