//! Who carries out a step: a model with its keys and values on one device. Knows no requests and no policy; what it computes for
//! a row does not depend on the rows beside it.

mod cpu;
#[cfg(all(test, unix))]
pub(in crate::engine) mod cuda;

pub(crate) use cpu::CpuExecutor;

use super::schedule::StepPlan;

/// A loaded model on a device, with room for keys and values.
pub(crate) trait Executor: Send {
    /// Carries out a step: keys and values of all rows go to their slots, and the logits that `plan.logits` wants can be asked
    /// for until the next step.
    ///
    /// # Errors
    /// The device failed; nothing can be computed with it any more.
    fn run(&mut self, plan: &StepPlan) -> Result<(), DeviceError>;

    /// The token with the largest of the logits that the last step's plan wants as number `wanted`; of equals the lowest, and
    /// what is not a number never wins.
    fn greedy(&self, wanted: usize) -> u32;

    /// Those logits, `[v]`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError>;
}

/// What a device said when it failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct DeviceError(pub(crate) String);
