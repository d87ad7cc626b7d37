//! The running result of online softmax, and how those of a sequence's KV splits are combined.

use crate::kernels::cpu::exp::exp;
use crate::kernels::cpu::simd::{Kernel, Simd};
use crate::kernels::layout::{Heads, KvShape};

/// Returns the floats of one split's partial result for some rows (token × head).
pub(in crate::kernels) fn partial_len(rows: usize, shape: KvShape) -> usize {
    rows * (shape.d_padded() + 2)
}

/// The result of some keys for R rows. A row that has seen none has minus infinity and zeros.
pub(super) struct State<'a> {
    /// `[R, d_padded]`: the weighted sum of values.
    pub(super) sums: &'a mut [f32],
    /// `[R]`: the largest score.
    pub(super) largest: &'a mut [f32],
    /// `[R]`: the sum of weights.
    pub(super) total: &'a mut [f32],
}

impl<'a> State<'a> {
    /// Divides [`partial_len`] floats into the parts of a state.
    #[inline(always)]
    pub(super) fn new(floats: &'a mut [f32], rows: usize, d_padded: usize) -> Self {
        let (sums, rest) = floats.split_at_mut(rows * d_padded);
        let (largest, total) = rest.split_at_mut(rows);
        Self { sums, largest, total }
    }

    /// Resets the state to that of no keys.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.sums.fill(0.0);
        self.total.fill(0.0);
        self.largest.fill(f32::NEG_INFINITY);
    }

    #[inline(always)]
    pub(super) fn copy(&mut self, other: &State<'_>) {
        self.sums.copy_from_slice(other.sums);
        self.largest.copy_from_slice(other.largest);
        self.total.copy_from_slice(other.total);
    }

    /// Adds the result of a later split.
    #[inline(always)]
    pub(super) unsafe fn fold<S: Simd>(&mut self, later: &State<'_>) {
        let rows = self.largest.len();
        let d_padded = self.sums.len() / rows;
        for row in 0..rows {
            if later.largest[row] == f32::NEG_INFINITY {
                continue;
            }
            let both = self.largest[row].max(later.largest[row]);
            // SAFETY: the caller's; e^0 is exactly 1.
            let (ours, theirs) =
                unsafe { (exp_one::<S>(self.largest[row] - both), exp_one::<S>(later.largest[row] - both)) };
            self.largest[row] = both;
            self.total[row] = self.total[row] * ours + later.total[row] * theirs;
            for i in (row * d_padded..(row + 1) * d_padded).step_by(S::LANES) {
                let (to, from) = (self.sums[i..].as_mut_ptr(), later.sums[i..].as_ptr());
                // SAFETY: a padded row is whole vectors.
                unsafe {
                    let scaled = S::mul(S::load(to), S::splat(ours));
                    S::store(to, S::fma(S::load(from), S::splat(theirs), scaled));
                }
            }
        }
    }

    /// Writes the weighted means, sums divided by the sums of weights, to `[tokens, width]`.
    #[inline(always)]
    pub(super) unsafe fn write(&self, heads: Heads, kv_head: usize, out: *mut f32, width: usize) {
        let d_padded = self.sums.len() / self.largest.len();
        for (row, sums) in self.sums.chunks_exact(d_padded).enumerate() {
            let (head_offset, inverse) = (head_offset(heads, kv_head, row, width), 1.0 / self.total[row]);
            for (i, sum) in sums[..heads.d].iter().enumerate() {
                // SAFETY: `out` has a place for every row and head of the tile.
                unsafe { *out.add(head_offset + i) = sum * inverse }
            }
        }
    }
}

/// Combines the partial results of a tile's splits, in ascending order.
pub(in crate::kernels) struct CombineTask<'a> {
    /// The partial results one after the other, [`partial_len`] floats each. The first is
    /// overwritten.
    pub(in crate::kernels) partials: &'a mut [f32],
    pub(in crate::kernels) rows: usize,
    pub(in crate::kernels) kv_head: usize,
    pub(in crate::kernels) shape: KvShape,
    /// `[tokens, out_width]`; the task writes its heads only.
    pub(in crate::kernels) out: *mut f32,
    pub(in crate::kernels) out_width: usize,
}

impl Kernel for CombineTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (rows, d_padded) = (self.rows, self.shape.d_padded());
        let (first, others) = self.partials.split_at_mut(partial_len(rows, self.shape));
        let mut state = State::new(first, rows, d_padded);
        // SAFETY: the caller's.
        unsafe {
            for later in others.chunks_exact_mut(partial_len(rows, self.shape)) {
                state.fold::<S>(&State::new(later, rows, d_padded));
            }
            state.write(self.shape.heads, self.kv_head, self.out, self.out_width);
        }
    }
}

/// Returns where the head of row `row` of a tile starts in a row of all query heads, `width` wide.
pub(super) fn head_offset(heads: Heads, kv_head: usize, row: usize, width: usize) -> usize {
    let group = heads.n_q / heads.n_kv;
    row / group * width + (kv_head * group + row % group) * heads.d
}

/// Returns `e^x` of one number, computed by the steps of a vector.
#[inline(always)]
pub(super) unsafe fn exp_one<S: Simd>(x: f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    // SAFETY: the caller's; a vector has at most 16 lanes.
    unsafe { S::store(lanes.as_mut_ptr(), exp::<S>(S::splat(x))) };
    lanes[0]
}
