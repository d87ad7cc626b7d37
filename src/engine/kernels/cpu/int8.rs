//! int8 GEMM with quantized weights: register tiles of up to `INT8_TILE_ROWS` rows by two vectors
//! of outputs. The sums within a block of 32 inputs are exact integers. The blocks are added up in
//! f32 in ascending order, one multiply-add chain per output. So the result depends neither on the
//! tile nor on the instructions that compute the integers.

use super::destination::Destination;
use super::simd::{Kernel, Simd};
use super::strip::{self, Blocks, Prefetch, Sums};
use crate::kernels::layout::int8_rows::{BLOCK, Int8Rows, TILE};
use crate::kernels::layout::panels::{PartLayout, Q4_PARTS};
use std::ops::Range;

/// A rectangle of a product: some rows by some panels.
pub(in crate::kernels) struct Int8Task<'a> {
    pub(in crate::kernels) x: &'a Int8Rows,
    pub(in crate::kernels) rows: Range<usize>,
    /// All panels, as `panels` packs them.
    pub(in crate::kernels) panels: &'a [u8],
    pub(in crate::kernels) layout: PartLayout,
    /// The panels to multiply.
    pub(in crate::kernels) range: Range<usize>,
    pub(in crate::kernels) to: Destination<'a>,
}

impl Kernel for Int8Task<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        #[cfg(target_arch = "x86_64")]
        if S::INT8_TILES && super::amx::worth_it(self.rows.len()) {
            // SAFETY: the caller's; the set has tiles.
            return unsafe { super::amx::run::<S>(&self) };
        }
        // SAFETY: the caller's.
        unsafe { strip::multiply::<S, Self>(&self, self.rows.clone(), self.range.clone(), self.to) }
    }
}

/// What the tiles of both formats read of R rows, in one block of each.
#[derive(Clone, Copy)]
struct Activations<const R: usize> {
    /// The int8 numbers of the matrix's first row.
    bytes: *const u8,
    scales: *const f32,
    biases: *const i32,
    shifts: *const f32,
    /// The index of each row's block, counted from the first row's. Its int8 numbers are 32 times
    /// as far.
    at: [usize; R],
}

impl<const R: usize> Activations<R> {
    /// Reads the rows from `first` on.
    #[inline(always)]
    fn new(x: &Int8Rows, first: usize, block: usize) -> Self {
        let start = Self {
            bytes: x.bytes(0),
            scales: x.scales(0),
            biases: x.biases(0),
            shifts: x.shifts(0),
            at: std::array::from_fn(|r| x.block_index(first + r)),
        };
        start.later(block)
    }

    /// Returns the same rows `blocks` blocks further on.
    #[inline(always)]
    fn later(self, blocks: usize) -> Self {
        let blocks_apart = blocks * TILE;
        Self {
            bytes: self.bytes.wrapping_add(blocks_apart * BLOCK),
            scales: self.scales.wrapping_add(blocks_apart),
            biases: self.biases.wrapping_add(blocks_apart),
            shifts: self.shifts.wrapping_add(blocks_apart),
            ..self
        }
    }

    #[inline(always)]
    unsafe fn quad<S: Simd>(&self, r: usize, quad: usize) -> S::I {
        // SAFETY: the block is inside the row.
        unsafe { S::int_splat(self.bytes.add(self.at[r] * BLOCK + 4 * quad).cast::<i32>().read_unaligned()) }
    }
}

impl Int8Task<'_> {
    /// Returns the bytes of a panel.
    pub(super) fn panel<S: Simd>(&self, panel: usize) -> *const u8 {
        let bytes = self.layout.panel_bytes(self.x.blocks(), 2 * S::LANES);
        self.panels[panel * bytes..(panel + 1) * bytes].as_ptr()
    }
}

