//! The constraints on a prompt: each slot that it needs exactly once, its frozen passages, a limit
//! on its length. Seed prompts are checked strictly; candidates written by a model are repaired
//! where that is safe, and rejected otherwise.

use super::template::{Slot, Template};
use serde::{Deserialize, Serialize};

/// The constraints on one agent's prompts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constraints {
    /// The slots that the prompt must contain exactly once; it must not contain any other slot.
    pub slots: Vec<Slot>,
    /// Passages (an output format, say) that the prompt must contain verbatim.
    pub frozen: Vec<String>,
    /// The longest allowed prompt, in bytes.
    pub max_bytes: usize,
}

/// What is wrong with a seed prompt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PromptError {
    /// A needed slot is missing.
    #[error("the prompt lacks {0}")]
    MissingSlot(Slot),
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
    /// Whether a slot that the model had dropped was appended.
    pub repaired: bool,
}

impl Constraints {
    /// Returns every constraint that `prompt` breaks.
    pub fn errors(&self, prompt: &Template) -> Vec<PromptError> {
        let mut errors = Vec::new();
        if is_empty(prompt) {
            errors.push(PromptError::Empty);
        }
        for slot in Slot::ALL {
            match (self.slots.contains(&slot), prompt.count(slot)) {
                (true, 0) => errors.push(PromptError::MissingSlot(slot)),
                (false, 1..) => errors.push(PromptError::ForeignSlot(slot)),
                (true, count @ 2..) => errors.push(PromptError::RepeatedSlot { slot, count }),
                _ => {}
            }
        }
        for passage in self.frozen.iter().filter(|passage| !prompt.text().contains(passage.as_str())) {
            errors.push(PromptError::MissingFrozen(passage.clone()));
        }
        let bytes = prompt.text().len();
        if bytes > self.max_bytes {
            errors.push(PromptError::TooLong { bytes, limit: self.max_bytes });
        }
        errors
    }
}

/// Turns the optimizer model's text into a candidate: trims it, and appends slots that it dropped.
///
/// # Errors
/// Returns the first [`Rejection`] that applies.
pub fn sanitize(text: &str, constraints: &Constraints) -> Result<Sanitized, Rejection> {
    let mut text = text.trim().to_string();
    if is_empty(&Template::new(text.as_str())) {
        return Err(Rejection::Empty);
    }
    let mut repaired = false;
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
        Some(PromptError::MissingSlot(_)) => unreachable!("every missing slot was appended"),
        Some(PromptError::RepeatedSlot { .. }) => Err(Rejection::RepeatedSlot),
        Some(PromptError::ForeignSlot(_)) => Err(Rejection::ForeignSlot),
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
    fn all_faults_of_a_seed_prompt_are_reported_at_once() {
        let errors = rules().errors(&Template::new("use {context}"));
        assert_eq!(errors.len(), 3, "{errors:?}");
    }
}
