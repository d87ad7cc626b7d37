//! The CPU as an executor: the model's own forward pass, with buffers that are kept from step to
//! step.

use super::{DeviceError, Executor};
use crate::kv::KvPool;
use crate::qwen3::{Logits, Model, Workspace};
use crate::schedule::StepPlan;

/// A model on the CPU.
pub(crate) struct CpuExecutor {
    model: Model,
    kv: KvPool,
    work: Workspace,
    logits: Logits,
}

impl CpuExecutor {
    /// Creates an executor with room for `blocks` blocks of keys and values.
    pub(crate) fn new(model: Model, block_tokens: usize, blocks: usize) -> Self {
        let kv = model.kv_pool(block_tokens, blocks);
        Self { model, kv, work: Workspace::new(), logits: Logits::new() }
    }
}

impl Executor for CpuExecutor {
    fn start(&mut self, plan: &StepPlan) -> Result<(), DeviceError> {
        self.model.forward(plan, &mut self.kv, &mut self.work, &mut self.logits);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn greedy(&self, wanted: usize) -> u32 {
        self.logits.greedy(wanted)
    }

    fn logits(&mut self, wanted: usize) -> Result<&[f32], DeviceError> {
        Ok(self.logits.row(wanted))
    }
}
