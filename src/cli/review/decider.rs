//! Where decisions come from.

use super::super::CliError;
use crate::bundle::Bundle;
use crate::review::{Conclusion, Decisions, Session, read_decisions};
use std::path::Path;

/// A source of decisions.
pub(super) trait Decider {
    /// Returns the decisions on all changes of the run; `None` to end without any.
    fn decide(&mut self, session: &Session<'_>, of_run: &Bundle) -> Result<Option<Decisions>, CliError>;

    /// Returns whether the bundle is to be written, now that its prompts were measured.
    fn confirm(&mut self, conclusion: &Conclusion) -> Result<bool, CliError>;
}

/// The decisions in a file.
pub(super) struct FromFile<'a> {
    pub(super) file: &'a Path,
    /// Who decides, if the file does not say.
    pub(super) reviewer: Option<&'a str>,
    pub(super) even_if_worse: bool,
}

impl Decider for FromFile<'_> {
    fn decide(&mut self, session: &Session<'_>, _: &Bundle) -> Result<Option<Decisions>, CliError> {
        let changed = session.changed();
        let places = (session.graph().as_ref(), &changed[..]);
        read_decisions(self.file, places, session.max_prompt_bytes(), self.reviewer)
            .map(Some)
            .map_err(CliError::bad_inputs)
    }

    fn confirm(&mut self, conclusion: &Conclusion) -> Result<bool, CliError> {
        Ok(!matches!(conclusion, Conclusion::Bundle { worse: true, .. }) || self.even_if_worse)
    }
}
