//! Who carries out a step: a model with its keys and values on one device. Knows no requests and no
//! policy; what it computes for a row does not depend on the rows beside it.

mod choice;
mod cpu;
#[cfg(any(gpu, all(test, unix)))]
pub(crate) mod gpu;

pub use choice::{DeviceChoice, UnknownDevice};
pub(crate) use cpu::CpuExecutor;

use super::schedule::StepPlan;

/// A loaded model on a device, with room for keys and values.
pub(crate) trait Executor: Send {
    /// How many steps may be started before the first of them is finished. Only with two can a plan
    /// carry tokens over.
    fn depth(&self) -> usize {
        1
    }

    /// Starts a step: keys and values of all rows go to their slots. Steps are carried out in the
    /// order of their starts.
    ///
    /// # Errors
    /// The device failed; nothing can be computed with it any more.
    fn start(&mut self, plan: &StepPlan) -> Result<(), DeviceError>;

    /// Waits for the end of the oldest step that was started and not finished; what its plan wants
    /// can be asked for until the next call of this kind.
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

    /// The token with the largest of the logits that the plan of the step that was finished last
    /// wants as number `wanted`; of equals the lowest, and what is not a number never wins.
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
pub struct DeviceError(pub String);

/// A device has too little memory for a model and its context.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}: {:.1} MiB are wanted for {what}, {:.1} MiB are free", mib(*wanted_bytes), mib(*free_bytes))]
pub struct OutOfMemory {
    /// What the device said.
    pub reason: DeviceError,
    /// What the memory is for, and what to lower.
    pub what: String,
    /// Bytes that were wanted.
    pub wanted_bytes: usize,
    /// Bytes that were free.
    pub free_bytes: usize,
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
