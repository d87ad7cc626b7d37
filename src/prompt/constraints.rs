//! What a prompt must keep: each slot it needs exactly once, its frozen passages, a bounded length. Seed prompts are checked
//! strictly; candidates written by a model are repaired where that is safe and rejected otherwise.

use super::template::{Slot, Template};
use serde::{Deserialize, Serialize};

/// The rules for one agent's prompt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constraints {
    /// Slots that must stand in the prompt exactly once; a slot not named here must not stand in it at all.
    pub slots: Vec<Slot>,
    /// Passages (an output format, say) that must survive verbatim.
    pub frozen: Vec<String>,
    /// Longest allowed prompt in bytes.
    pub max_bytes: usize,
}

/// What is wrong with a seed prompt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PromptError {
    /// A needed slot is missing.
    #[error("the prompt lacks {0}")]
    MissingSlot(Slot),
    /// A slot stands more than once.
    #[error("the prompt has {slot} {count} times; it must stand exactly once")]
    RepeatedSlot {
        /// Which one.
        slot: Slot,
        /// How often.
        count: usize,
    },
    /// A slot that this agent has nothing to fill with.
    #[error("the prompt has {0}, but this agent receives nothing that could fill it")]
    ForeignSlot(Slot),
    /// A frozen passage is not in the prompt.
    #[error("the frozen passage {0:?} does not stand in the prompt")]
    MissingFrozen(String),
    /// Too long.
    #[error("the prompt has {bytes} bytes; the limit is {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Nothing but white space and slots.
    #[error("the prompt is empty")]
    Empty,
}

/// Why a candidate was not taken; counted per reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// The optimizer's text held no prompt.
    Unparsable,
    /// Nothing but white space and slots.
    Empty,
    /// A slot stands more than once.
    RepeatedSlot,
    /// A slot that the agent cannot fill.
    ForeignSlot,
    /// A frozen passage was changed or dropped.
    FrozenChanged,
    /// Too long, also after repair.
    TooLong,
    /// The same text as its parent or as another candidate of the step.
    Duplicate,
    /// What the optimizer was to read is longer than it can hold; it wrote nothing.
    Overflow,
}

/// A candidate that may be tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sanitized {
    /// The prompt, with every needed slot.
    pub prompt: Template,
    /// Whether a dropped slot was appended.
    pub repaired: bool,
}

impl Constraints {
    /// Every rule that `prompt` breaks.
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

/// Makes a candidate of what the optimizer wrote: trims it and appends slots that it dropped, or says why it cannot be used.
///
/// # Errors
/// The first [`Rejection`] that applies.
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
    fn a_seed_prompt_hears_of_every_fault_at_once() {
        let errors = rules().errors(&Template::new("use {context}"));
        assert_eq!(errors.len(), 3, "{errors:?}");
    }
}
