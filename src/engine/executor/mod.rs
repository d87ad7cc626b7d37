//! Who carries out a step: a model with its keys and values on one device. Knows no requests and no policy; what it computes for
//! a row does not depend on the rows beside it.

mod choice;
mod cpu;
#[cfg(any(gpu, all(test, unix)))]
pub(in crate::engine) mod gpu;

pub use choice::{DeviceChoice, UnknownDevice};
pub(crate) use cpu::CpuExecutor;

use super::schedule::StepPlan;

/// A loaded model on a device, with room for keys and values.
pub(crate) trait Executor: Send {
    /// How many steps may be started before the first of them is finished. Only with two can a plan carry tokens over.
    fn depth(&self) -> usize {
        1
    }

    /// Starts a step: keys and values of all rows go to their slots. Steps are carried out in the order of their starts.
    ///
    /// # Errors
    /// The device failed; nothing can be computed with it any more.
    fn start(&mut self, plan: &StepPlan) -> Result<(), DeviceError>;

    /// Waits for the end of the oldest step that was started and not finished; what its plan wants can be asked for until the next
    /// call of this kind.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn finish(&mut self) -> Result<(), DeviceError>;

    /// Both in one.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    #[cfg(test)]
    fn run(&mut self, plan: &StepPlan) -> Result<(), DeviceError> {
        self.start(plan)?;
        self.finish()
    }

    /// How many sizes of decode steps a GPU could not capture as a graph; their kernels are launched one by one, which is slower.
    fn refused_captures(&self) -> u64 {
        0
    }

    /// The token with the largest of the logits that the plan of the step that was finished last wants as number `wanted`; of equals
    /// the lowest, and what is not a number never wins.
    fn greedy(&self, wanted: usize) -> u32;

    /// Those logits, `[v]`; only while no later step has been started.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError>;
}

/// What a device said when it failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(pub(crate) String);

/// What every error says that has too little memory of a device behind it.
pub(crate) const WANTED: &str = " MiB are wanted for ";

impl DeviceError {
    /// Whether there was too little memory.
    pub fn is_of_memory(&self) -> bool {
        self.0.contains(WANTED)
    }
}
