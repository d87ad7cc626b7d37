//! What people and tools read of a run: result.json, tables, the diff of the prompts, the bill.
//! Pure functions from values to text, which know no terminal and no files. Text is coloured only
//! if the caller asks for it.

mod accuracy;
mod annotation;
mod bill;
mod diff;
mod gate;
mod junit;
mod lines;
mod lock;
mod private;
mod progress;
mod run;
mod text;
mod verdicts;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

pub use accuracy::{Accuracy, Difference, ScoredBy};
pub use annotation::{Level, annotation};
pub use bill::Bill;
pub(crate) use bill::thousands;
pub use diff::{Colour, prompt_diff};
pub use gate::{ChangeLine, GateLine, GateQuestion, GateReport};
pub use junit::{Suite, TestCase, junit};
pub use lines::{
    CandidateLine, CopiedLine, JudgeLine, LineageLine, MisalignmentLine, PromptLine, RankCorrelationLine, StepLine,
};
pub use lock::EgressLock;
pub use private::without_words;
pub use progress::{Progress, SearchSoFar};
pub use run::{Files, Inputs, REPORT_SCHEMA, RunReport};
pub use text::counted;
pub use verdicts::{Estimate, VerdictFigures, VerdictThreshold};
