//! The texts of the requests for a candidate, for a comparison and for a summary, as data: a
//! template set is a folder with one file per request, and one for each task preset. Two sets are
//! in the program: `terse`, which the embedded model was trained on, and `standard`, for real
//! models. This module knows files as texts and slots by name. What fills a slot, and how quoted
//! text is fenced, is decided where a request is made.

mod language;
mod set;
mod slots;

#[cfg(test)]
mod tests;

pub use language::{Holds, RequestTemplate, Scope, SlotSpec, TemplateFault};
pub use set::{Assignment, BuiltIn, JudgeTemplates, MAX_FILE_BYTES, OptimizerTemplates, Templates};
pub use slots::{JUDGE, OPTIMIZER, SUMMARY};
