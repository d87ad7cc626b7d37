//! Finds an answer by a regular expression of the user's, in time linear in the output.

use super::compare::spaced;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most memory of a compiled expression, in bytes.
const COMPILED_BYTES: usize = 4 << 20;

/// A regular expression. Its last match is the answer: what the first group matches, or the whole
/// match if the expression has no group.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

/// An expression that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    /// It is no regular expression, or too large a one.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let compiled = RegexBuilder::new(text).size_limit(COMPILED_BYTES).build();
        compiled.map(Self).map_err(|error| PatternError(error.to_string()))
    }

    /// Returns the answer in an output, with every run of white space as one blank.
    pub(super) fn answer(&self, output: &str) -> Option<String> {
        let found = self.0.captures_iter(output).last()?;
        let text = found.get(usize::from(self.0.captures_len() > 1))?;
        Some(spaced(text.as_str())).filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0.as_str(), f)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.as_str().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_match_or_its_first_group_is_the_answer() {
        let of = |pattern: &str, output: &str| Pattern::new(pattern).unwrap().answer(output);
        assert_eq!(of("verdict: (\\w+)", "verdict: bot verdict: human"), Some("human".into()));
        assert_eq!(of("\\d+", "1 then 22"), Some("22".into()));
        assert_eq!(of("(?s)<a>(.*?)</a>", "<a> two\n words </a>"), Some("two words".into()));
        assert_eq!(of("(x)|y", "x y"), None, "the last match has no first group");
        assert_eq!(of("z*", "abc"), None);
        assert!(Pattern::new("(").is_err() && Pattern::new("a{1000}{1000}{1000}").is_err());
    }
}
