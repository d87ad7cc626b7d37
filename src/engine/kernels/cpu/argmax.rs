//! The largest number of a slice and its first index.

use super::simd::{Kernel, Simd};

/// Finds the largest number of one slice.
pub(in crate::kernels) struct ArgmaxTask<'a> {
    pub(in crate::kernels) logits: &'a [f32],
}

impl Kernel for ArgmaxTask<'_> {
    /// The largest number (negative infinity if there is none) and its first index.
    type Output = (f32, usize);

    #[inline(always)]
    unsafe fn run<S: Simd>(self) -> (f32, usize) {
        let n = self.logits.len();
        let whole = n - n % S::LANES;
        let mut largest = f32::NEG_INFINITY;
        // SAFETY: vectors are read inside the slice.
        unsafe {
            let mut best = S::splat(f32::NEG_INFINITY);
            for i in (0..whole).step_by(S::LANES) {
                // In this order of arguments, a number wins over NaN.
                best = S::max(S::load(self.logits.as_ptr().add(i)), best);
            }
            largest = largest.max(S::largest(best));
        }
        for &logit in &self.logits[whole..] {
            largest = largest.max(logit);
        }
        (largest, self.logits.iter().position(|&logit| logit == largest).unwrap_or(0))
    }
}
