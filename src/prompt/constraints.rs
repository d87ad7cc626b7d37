//! The constraints on a prompt: each slot that it needs exactly once, its frozen passages, a limit
//! on its length. Seed prompts are checked strictly; candidates written by a model are repaired
//! where that is safe, and rejected otherwise.

use super::canonical::canonical;
use super::spelling::{misspelt, respelled, spellings};
use super::template::{Slot, Template};
use serde::{Deserialize, Serialize};

/// The constraints on one agent's prompts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constraints {
    /// The slots that the prompt must contain exactly once; it must not contain any other slot.
    pub slots: Vec<Slot>,
    /// Passages (an output format, say) that the prompt must contain verbatim, but for Unicode
    /// normal forms.
    pub frozen: Vec<String>,
    /// The longest allowed prompt, in bytes.
    pub max_bytes: usize,
}

/// What is wrong with a seed prompt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PromptError {
    /// A needed slot is missing.
    #[error("the prompt lacks {slot}{}", meant(near.as_deref()))]
    MissingSlot {
        /// The slot.
        slot: Slot,
        /// What looks like it in the prompt, misspelt.
        near: Option<String>,
    },
    /// A slot is repeated.
    #[error("the prompt has {slot} {count} times; it must stand exactly once")]
    RepeatedSlot {
        /// The slot.
        slot: Slot,
        /// The number of times.
        count: usize,
    },
    /// A slot cannot be filled, since the agent receives nothing for it.
    #[error("the prompt has {0}, but this agent receives nothing that could fill it")]
    ForeignSlot(Slot),
    /// A slot is written as in another template language.
    #[error("the prompt has `{found}`, which is not filled: write `{slot}`, with single braces and nothing else")]
    AlienSlot {
        /// What stands in the prompt.
        found: String,
        /// The slot that is meant.
        slot: Slot,
    },
    /// A frozen passage is not in the prompt.
    #[error("the frozen passage {0:?} does not stand in the prompt")]
    MissingFrozen(String),
    /// The prompt is too long.
    #[error("the prompt has {bytes} bytes; the limit is {limit}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The prompt has nothing but white space and slots.
    #[error("the prompt is empty")]
    Empty,
}

/// Asks whether a misspelt slot is meant.
fn meant(near: Option<&str>) -> String {
    near.map_or(String::new(), |near| format!("; is `{near}` meant?"))
}

/// Why a candidate was rejected; counted per reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// The optimizer model's output held no prompt.
    Unparsable,
    /// The prompt has nothing but white space and slots.
    Empty,
    /// A slot is repeated.
    RepeatedSlot,
    /// The prompt has a slot that the agent cannot fill.
    ForeignSlot,
    /// A frozen passage was changed or dropped.
    FrozenChanged,
    /// The prompt is too long, even after repair.
    TooLong,
    /// The text equals its parent or another candidate of the step.
    Duplicate,
    /// The input of the optimizer model was longer than the model can read, so it wrote nothing.
    Overflow,
    /// The optimizer model's output ended in its reasoning.
    CutInReasoning,
}

/// A candidate that meets the constraints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sanitized {
    /// The prompt, with every needed slot.
    pub prompt: Template,
    /// Whether a slot that the model had dropped was appended, or one that it had written in
    /// another notation was put right.
    pub repaired: bool,
}

impl Constraints {
    /// Returns every constraint that `prompt` breaks.
    pub fn errors(&self, prompt: &Template) -> Vec<PromptError> {
        let mut errors = Vec::new();
        if is_empty(prompt) {
            errors.push(PromptError::Empty);
        }
        let spellings = spellings(prompt.text());
        for slot in Slot::ALL {
            let needed = self.slots.contains(&slot);
            let missing = needed && prompt.count(slot) == 0;
            let alien = spellings.iter().find(|other| other.slot == slot && (other.foreign || missing));
            if let Some(alien) = alien {
                errors.push(PromptError::AlienSlot { found: prompt.text()[alien.range.clone()].to_string(), slot });
                continue;
            }
            match (needed, prompt.count(slot)) {
                (true, 0) => {
                    let near = misspelt(prompt.text(), slot).map(str::to_string);
                    errors.push(PromptError::MissingSlot { slot, near });
                }
                (false, 1..) => errors.push(PromptError::ForeignSlot(slot)),
                (true, count @ 2..) => errors.push(PromptError::RepeatedSlot { slot, count }),
                _ => {}
            }
        }
        let text = canonical(prompt.text());
        for passage in self.frozen.iter().filter(|passage| !text.contains(&canonical(passage))) {
            errors.push(PromptError::MissingFrozen(passage.clone()));
        }
        let bytes = prompt.text().len();
        if bytes > self.max_bytes {
            errors.push(PromptError::TooLong { bytes, limit: self.max_bytes });
        }
        errors
    }
}