impl<S: Simd> Blocks<S> for Int8Task<'_> {
    const ROWS: usize = S::INT8_TILE_ROWS;

    fn count(&self) -> usize {
        self.x.blocks()
    }

    fn bytes(&self) -> usize {
        match self.layout {
            PartLayout::Q8_0 => (2 + BLOCK) * 2 * S::LANES,
            PartLayout::Q4K => Q4Panel::<S>::PART,
        }
    }

    #[inline(always)]
    unsafe fn multiply<const R: usize, const P: usize>(
        &self,
        sums: [Sums<S, P>; R],
        first: usize,
        blocks: Range<usize>,
        panels: [usize; P],
        prefetch: Prefetch,
    ) -> [Sums<S, P>; R] {
        let x = Activations::<R>::new(self.x, first, blocks.start);
        let panels = panels.map(|panel| self.panel::<S>(panel));
        // SAFETY: the caller's.
        unsafe {
            match self.layout {
                PartLayout::Q8_0 => q8_0::<S, R, P>(sums, blocks, x, panels, prefetch),
                PartLayout::Q4K => q4_k::<S, R, P>(sums, blocks, x, panels, prefetch),
            }
        }
    }
}

/// Returns whether a tile of R rows goes through its two vectors of outputs one after the other.
/// One or two rows do not: they have the registers for both, and wait for the weights.
#[inline(always)]
const fn one_vector<S: Simd, const R: usize>() -> bool {
    S::INT8_ONE_VECTOR && R > 2
}

#[inline(always)]
unsafe fn q8_0<S: Simd, const R: usize, const P: usize>(
    mut acc: [Sums<S, P>; R],
    blocks: Range<usize>,
    mut x: Activations<R>,
    panels: [*const u8; P],
    prefetch: Prefetch,
) -> [Sums<S, P>; R] {
    let width = 2 * S::LANES;
    let part_bytes = (2 + BLOCK) * width;
    // SAFETY: the panels and the R rows are inside the matrices.
    unsafe {
        let mut parts = panels.map(|panel| panel.add(blocks.start * part_bytes));
        for _ in blocks {
            for (p, part) in parts.iter_mut().enumerate() {
                prefetch.issue::<S>(*part, P);
                let quads = part.add(2 * width);
                let mut ints: [[S::I; 2]; R] = std::array::from_fn(|r| [S::int_splat(*x.biases.add(x.at[r])); 2]);
                for quad in 0..BLOCK / 4 {
                    let at = quads.add(quad * 4 * width);
                    let weights = [S::int_load(at), S::int_load(at.add(4 * S::LANES))];
                    for (r, ints) in ints.iter_mut().enumerate() {
                        let x = x.quad::<S>(r, quad);
                        *ints = [S::dot(ints[0], weights[0], x), S::dot(ints[1], weights[1], x)];
                    }
                    S::read_in_order();
                }
                let factors = [S::load_f16(part.cast()), S::load_f16(part.cast::<u16>().add(S::LANES))];
                for r in 0..R {
                    let scale = S::splat(*x.scales.add(x.at[r]));
                    for c in 0..2 {
                        acc[r][p][c] = S::fma(S::to_float(ints[r][c]), S::mul(factors[c], scale), acc[r][p][c]);
                    }
                }
                *part = part.add(part_bytes);
            }
            x = x.later(1);
        }
    }
    acc
}

