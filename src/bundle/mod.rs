//! Prompt bundles: one file with the prompts of a team, everything that its answers depend on, the
//! evidence for them, who approved them, and a hash over all of it. This module reads finished
//! runs and files. It opens no model, and it knows nothing of the experiment file and the terminal.

mod error;
mod evidence;
mod file;
mod open;
mod release;
mod sign;
mod team;
mod time;

#[cfg(test)]
mod tests;

pub use error::BundleError;
pub use evidence::{Evidence, JudgedEvidence, MeasuredBy, RunOrigin, TestEvidence, TestVerdict};
pub use file::{BUNDLE_SCHEMA, Bundle, Decided, MethodPart, Review, is_bundle_text};
pub use open::{Opened, bundle_of_run, open_bundle, open_prompts, prompt_entries};
pub use release::{Release, Released, promote, releases, rollback};
pub use sign::{SignError, SigningKey, VerifyingKey, signature_path};
pub use team::{GraphPart, SummaryPart, TaskPart, Team, TeamAgent, TeamModel, TemplatesPart};
pub use time::utc;
