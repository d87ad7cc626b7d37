//! Greedy choice: the largest logit of a row, found piece by piece on all threads.

use crate::kernels::cpu::argmax::ArgmaxTask;
use crate::kernels::cpu::set::KernelSet;

/// The largest logit of a piece of a row, and its output.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::kernels) struct Best {
    pub(in crate::kernels) logit: f32,
    pub(in crate::kernels) output: u32,
}

impl Best {
    /// The value for a row without any number.
    pub(in crate::kernels) const NONE: Self = Self { logit: f32::NEG_INFINITY, output: 0 };

    /// Returns the largest of `logits`, whose first one is that of output `first`. Of equal logits
    /// the lowest output wins, and NaN never does.
    pub(in crate::kernels) fn of(kernels: KernelSet, logits: &[f32], first: usize) -> Self {
        // SAFETY: the kernel reads the slice only.
        let (logit, at) = unsafe { kernels.run(ArgmaxTask { logits }) };
        if logit == f32::NEG_INFINITY { Self::NONE } else { Self { logit, output: (first + at) as u32 } }
    }

    /// Returns the larger of two, where `self` has the lower outputs.
    pub(in crate::kernels) fn or(self, other: Self) -> Self {
        if other.logit > self.logit { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_equals_wins_and_what_is_no_number_never() {
        for kernels in KernelSet::available() {
            let of = |logits: &[f32]| Best::of(kernels, logits, 100).output;
            let mut logits = vec![1.0; 70];
            assert_eq!(of(&logits), 100);
            (logits[33], logits[69], logits[2]) = (3.0, 3.0, f32::NAN);
            assert_eq!(of(&logits), 133);
            logits[69] = 4.0;
            assert_eq!(of(&logits), 169);
            assert_eq!(Best::of(kernels, &[f32::NAN; 3], 7), Best::NONE);
        }
    }
}
