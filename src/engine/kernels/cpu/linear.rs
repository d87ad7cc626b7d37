//! The matrix product: register tiles of up to `TILE_ROWS` rows by two vectors of outputs.

use super::exp::silu;
use super::simd::{Kernel, Simd};
use super::tile::accumulate;
use std::ops::Range;

/// What a tile does with its sums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::engine::kernels) enum Target {
    /// Writes them.
    Store,
    /// Adds them to what is there.
    Add,
    /// Writes `silu(first vector) * second vector`.
    Gated,
}

/// A rectangle of a product: some rows by some panels.
pub(in crate::engine::kernels) struct LinearTask<'a> {
    /// `[t, inputs]`.
    pub(in crate::engine::kernels) x: &'a [f32],
    pub(in crate::engine::kernels) rows: Range<usize>,
    pub(in crate::engine::kernels) inputs: usize,
    /// All panels: `[panel, inputs, 2 * LANES]`.
    pub(in crate::engine::kernels) panels: &'a [f32],
    /// Which of them.
    pub(in crate::engine::kernels) range: Range<usize>,
    /// One value per output.
    pub(in crate::engine::kernels) bias: Option<&'a [f32]>,
    /// `[t, outputs]`; the task writes its rectangle only.
    pub(in crate::engine::kernels) y: *mut f32,
    pub(in crate::engine::kernels) outputs: usize,
    pub(in crate::engine::kernels) target: Target,
}

impl Kernel for LinearTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let blocks = self.rows.len().div_ceil(S::TILE_ROWS);
        for panel in self.range.clone() {
            for block in 0..blocks {
                // Blocks of nearly equal height: 16 rows are 8 + 8, not 12 + 4.
                let first = self.rows.start + self.rows.len() * block / blocks;
                let end = self.rows.start + self.rows.len() * (block + 1) / blocks;
                macro_rules! by_height {
                    ($($rows:literal)*) => {
                        match end - first {
                            // SAFETY: the caller's. The guard drops heights that the set has no registers for.
                            $($rows if $rows <= S::TILE_ROWS => unsafe { self.tile::<S, $rows>(panel, first) },)*
                            _ => unreachable!("a tile is at most TILE_ROWS high"),
                        }
                    };
                }
                by_height!(1 2 3 4 5 6 7 8 9 10 11 12);
            }
        }
    }
}

impl LinearTask<'_> {
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize>(&self, panel: usize, first: usize) {
        let width = 2 * S::LANES;
        // SAFETY: `panel` and the R rows from `first` are inside the matrices.
        unsafe {
            let x = self.x.as_ptr().add(first * self.inputs);
            let a: [*const f32; R] = std::array::from_fn(|r| x.add(r * self.inputs));
            let b = self.panels.as_ptr().add(panel * self.inputs * width);
            let mut acc = [[S::splat(0.0); 2]; R];
            accumulate::<S, R, 2>(&mut acc, self.inputs, a, [b, b.add(S::LANES)], width);
            for (r, sums) in acc.iter().enumerate() {
                let y = self.y.add((first + r) * self.outputs);
                if self.target == Target::Gated {
                    let value = S::mul(silu::<S>(sums[0]), sums[1]);
                    self.put::<S>(y, panel * S::LANES, value);
                } else {
                    for (c, &value) in sums.iter().enumerate() {
                        self.put::<S>(y, panel * width + c * S::LANES, value);
                    }
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
