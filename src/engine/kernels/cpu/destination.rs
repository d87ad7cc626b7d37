//! Where the sums of a product go.

use super::exp::silu;
use super::simd::Simd;

/// What is done with the sums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) enum Target {
    /// They are written.
    Store,
    /// They are added to what is there.
    Add,
    /// `silu(first vector) * second vector` is written.
    Gated,
}

/// The result `[t, outputs]` of a product. Tasks write disjoint rectangles of it.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Destination<'a> {
    pub(in crate::kernels) y: *mut f32,
    pub(in crate::kernels) outputs: usize,
    /// The bias, one number per output.
    pub(in crate::kernels) bias: Option<&'a [f32]>,
    pub(in crate::kernels) target: Target,
}

impl Destination<'_> {
    /// Takes the two vectors of sums of one row with one panel.
    #[inline(always)]
    pub(super) unsafe fn take<S: Simd>(&self, row: usize, panel: usize, sums: [S::V; 2]) {
        // SAFETY: the row is one of `y`.
        unsafe {
            let y = self.y.add(row * self.outputs);
            if self.target == Target::Gated {
                self.put::<S>(y, panel * S::LANES, S::mul(silu::<S>(sums[0]), sums[1]));
            } else {
                for (c, &value) in sums.iter().enumerate() {
                    self.put::<S>(y, (2 * panel + c) * S::LANES, value);
                }
            }
        }
    }

    /// Writes or adds one vector at the outputs from `from` on, as far as there are outputs.
    #[inline(always)]
    unsafe fn put<S: Simd>(&self, y: *mut f32, from: usize, value: S::V) {
        // SAFETY: `y` is a row of `outputs` floats, and so is the bias.
        unsafe {
            if from + S::LANES <= self.outputs {
                let mut value = value;
                if let Some(bias) = self.bias {
                    value = S::add(value, S::load(bias.as_ptr().add(from)));
                }
                if self.target == Target::Add {
                    value = S::add(S::load(y.add(from)), value);
                }
                S::store(y.add(from), value);
                return;
            }
            let mut lanes = [0.0f32; 16];
            S::store(lanes.as_mut_ptr(), value);
            for (output, mut value) in (from..self.outputs).zip(lanes) {
                if let Some(bias) = self.bias {
                    value += bias[output];
                }
                if self.target == Target::Add {
                    value += *y.add(output);
                }
                *y.add(output) = value;
            }
        }
    }
}
