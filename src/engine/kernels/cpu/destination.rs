//! Where the sums of a product go.

use super::exp::silu;
use super::simd::Simd;
use crate::engine::kernels::argmax::Best;

/// What becomes of the sums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::kernels) enum Target {
    /// Written.
    Store,
    /// Added to what is there.
    Add,
    /// `silu(first vector) * second vector` is written.
    Gated,
}

/// The result `[t, outputs]` of a product; tasks write disjoint rectangles of it.
#[derive(Clone, Copy)]
pub(in crate::engine::kernels) struct Destination<'a> {
    pub(in crate::engine::kernels) y: *mut f32,
    pub(in crate::engine::kernels) outputs: usize,
    /// One value per output.
    pub(in crate::engine::kernels) bias: Option<&'a [f32]>,
    pub(in crate::engine::kernels) target: Target,
    /// Where it is noted which output of a row is the largest, of those that this task stores.
    pub(in crate::engine::kernels) best: Option<Bests>,
}

/// Places `[rows, pieces]`: pieces of the outputs have places of their own.
#[derive(Clone, Copy)]
pub(in crate::engine::kernels) struct Bests {
    /// That of row 0.
    first: *mut Best,
    pieces: usize,
}

// SAFETY: whoever notes something proves that no two tasks have the same piece of a row.
unsafe impl Send for Bests {}
// SAFETY: as above.
unsafe impl Sync for Bests {}

impl Bests {
    /// Over places that outlive the tasks.
    pub(in crate::engine::kernels) fn new(places: &mut [Best], pieces: usize) -> Self {
        Self { first: places.as_mut_ptr(), pieces }
    }

    /// Those of the rows from `row` on.
    pub(in crate::engine::kernels) fn after(self, row: usize) -> Self {
        Self { first: self.first.wrapping_add(row * self.pieces), ..self }
    }

    /// Those of one piece.
    pub(in crate::engine::kernels) fn of_piece(self, piece: usize) -> Self {
        assert!(piece < self.pieces, "there are places for this piece");
        Self { first: self.first.wrapping_add(piece), ..self }
    }

    /// Compares what was stored at outputs `from..to` of a row: a vector at most twice as long as a register. What is not a number never
    /// wins.
    #[inline(always)]
    unsafe fn see<S: Simd>(&self, row: usize, y: *const f32, from: usize, to: usize) {
        // SAFETY: the caller's.
        unsafe {
            let best = &mut *self.first.add(row * self.pieces);
            let largest = if to - from == 2 * S::LANES {
                // In this order: of a number and what is none, the number stays.
                let first = S::max(S::load(y.add(from)), S::splat(f32::NEG_INFINITY));
                S::largest(S::max(S::load(y.add(from + S::LANES)), first))
            } else {
                (from..to).fold(f32::NEG_INFINITY, |largest, output| largest.max(*y.add(output)))
            };
            if largest >= best.logit && largest > f32::NEG_INFINITY {
                let output = (from..to).find(|&output| *y.add(output) == largest).unwrap_or(from) as u32;
                *best = best.or(Best { logit: largest, output });
            }
        }
    }
}

impl Destination<'_> {
    /// Takes the two vectors of sums that one row has with one panel.
    #[inline(always)]
    pub(super) unsafe fn take<S: Simd>(&self, row: usize, panel: usize, sums: [S::V; 2]) {
        // SAFETY: the row is one of `y`.
        unsafe {
            let y = self.y.add(row * self.outputs);
            if self.target == Target::Gated {
                self.put::<S>(y, panel * S::LANES, S::mul(silu::<S>(sums[0]), sums[1]));
            } else {
                let from = 2 * panel * S::LANES;
                for (c, &value) in sums.iter().enumerate() {
                    self.put::<S>(y, from + c * S::LANES, value);
                }
                if let Some(best) = self.best {
                    best.see::<S>(row, y, from, self.outputs.min(from + 2 * S::LANES));
                }
            }
        }
    }

    /// Writes or adds one vector at outputs `from..`, as far as there are outputs.
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
