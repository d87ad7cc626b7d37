//! Which tokens are computed next: continuous batching with chunked prefill, and preemption when
//! blocks run out. Plans are values; somebody else carries them out. Knows no tensors and nobody
//! who waits for an answer.

mod plan;
mod scheduler;
mod sequence;

#[cfg(test)]
mod tests;

pub(crate) use plan::{Carried, LogitRow, Span, StepPlan};
pub(crate) use scheduler::{DRAFTING_ROWS, Limits, Scheduler};
pub(crate) use sequence::SequenceId;
