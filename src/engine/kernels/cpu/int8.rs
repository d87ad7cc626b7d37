//! The product of signed bytes with quantized weights: register tiles of up to `BYTE_ROWS` rows by two vectors of outputs. The
//! sums within a block of 32 inputs are exact integers; the blocks are added up in f32 in ascending order, one multiply-add
//! chain per output. So the result does not depend on the tile, nor on which instructions make the integers.

use super::destination::Destination;
use super::linear::by_height;
use super::simd::{Kernel, Simd};
use crate::engine::kernels::int8_rows::{BLOCK, Int8Rows};
use crate::engine::kernels::panels::{PartLayout, Q4_PARTS};
use std::ops::Range;

/// A rectangle of a product: some rows by some panels.
pub(in crate::engine::kernels) struct Int8Task<'a> {
    pub(in crate::engine::kernels) x: &'a Int8Rows,
    pub(in crate::engine::kernels) rows: Range<usize>,
    /// All panels, as `panels` packs them.
    pub(in crate::engine::kernels) panels: &'a [u8],
    pub(in crate::engine::kernels) layout: PartLayout,
    /// Which panels.
    pub(in crate::engine::kernels) range: Range<usize>,
    pub(in crate::engine::kernels) to: Destination<'a>,
}

impl Kernel for Int8Task<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        #[cfg(target_arch = "x86_64")]
        if S::TILES
            && let Some(tiles) = super::amx::Tiles::new(self.rows.len())
        {
            for panel in self.range.clone() {
                // SAFETY: the caller's; the set has tiles.
                unsafe { tiles.run::<S>(&self, panel) };
            }
            return;
        }
        for panel in self.range.clone() {
            match self.layout {
                PartLayout::Q8_0 => by_height!(self.rows.clone(), S::BYTE_ROWS, self.q8_0(panel), [1 2 3 4 5]),
                PartLayout::Q4K => by_height!(self.rows.clone(), S::BYTE_ROWS, self.q4_k(panel), [1 2 3 4 5]),
            }
        }
    }
}

/// How far ahead of the products the weights are asked for, in bytes: the processor itself looks ahead too little while it
/// computes, and never beyond a page.
const AHEAD: usize = 8192;

/// Asks for `bytes` bytes of weights `AHEAD` of `part`.
#[inline(always)]
pub(super) unsafe fn prefetch<S: Simd>(part: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(64) {
        // SAFETY: the caller's.
        unsafe { S::prefetch(part.wrapping_add(AHEAD + line)) }
    }
}

/// What the tiles of both formats read of R rows.
struct Activations<const R: usize> {
    bytes: [*const u8; R],
    scales: [*const f32; R],
    sums: [*const i32; R],
}

impl<const R: usize> Activations<R> {
    #[inline(always)]
    unsafe fn quad<S: Simd>(&self, r: usize, block: usize, quad: usize) -> S::I {
        // SAFETY: the block is inside the row.
        unsafe { S::int_splat(self.bytes[r].add(block * BLOCK + 4 * quad).cast::<i32>().read_unaligned()) }
    }
}

