//! Judges model-written programs by a task's tests. The programs run in the sandbox of
//! `maspo-sandbox`.

use super::row::RowFault;
use super::scorer::{Outcome, Scored};
use maspo_sandbox::{Limits, Program, Sandbox, SandboxError, SandboxOptions, Verdict, name_hint};
use serde::{Deserialize, Serialize};

/// The tests of a task. As a gold answer they are JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tests {
    /// Python statements that raise an exception if the program is wrong.
    pub tests: Vec<String>,
    /// Python statements that they need, run before them.
    #[serde(default)]
    pub imports: Vec<String>,
    /// The function that a test's `check(candidate)` is called with.
    #[serde(default)]
    pub entry_point: Option<String>,
}

impl Tests {
    /// Reads the tests of a gold answer.
    ///
    /// # Errors
    /// They are not the JSON of tests, or there are none.
    pub fn read(gold: &str) -> Result<Self, RowFault> {
        let bad = |problem: String| RowFault::BadAnswer { answer: gold.to_string(), problem };
        let tests: Self = serde_json::from_str(gold).map_err(|error| bad(format!("no list of tests: {error}")))?;
        let is_empty = tests.tests.iter().all(|test| test.trim().is_empty());
        if is_empty { Err(bad("without a test".to_string())) } else { Ok(tests) }
    }

    /// Returns what is judged: a model's output beside these tests.
    fn with<'a>(&'a self, output: &'a str) -> Program<'a> {
        let Self { tests, imports, entry_point } = self;
        Program { output, tests, imports, entry_point: entry_point.as_deref() }
    }

    /// Returns the sentence that tells a model what its function has to be called, if the tests
    /// show it.
    pub fn hint(&self) -> Option<String> {
        let name = self.entry_point.clone().or_else(|| name_hint(&self.tests, &self.imports))?;
        Some(format!("The function is called `{name}`."))
    }
}

/// A sandbox that is ready.
pub struct CodeJudge {
    sandbox: Sandbox,
    limits: Limits,
}

impl CodeJudge {
    /// Prepares the sandbox and tries it.
    ///
    /// # Errors
    /// There is no Python, or this machine cannot confine a program and `unsafe_exec` does not
    /// allow to go on.
    pub fn new(unsafe_exec: bool) -> Result<Self, SandboxError> {
        let sandbox = Sandbox::probe(&SandboxOptions { unsafe_exec, ..SandboxOptions::default() })?;
        Ok(Self { sandbox, limits: Limits::default() })
    }

    /// Returns what confines programs here.
    pub fn parts(&self) -> Vec<String> {
        self.sandbox.parts()
    }

    /// Returns what the system lacks; empty unless unsafe execution was allowed.
    pub fn missing(&self) -> &[String] {
        self.sandbox.missing()
    }

    /// Judges outputs by their tests, as many at a time as there are cores, in their order.
    ///
    /// # Errors
    /// The sandbox stopped working. What a program does is never an error.
    pub fn score_all(&self, pairs: &[(&str, &Tests)]) -> Result<Vec<Scored>, SandboxError> {
        let programs: Vec<Program<'_>> = pairs.iter().map(|(output, tests)| tests.with(output)).collect();
        let verdicts = self.sandbox.judge_all(&programs, &self.limits)?;
        let scored = |verdict: Verdict| Scored {
            answer: None,
            outcome: verdict.outcome.into(),
            detail: Some(verdict.detail).filter(|detail| !detail.is_empty()),
        };
        Ok(verdicts.into_iter().map(scored).collect())
    }
}

impl From<maspo_sandbox::Outcome> for Outcome {
    fn from(outcome: maspo_sandbox::Outcome) -> Self {
        match outcome {
            maspo_sandbox::Outcome::Correct => Self::Correct,
            maspo_sandbox::Outcome::Wrong => Self::Wrong,
            maspo_sandbox::Outcome::Unparsable => Self::Unparsable,
            maspo_sandbox::Outcome::Timeout => Self::Timeout,
            maspo_sandbox::Outcome::Refused => Self::Refused,
        }
    }
}
