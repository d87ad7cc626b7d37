//! Executors carry out step plans: a model with its keys and values on one device. They know no
//! requests and no policy. What is computed for a row does not depend on the rows beside it.

mod backend;
pub(crate) mod candle;
mod choice;
mod cpu;
#[cfg(any(gpu, all(test, unix)))]
pub(crate) mod gpu;

pub use backend::{Backend, UnknownBackend};
pub use choice::{DeviceChoice, UnknownDevice};
pub(crate) use cpu::CpuExecutor;

use super::schedule::{LogitQuestion, StepPlan};

/// A loaded model on a device, with memory for keys and values.
pub(crate) trait Executor: Send {
    /// Returns how many steps may be started before the first of them is finished. Plans may use
    /// async token feedback only if this is at least 2.
    fn depth(&self) -> usize {
        1
    }

    /// Starts a step, which stores the keys and values of all rows in their slots. Steps run in the
    /// order in which they were started.
    ///
    /// # Errors
    /// The device failed, and nothing can be computed with it any more.
    fn start(&mut self, plan: &StepPlan) -> Result<(), DeviceError>;

    /// Waits for the oldest step that was started and not finished. The logits that its plan wants
    /// can be read until the next call of `finish`.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    fn finish(&mut self) -> Result<(), DeviceError>;

    /// Starts a step and waits for it.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    #[cfg(test)]
    fn run(&mut self, plan: &StepPlan) -> Result<(), DeviceError> {
        self.start(plan)?;
        self.finish()
    }

    /// Returns how many sizes of decode steps a GPU could not capture as a graph. Their kernels are
    /// launched one by one, which is slower.
    fn refused_captures(&self) -> u64 {
        0
    }

    /// Returns the token with the largest logit in row `wanted` of the logits that the last
    /// finished step's plan wants. Of equal logits the lowest token wins, and NaN never does.
    fn greedy(&self, wanted: usize) -> u32;

    /// Returns that row of logits, `[v]`. It can be read only while no later step has been started.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError>;

    /// Returns whether the executor itself answers these questions about a step's logits. A plan
    /// has them only then; otherwise whoever has questions reads whole rows.
    fn answers(&self, _questions: &[LogitQuestion]) -> bool {
        false
    }

    /// Returns the answer to question `index` of the last finished step's plan. Unlike
    /// [`logits`](Self::logits) it can be read while a later step is under way.
    fn answer(&self, _index: usize) -> &LogitAnswer {
        unreachable!("no plan has a question that its executor does not answer")
    }
}

/// What is known of a row of logits.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct LogitAnswer {
    /// The largest logit.
    pub(crate) largest: f32,
    /// The sum of `e^(logit - largest)` over the row.
    pub(crate) sum: f64,
    /// The logits of the question's tokens.
    pub(crate) logits: Vec<f32>,
    /// The largest logits with their tokens: the largest first, of equal ones the lowest token
    /// first. Fewer than were asked for where the row has no more above minus infinity.
    pub(crate) top: Vec<(u32, f32)>,
}

#[cfg(test)]
impl LogitAnswer {
    /// Answers a question from the row itself.
    pub(crate) fn of(row: &[f32], question: &LogitQuestion) -> Self {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = row.iter().map(|&logit| (f64::from(logit) - f64::from(largest)).exp()).sum();
        let logits = question.tokens.iter().map(|&token| row[token as usize]).collect();
        let mut top: Vec<(u32, f32)> = (0..).zip(row.iter().copied()).filter(|of| of.1 > f32::NEG_INFINITY).collect();
        top.sort_by(|a, b| b.1.partial_cmp(&a.1).expect("numbers").then(a.0.cmp(&b.0)));
        top.truncate(question.top);
        Self { largest, sum, logits, top }
    }
}

/// A device's own message when it failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(pub String);

/// A device has too little memory for a model and its context.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}: {:.1} MiB are wanted for {what}, {:.1} MiB are free", mib(*wanted_bytes), mib(*free_bytes))]
pub struct OutOfMemory {
    /// The device's own message.
    pub reason: DeviceError,
    /// What the memory is for, and which option to lower.
    pub what: String,
    /// The size of the memory that was needed.
    pub wanted_bytes: usize,
    /// The size of the memory that was free.
    pub free_bytes: usize,
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