impl Int8Task<'_> {
    fn activations<const R: usize>(&self, first: usize) -> Activations<R> {
        Activations {
            bytes: std::array::from_fn(|r| self.x.bytes(first + r)),
            scales: std::array::from_fn(|r| self.x.scales(first + r)),
            sums: std::array::from_fn(|r| self.x.sums(first + r)),
        }
    }

    /// The bytes of a panel.
    pub(super) fn panel<S: Simd>(&self, panel: usize) -> *const u8 {
        let bytes = self.layout.panel_bytes(self.x.blocks(), 2 * S::LANES);
        self.panels[panel * bytes..(panel + 1) * bytes].as_ptr()
    }

    #[inline(always)]
    unsafe fn q8_0<S: Simd, const R: usize>(&self, panel: usize, first: usize) {
        let width = 2 * S::LANES;
        let x = self.activations::<R>(first);
        // SAFETY: `panel` and the R rows from `first` are inside the matrices.
        unsafe {
            let mut part = self.panel::<S>(panel);
            let mut acc = [[S::splat(0.0); 2]; R];
            for block in 0..self.x.blocks() {
                if first == self.rows.start {
                    prefetch::<S>(part, (2 + BLOCK) * width);
                }
                let quads = part.add(2 * width);
                let mut ints: [[S::I; 2]; R] =
                    std::array::from_fn(|r| [S::int_splat(-S::BIAS * *x.sums[r].add(block)); 2]);
                for quad in 0..BLOCK / 4 {
                    let at = quads.add(quad * 4 * width);
                    let weights = [S::int_load(at), S::int_load(at.add(4 * S::LANES))];
                    for (r, ints) in ints.iter_mut().enumerate() {
                        let x = x.quad::<S>(r, block, quad);
                        *ints = [S::dot(ints[0], weights[0], x), S::dot(ints[1], weights[1], x)];
                    }
                }
                let factors = [S::load_f16(part.cast()), S::load_f16(part.cast::<u16>().add(S::LANES))];
                for r in 0..R {
                    let scale = S::splat(*x.scales[r].add(block));
                    for c in 0..2 {
                        acc[r][c] = S::fma(S::to_float(ints[r][c]), S::mul(factors[c], scale), acc[r][c]);
                    }
                }
                part = part.add((2 + BLOCK) * width);
            }
            for (r, sums) in acc.iter().enumerate() {
                self.to.take::<S>(first + r, panel, *sums);
            }
        }
    }

    #[inline(always)]
    unsafe fn q4_k<S: Simd, const R: usize>(&self, panel: usize, first: usize) {
        let width = 2 * S::LANES;
        let x = self.activations::<R>(first);
        // SAFETY: `panel` and the R rows from `first` are inside the matrices.
        unsafe {
            let mut part = self.panel::<S>(panel);
            let mut acc = [[S::splat(0.0); 2]; R];
            for group in 0..self.x.blocks() / Q4_PARTS {
                let halves = part.cast::<u16>();
                let scales = [S::load_f16(halves), S::load_f16(halves.add(S::LANES))];
                let minima = [S::load_f16(halves.add(width)), S::load_f16(halves.add(width + S::LANES))];
                part = part.add(4 * width);
                for block in group * Q4_PARTS..(group + 1) * Q4_PARTS {
                    if first == self.rows.start {
                        prefetch::<S>(part, (2 + BLOCK / 2) * width);
                    }
                    let nibbles = part.add(2 * width);
                    let mut ints = [[S::int_splat(0); 2]; R];
                    for pair in 0..BLOCK / 8 {
                        let at = nibbles.add(pair * 4 * width);
                        let bytes = [S::int_load(at), S::int_load(at.add(4 * S::LANES))];
                        let (low, high) = (bytes.map(|b| S::low_halves(b)), bytes.map(|b| S::high_halves(b)));
                        for (r, ints) in ints.iter_mut().enumerate() {
                            let x = [0, BLOCK / 8].map(|from| x.quad::<S>(r, block, from + pair));
                            for (c, ints) in ints.iter_mut().enumerate() {
                                *ints = S::dot_unsigned(*ints, low[c], x[0]);
                                *ints = S::dot_unsigned(*ints, high[c], x[1]);
                            }
                        }
                    }
                    let [factors, offsets] = q4_factors::<S>(part, scales, minima);
                    for r in 0..R {
                        let (scale, total) = (*x.scales[r].add(block), *x.sums[r].add(block));
                        let (scale, total) = (S::splat(scale), S::splat(-scale * total as f32));
                        for c in 0..2 {
                            acc[r][c] = S::fma(S::to_float(ints[r][c]), S::mul(factors[c], scale), acc[r][c]);
                            acc[r][c] = S::fma(total, offsets[c], acc[r][c]);
                        }
                    }
                    part = part.add((2 + BLOCK / 2) * width);
                }
            }
            for (r, sums) in acc.iter().enumerate() {
                self.to.take::<S>(first + r, panel, *sums);
            }
        }
    }
}

/// The factors and minima of a part, from its 6-bit numbers and those of the group of parts.
#[inline(always)]
pub(super) unsafe fn q4_factors<S: Simd>(part: *const u8, scales: [S::V; 2], minima: [S::V; 2]) -> [[S::V; 2]; 2] {
    // SAFETY: a part starts with two bytes per output.
    unsafe {
        let at = |vector: usize| S::load_bytes(part.add(vector * S::LANES));
        [[S::mul(scales[0], at(0)), S::mul(scales[1], at(1))], [S::mul(minima[0], at(2)), S::mul(minima[1], at(3))]]
    }
}
