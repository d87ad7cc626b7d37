//! Decides which tokens are computed next: continuous batching with chunked prefill, and preemption
//! when blocks run out. Plans are values, which an executor carries out. This part knows no
//! tensors, and nothing of the callers that wait for answers.

mod plan;
mod scheduler;
mod sequence;

#[cfg(test)]
mod tests;

pub(crate) use plan::{LogitQuestion, LogitRow, MOST_TOP, Span, StepPlan, TokenFeedback};
pub(crate) use scheduler::{DRAFTING_ROWS, Limits, Scheduler};
pub(crate) use sequence::SequenceId;
