//! Prompt templates: only the exact texts `{question}` and `{context}` are slots, every other brace
//! is literal, and the text put into a slot is never parsed again.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A slot of a template.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The slot for the query.
    Question,
    /// The slot for the outputs of the agent's predecessors.
    Context,
}

impl Slot {
    /// Both slots.
    pub const ALL: [Self; 2] = [Self::Question, Self::Context];

    /// The text of the slot in a prompt.
    pub fn marker(self) -> &'static str {
        match self {
            Self::Question => "{question}",
            Self::Context => "{context}",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.marker())
    }
}

/// A prompt text with slots. Equality and order are those of the text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Template(String);

impl Template {
    /// A template of `text`. Any text is a template; [`Constraints`](super::Constraints) checks
    /// whether it has the slots that it needs.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text with its slots as markers.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The number of times that `slot` is in the text.
    pub fn count(&self, slot: Slot) -> usize {
        self.0.matches(slot.marker()).count()
    }

    /// Fills the slots in a single pass: markers inside `question` or `context` stay as they are.
    pub fn render(&self, question: &str, context: &str) -> String {
        let mut out = String::with_capacity(self.0.len() + question.len() + context.len());
        let mut rest = self.0.as_str();
        while let Some((at, slot)) = first_slot(rest) {
            out.push_str(&rest[..at]);
            out.push_str(match slot {
                Slot::Question => question,
                Slot::Context => context,
            });
            rest = &rest[at + slot.marker().len()..];
        }
        out.push_str(rest);
        out
    }
}

fn first_slot(text: &str) -> Option<(usize, Slot)> {
    Slot::ALL.into_iter().filter_map(|slot| Some((text.find(slot.marker())?, slot))).min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, question: &str, context: &str, expected: &str) {
        assert_eq!(Template::new(template).render(question, context), expected);
    }

    #[test]
    fn slots_are_filled_and_other_braces_are_literal() {
        check("Q: {question} C: {context}", "why", "because", "Q: why C: because");
        check(r"\frac{a}{b} {{question}} {x}", "q", "", r"\frac{a}{b} {q} {x}");
        check("{Question} {question } {}", "q", "c", "{Question} {question } {}");
        check("no slot", "q", "c", "no slot");
    }

    #[test]
    fn substituted_text_is_never_expanded_again() {
        check("{question}|{context}", "{context}{question}", "{question}", "{context}{question}|{question}");
        check("{que{question}stion}", "{context}", "c", "{que{context}stion}");
    }
}