/// Turns the optimizer model's text into a candidate: trims it, puts right slots that it wrote in
/// another notation (`{{question}}`), and appends slots that it dropped.
///
/// # Errors
/// Returns the first [`Rejection`] that applies.
pub fn sanitize(given: &str, constraints: &Constraints) -> Result<Sanitized, Rejection> {
    let mut text = respelled(given.trim());
    if is_empty(&Template::new(text.as_str())) {
        return Err(Rejection::Empty);
    }
    let mut repaired = text != given.trim();
    for &slot in &constraints.slots {
        if !text.contains(slot.marker()) {
            text.push('\n');
            text.push_str(slot.marker());
            repaired = true;
        }
    }
    let prompt = Template::new(text);
    match constraints.errors(&prompt).first() {
        None => Ok(Sanitized { prompt, repaired }),
        Some(PromptError::Empty) => Err(Rejection::Empty),
        Some(PromptError::MissingSlot { .. }) => unreachable!("every missing slot was appended"),
        Some(PromptError::RepeatedSlot { .. }) => Err(Rejection::RepeatedSlot),
        Some(PromptError::ForeignSlot(_) | PromptError::AlienSlot { .. }) => Err(Rejection::ForeignSlot),
        Some(PromptError::MissingFrozen(_)) => Err(Rejection::FrozenChanged),
        Some(PromptError::TooLong { .. }) => Err(Rejection::TooLong),
    }
}

fn is_empty(prompt: &Template) -> bool {
    prompt.render("", "").trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Constraints {
        Constraints { slots: vec![Slot::Question], frozen: vec!["<answer>".into()], max_bytes: 60 }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, bool), Rejection>) {
        let got = sanitize(text, &rules());
        let got = got.as_ref().map(|s| (s.prompt.text(), s.repaired)).map_err(|r| *r);
        assert_eq!(got, expected);
    }

    #[test]
    fn candidates_are_kept_repaired_or_rejected() {
        check("  Solve {question} in <answer>.\n", Ok(("Solve {question} in <answer>.", false)));
        check("Solve it in <answer>.", Ok(("Solve it in <answer>.\n{question}", true)));
        check("{question} {question} <answer>", Err(Rejection::RepeatedSlot));
        check("{question} {context} <answer>", Err(Rejection::ForeignSlot));
        check("Solve {question}", Err(Rejection::FrozenChanged));
        check(" {question} ", Err(Rejection::Empty));
        check("", Err(Rejection::Empty));
        check(&format!("<answer>{}", "x".repeat(60)), Err(Rejection::TooLong));
        check(r"\frac{a}{b} <answer> {question}", Ok((r"\frac{a}{b} <answer> {question}", false)));
    }

    #[test]
    fn slots_in_another_notation_are_repaired_in_candidates() {
        for text in ["{{question}}", "{{{question}}}", "${question}", "{ question }", "{{ Question }}", "{QUESTION}"] {
            check(&format!("Solve {text} in <answer>."), Ok(("Solve {question} in <answer>.", true)));
        }
        check("{{question}} and {question} <answer>", Err(Rejection::RepeatedSlot));
        check("{{context}} {question} <answer>", Err(Rejection::ForeignSlot));
        check("{question} { question } <answer>", Ok(("{question} { question } <answer>", false)));
        check(" {{question}} ", Err(Rejection::Empty));
    }

    #[test]
    fn slots_in_another_notation_are_named_in_seed_prompts() {
        let named = |text: &str| -> Vec<String> {
            let errors = Constraints { frozen: Vec::new(), ..rules() }.errors(&Template::new(text));
            errors.iter().map(|error| error.to_string()).collect()
        };
        for found in ["{{question}}", "{{{question}}}", "${question}", "{{ question }}", "{ question }", "{Question}"] {
            let expected = format!(
                "the prompt has `{found}`, which is not filled: \
                     write `{{question}}`, with single braces and nothing else"
            );
            assert_eq!(named(&format!("Answer {found}.")), [expected]);
        }
        assert_eq!(named("Answer {question} {{context}}").len(), 1);
        assert_eq!(named("Answer {question} { question } {{x}} {}"), Vec::<String>::new());
    }

    #[test]
    fn frozen_passages_are_found_in_every_normal_form() {
        let rules = |passage: &str| Constraints { frozen: vec![passage.into()], ..rules() };
        for (passage, text) in
            [("r\u{e9}sum\u{e9}", "re\u{301}sume\u{301}"), ("re\u{301}sume\u{301}", "r\u{e9}sum\u{e9}\u{200b}")]
        {
            assert_eq!(rules(passage).errors(&Template::new(format!("{text} {{question}}"))), []);
        }
        assert_eq!(rules("r\u{e9}sum\u{e9}").errors(&Template::new("resume {question}")).len(), 1);
    }

    #[test]
    fn all_faults_of_a_seed_prompt_are_reported_at_once() {
        let errors = rules().errors(&Template::new("use {context}"));
        assert_eq!(errors.len(), 3, "{errors:?}");
    }
}
