//! What is judged, and what comes out of it.

use serde::{Deserialize, Serialize};

/// A model's output and the tests of its task.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// What the model wrote, with the code somewhere in it.
    pub output: &'a str,
    /// Python statements that raise an exception if the program is wrong.
    pub tests: &'a [String],
    /// Python statements that the tests need, run before them; the program gets them too.
    pub imports: &'a [String],
    /// The function that a test's `check(candidate)` is called with.
    pub entry_point: Option<&'a str>,
}

/// How a program fared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every test passed.
    Correct,
    /// A test failed, or the program did before any test.
    Wrong,
    /// There is no Python code in the output.
    Unparsable,
    /// The program or its tests used up their time.
    Timeout,
    /// It was not judged to the end: the output is too long, the tests are missing or not Python,
    /// or the program went beyond a limit that is not one of time.
    Refused,
}

/// An outcome with its reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// How the program fared.
    pub outcome: Outcome,
    /// The reason in a few words; empty if the program is correct. It may quote an exception's
    /// text, which the program chooses.
    pub detail: String,
}

impl Verdict {
    pub(crate) fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into() }
    }
}