#[inline(always)]
unsafe fn q4_k<S: Simd, const R: usize, const P: usize>(
    mut acc: [Sums<S, P>; R],
    blocks: Range<usize>,
    mut x: Activations<R>,
    panels: [*const u8; P],
    prefetch: Prefetch,
) -> [Sums<S, P>; R] {
    let width = 2 * S::LANES;
    let panels = panels.map(Q4Panel::<S>::new);
    debug_assert!(blocks.start.is_multiple_of(Q4_PARTS), "a tile starts with a group");
    // SAFETY: the panels and the R rows are inside the matrices.
    unsafe {
        let mut groups = [[[S::splat(0.0); 2]; 2]; P];
        for (at, block) in blocks.enumerate() {
            if at % Q4_PARTS == 0 {
                for (group, panel) in groups.iter_mut().zip(&panels) {
                    *group = panel.group_factors(block);
                }
            }
            for (p, panel) in panels.iter().enumerate() {
                let part = panel.part(block);
                prefetch.issue::<S>(part, P);
                let nibbles = part.add(2 * width);
                let mut ints = [[S::int_splat(0); 2]; R];
                for pair in 0..BLOCK / 8 {
                    let at = nibbles.add(pair * 4 * width);
                    if one_vector::<S, R>() {
                        for c in 0..2 {
                            let bytes = S::int_load(at.add(c * 4 * S::LANES));
                            let (low, high) = (S::low_nibbles(bytes), S::high_nibbles(bytes));
                            for (r, ints) in ints.iter_mut().enumerate() {
                                ints[c] = S::dot_nibbles(ints[c], low, x.quad::<S>(r, pair));
                                ints[c] = S::dot_nibbles(ints[c], high, x.quad::<S>(r, BLOCK / 8 + pair));
                            }
                            S::read_in_order();
                        }
                        continue;
                    }
                    let bytes = [S::int_load(at), S::int_load(at.add(4 * S::LANES))];
                    let low = [S::low_nibbles(bytes[0]), S::low_nibbles(bytes[1])];
                    for (r, ints) in ints.iter_mut().enumerate() {
                        let x = x.quad::<S>(r, pair);
                        *ints = [S::dot_nibbles(ints[0], low[0], x), S::dot_nibbles(ints[1], low[1], x)];
                    }
                    S::read_in_order();
                    let high = [S::high_nibbles(bytes[0]), S::high_nibbles(bytes[1])];
                    for (r, ints) in ints.iter_mut().enumerate() {
                        let x = x.quad::<S>(r, BLOCK / 8 + pair);
                        *ints = [S::dot_nibbles(ints[0], high[0], x), S::dot_nibbles(ints[1], high[1], x)];
                    }
                    S::read_in_order();
                }
                let [mut factors, mut minima] = groups[p];
                for c in 0..2 {
                    factors[c] = S::mul(factors[c], S::load_u8(part.add(c * S::LANES)));
                    minima[c] = S::mul(minima[c], S::load_u8(part.add(width + c * S::LANES)));
                }
                for r in 0..R {
                    let scale = S::splat(*x.scales.add(x.at[r]));
                    let shift = S::splat(*x.shifts.add(x.at[r]));
                    for c in 0..2 {
                        let sums = S::to_float(S::nibble_sums(ints[r][c]));
                        acc[r][p][c] = S::fma(sums, S::mul(factors[c], scale), acc[r][p][c]);
                        acc[r][p][c] = S::fma(shift, minima[c], acc[r][p][c]);
                    }
                }
            }
            x = x.later(1);
        }
    }
    acc
}

/// A panel of Q4_K weights.
#[derive(Clone, Copy)]
pub(super) struct Q4Panel<S> {
    at: *const u8,
    set: std::marker::PhantomData<S>,
}

impl<S: Simd> Q4Panel<S> {
    const WIDTH: usize = 2 * S::LANES;
    /// The bytes of a part of 32 inputs.
    pub(super) const PART: usize = (2 + BLOCK / 2) * Self::WIDTH;
    /// The bytes of a group of 256 inputs.
    const GROUP: usize = 4 * Self::WIDTH + Q4_PARTS * Self::PART;

    pub(super) fn new(at: *const u8) -> Self {
        Self { at, set: std::marker::PhantomData }
    }

    #[inline(always)]
    fn group(&self, block: usize) -> *const u8 {
        self.at.wrapping_add(block / Q4_PARTS * Self::GROUP)
    }

    /// Returns the start of a part: two bytes per output, then the nibbles.
    #[inline(always)]
    pub(super) fn part(&self, block: usize) -> *const u8 {
        self.group(block).wrapping_add(4 * Self::WIDTH + block % Q4_PARTS * Self::PART)
    }

    /// Returns the factors of a group's scales and of its minima, for both vectors of outputs.
    #[inline(always)]
    unsafe fn group_factors(&self, block: usize) -> [[S::V; 2]; 2] {
        let halves = self.group(block).cast::<u16>();
        // SAFETY: the caller's.
        unsafe {
            let mut factors = [[S::splat(0.0); 2]; 2];
            for (i, factor) in factors.as_flattened_mut().iter_mut().enumerate() {
                *factor = S::load_f16(halves.add(i * S::LANES));
            }
            factors
        }
    }

    /// Returns the scales and the minima of a part for one vector of outputs, which are products of
    /// its own bytes and the group's factors. Only the tiles of AMX read them part by part.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) unsafe fn factors(&self, block: usize, vector: usize) -> (S::V, S::V) {
        // SAFETY: the caller's.
        unsafe {
            let (halves, bytes) = (self.group(block).cast::<u16>(), self.part(block));
            let of = |row: usize| {
                let at = row * Self::WIDTH + vector * S::LANES;
                S::mul(S::load_f16(halves.add(at)), S::load_u8(bytes.add(at)))
            };
            (of(0), of(1))
        }
    }
}
