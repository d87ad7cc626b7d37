//! The product of f32 activations with float weights: register tiles of up to `TILE_ROWS` rows by
//! two vectors of outputs.

use super::destination::Destination;
use super::simd::{Kernel, Simd};
use super::tile::{Element, accumulate};
use std::ops::Range;

/// The bytes of the panels that a tile of rows goes through before the next tile does. They stay in
/// the L2 cache for all tiles, while the rows of a tile stay in the L1 cache for all panels.
const KEPT_BYTES: usize = 64 << 10;

/// A rectangle of a product: some rows by some panels.
pub(in crate::kernels) struct LinearTask<'a, E> {
    /// The activations `[t, inputs]`.
    pub(in crate::kernels) x: &'a [f32],
    pub(in crate::kernels) rows: Range<usize>,
    pub(in crate::kernels) inputs: usize,
    /// All panels, `[panel, inputs, 2 * LANES]`.
    pub(in crate::kernels) panels: *const E,
    /// The panels to multiply.
    pub(in crate::kernels) range: Range<usize>,
    pub(in crate::kernels) to: Destination<'a>,
}

/// Cuts `rows` into blocks of nearly equal height, at most `$most` (16 rows are 8 + 8, not 12 + 4),
/// and runs `$self.$method::<S, height>(.., first)` on each, which is unsafe.
macro_rules! by_height {
    ($rows:expr, $most:expr, $self:ident . $method:ident ( $argument:expr ), [$($height:literal)*]) => {{
        let rows = $rows;
        let blocks = rows.len().div_ceil($most);
        for block in 0..blocks {
            let first = rows.start + rows.len() * block / blocks;
            let end = rows.start + rows.len() * (block + 1) / blocks;
            match end - first {
                // The guard drops the heights that the kernel set has no registers for.
                $($height if $height <= $most => $self.$method::<S, $height>($argument, first),)*
                _ => unreachable!("a tile is at most as high as there are registers for"),
            }
        }
    }};
}
pub(super) use by_height;

impl<E: Element> Kernel for LinearTask<'_, E> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let panel_bytes = self.inputs * 2 * S::LANES * size_of::<E>();
        let together = (KEPT_BYTES / panel_bytes.max(1)).max(1);
        for first in self.range.clone().step_by(together) {
            let panels = first..self.range.end.min(first + together);
            // SAFETY: the caller's.
            unsafe { by_height!(self.rows.clone(), S::TILE_ROWS, self.tile(&panels), [1 2 3 4 5 6 7 8 9 10 11 12]) }
        }
    }
}

impl<E: Element> LinearTask<'_, E> {
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize>(&self, panels: &Range<usize>, first: usize) {
        let width = 2 * S::LANES;
        // SAFETY: the panels and the R rows from `first` are inside the matrices.
        unsafe {
            let x = self.x.as_ptr().add(first * self.inputs);
            let a: [*const f32; R] = std::array::from_fn(|r| x.add(r * self.inputs));
            for panel in panels.clone() {
                let b = self.panels.add(panel * self.inputs * width);
                let mut acc = [[S::splat(0.0); 2]; R];
                accumulate::<S, E, R, 2>(&mut acc, self.inputs, a, [b, b.add(S::LANES)], width, None);
                for (r, sums) in acc.iter().enumerate() {
                    self.to.take::<S>(first + r, panel, *sums);
                }
            }
        }
    }
}
