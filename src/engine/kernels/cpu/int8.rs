//! The product of signed bytes with quantized weights: register tiles of up to `BYTE_ROWS` rows by two vectors of outputs. The
//! sums within a block of 32 inputs are exact integers; the blocks are added up in f32 in ascending order, one multiply-add
//! chain per output. So the result does not depend on the tile, nor on which instructions make the integers.

use super::destination::Destination;
use super::linear::by_height;
use super::simd::{Kernel, Simd};
use crate::engine::kernels::compute::part;
use crate::engine::kernels::int8_rows::{BLOCK, Int8Rows, TILE};
use crate::engine::kernels::panels::{PartLayout, Q4_PARTS};
use std::mem::MaybeUninit;
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
        if S::TILES && super::amx::worth_it(self.rows.len()) {
            // SAFETY: the caller's; the set has tiles.
            return unsafe { super::amx::run::<S>(&self) };
        }
        let mut panels = self.range.clone();
        // SAFETY: the caller's.
        unsafe {
            if self.rows.len() <= FEW_ROWS {
                for panels in far_pairs(&mut panels) {
                    Streams { task: &self, panels }.strip::<S>(self.rows.clone());
                }
            }
            for panel in panels {
                for first in self.rows.clone().step_by(STRIP) {
                    let rows = first..self.rows.end.min(first + STRIP);
                    Streams { task: &self, panels: [panel] }.strip::<S>(rows);
                }
            }
        }
    }
}

/// Rows that go through a panel together, in several tiles.
const STRIP: usize = 40;

/// Blocks that one tile after the other goes through: so few that the weights stay in the first-level cache for all tiles.
const TURN: usize = 8;

/// With so few rows the weights come from memory as fast as they can: two panels at once, far from each other, are two streams
/// for the processor to read ahead in, and come a fifth faster than one.
const FEW_ROWS: usize = 3;

/// Takes the panels by two, the first of each pair from the first half of them. An odd one is left over.
pub(super) fn far_pairs(panels: &mut Range<usize>) -> impl Iterator<Item = [usize; 2]> + use<> {
    let (first, half) = (panels.start, panels.len() / 2);
    panels.start += 2 * half;
    (first..first + half).map(move |panel| [panel, panel + half])
}

/// How far ahead of the products the weights are asked for where they go through tiles, in bytes, all streams together: the
/// processor itself looks ahead too little while it computes, and never beyond a page.
pub(super) const AHEAD: usize = 8192;

/// How far ahead vectors ask for them, and into the second-level cache. On Zen 4 ten rows of bytes from memory are multiplied at 155 GMAC/s
/// a core so, and at 98 if they are asked for into the first level, 8 KB ahead and by the first tile only; of one row, which does
/// nothing but read, the processor itself keeps better track (28.7 GB/s, and 22 with any of this).
const FAR_AHEAD: usize = 32768;

/// What a tile of vectors asks for of every block: the lines from `from` to `to`, counted from the block's first. Every tile has a
/// share, so that memory is never asked for more than it gives at a time.
#[derive(Clone, Copy)]
struct Fetch {
    from: usize,
    to: usize,
}

impl Fetch {
    /// Of `bytes` bytes of one of `streams`, in tile number `tile` of `tiles`.
    fn new<S: Simd>(bytes: usize, streams: usize, tile: usize, tiles: usize) -> Self {
        let lines = match (S::TILES, streams) {
            (true, _) if tile == 0 => 0..bytes.div_ceil(64),
            (false, 1) => part(bytes / 64, tiles, tile),
            _ => 0..0,
        };
        Self { from: lines.start, to: lines.end }
    }

    #[inline(always)]
    unsafe fn ahead_of<S: Simd>(self, block: *const u8, streams: usize) {
        for line in self.from..self.to {
            // SAFETY: the caller's.
            unsafe {
                if S::TILES {
                    S::prefetch(block.wrapping_add(AHEAD / streams + 64 * line));
                } else {
                    S::prefetch_second(block.wrapping_add(FAR_AHEAD + 64 * line));
                }
            }
        }
    }
}

/// What the tiles of both formats read of R rows, in one block of each.
#[derive(Clone, Copy)]
struct Activations<const R: usize> {
    /// Of the matrix's first row.
    bytes: *const u8,
    scales: *const f32,
    biases: *const i32,
    shifts: *const f32,
    /// Where a row's numbers are, counted from those of the first row; its bytes are 32 times as far.
    at: [usize; R],
}

impl<const R: usize> Activations<R> {
    /// Of the rows from `first` on.
    #[inline(always)]
    fn new(x: &Int8Rows, first: usize, block: usize) -> Self {
        let start = Self {
            bytes: x.bytes(0),
            scales: x.scales(0),
            biases: x.biases(0),
            shifts: x.shifts(0),
            at: std::array::from_fn(|r| x.place(first + r)),
        };
        start.later(block)
    }

    /// So many blocks on.
    #[inline(always)]
    fn later(self, blocks: usize) -> Self {
        let places = blocks * TILE;
        Self {
            bytes: self.bytes.wrapping_add(places * BLOCK),
            scales: self.scales.wrapping_add(places),
            biases: self.biases.wrapping_add(places),
            shifts: self.shifts.wrapping_add(places),
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
    /// The bytes of a panel.
    pub(super) fn panel<S: Simd>(&self, panel: usize) -> *const u8 {
        let bytes = self.layout.panel_bytes(self.x.blocks(), 2 * S::LANES);
        self.panels[panel * bytes..(panel + 1) * bytes].as_ptr()
    }
}

/// P panels, read side by side.
struct Streams<'a, const P: usize> {
    task: &'a Int8Task<'a>,
    panels: [usize; P],
}

/// Two vectors of sums for each of P panels.
type Sums<S, const P: usize> = [[<S as Simd>::V; 2]; P];

/// Some blocks of a product, for all rows of a strip.
struct Turn<'a, S: Simd, const P: usize> {
    blocks: Range<usize>,
    /// The rows of the strip.
    rows: Range<usize>,
    /// By row of the strip; what is there before the first block is never read. (To clear it would be a tenth of a small product.)
    sums: &'a mut [MaybeUninit<Sums<S, P>>; STRIP],
}

impl<S: Simd, const P: usize> Turn<'_, S, P> {
    /// The sums of R rows from `first` on, so far.
    #[inline(always)]
    unsafe fn sums<const R: usize>(&self, first: usize) -> [Sums<S, P>; R] {
        let sums = &self.sums[first - self.rows.start..][..R];
        // SAFETY: the caller's; every turn but the first comes after one that has written them.
        unsafe {
            std::array::from_fn(|r| match self.blocks.start {
                0 => [[S::splat(0.0); 2]; P],
                _ => sums[r].assume_init(),
            })
        }
    }

    /// What the tile from `first` on asks for, if the strip is the first that meets the weights: `start` is the product's first row.
    #[inline(always)]
    fn fetch(&self, first: usize, start: usize, block_bytes: usize) -> Fetch {
        if self.rows.start != start {
            return Fetch { from: 0, to: 0 };
        }
        let tiles = self.rows.len().div_ceil(S::BYTE_ROWS);
        let tile = ((first - start) * tiles).div_ceil(self.rows.len());
        Fetch::new::<S>(block_bytes, P, tile, tiles)
    }

    /// Keeps them.
    #[inline(always)]
    fn keep<const R: usize>(&mut self, first: usize, sums: [Sums<S, P>; R]) {
        for (to, sums) in self.sums[first - self.rows.start..][..R].iter_mut().zip(sums) {
            to.write(sums);
        }
    }
}

impl<const P: usize> Streams<'_, P> {
    /// The product of a strip of rows.
    #[inline(always)]
    unsafe fn strip<S: Simd>(&self, rows: Range<usize>) {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [const { MaybeUninit::uninit() }; STRIP];
            let blocks = self.task.x.blocks();
            let step = if rows.len() <= S::BYTE_ROWS { blocks } else { TURN };
            for from in (0..blocks).step_by(step) {
                let mut turn = Turn { blocks: from..blocks.min(from + step), rows: rows.clone(), sums: &mut sums };
                by_height!(rows.clone(), S::BYTE_ROWS, self.tile(&mut turn), [1 2 3 4 5]);
            }
            for (row, sums) in rows.zip(&sums) {
                // Vector by vector: a copy of the whole would be read before it is written.
                let sums = sums.assume_init_ref();
                for (panel, sums) in self.panels.iter().zip(sums) {
                    self.task.to.take::<S>(row, *panel, *sums);
                }
            }
        }
    }

    /// Adds a turn's products of R rows from `first` to their sums.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize>(&self, turn: &mut Turn<'_, S, P>, first: usize) {
        let x = Activations::<R>::new(self.task.x, first, turn.blocks.start);
        let block_bytes = match self.task.layout {
            PartLayout::Q8_0 => (2 + BLOCK) * 2 * S::LANES,
            PartLayout::Q4K => Q4Panel::<S>::PART,
        };
        let fetch = turn.fetch(first, self.task.rows.start, block_bytes);
        // SAFETY: the caller's.
        unsafe {
            let (sums, blocks) = (turn.sums::<R>(first), turn.blocks.clone());
            let sums = match self.task.layout {
                PartLayout::Q8_0 => self.q8_0::<S, R>(sums, blocks, x, fetch),
                PartLayout::Q4K => self.q4_k::<S, R>(sums, blocks, x, fetch),
            };
            turn.keep(first, sums);
        }
    }

    #[inline(always)]
    unsafe fn q8_0<S: Simd, const R: usize>(
        &self,
        mut acc: [Sums<S, P>; R],
        blocks: Range<usize>,
        mut x: Activations<R>,
        fetch: Fetch,
    ) -> [Sums<S, P>; R] {
        let width = 2 * S::LANES;
        let part_bytes = (2 + BLOCK) * width;
        // SAFETY: the panels and the R rows are inside the matrices.
        unsafe {
            let mut parts = self.panels.map(|panel| self.task.panel::<S>(panel).add(blocks.start * part_bytes));
            for _ in blocks {
                for (p, part) in parts.iter_mut().enumerate() {
                    fetch.ahead_of::<S>(*part, P);
                    let quads = part.add(2 * width);
                    let mut ints: [[S::I; 2]; R] = std::array::from_fn(|r| [S::int_splat(*x.biases.add(x.at[r])); 2]);
                    for quad in 0..BLOCK / 4 {
                        let at = quads.add(quad * 4 * width);
                        let weights = [S::int_load(at), S::int_load(at.add(4 * S::LANES))];
                        for (r, ints) in ints.iter_mut().enumerate() {
                            let x = x.quad::<S>(r, quad);
                            *ints = [S::dot(ints[0], weights[0], x), S::dot(ints[1], weights[1], x)];
                        }
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
    unsafe fn q4_k<S: Simd, const R: usize>(
        &self,
        mut acc: [Sums<S, P>; R],
        blocks: Range<usize>,
        mut x: Activations<R>,
        fetch: Fetch,
    ) -> [Sums<S, P>; R] {
        let width = 2 * S::LANES;
        let panels = self.panels.map(|panel| Q4Panel::<S>::new(self.task.panel::<S>(panel)));
        // SAFETY: the panels and the R rows are inside the matrices.
        unsafe {
            for block in blocks {
                for (p, panel) in panels.iter().enumerate() {
                    let part = panel.part(block);
                    fetch.ahead_of::<S>(part, P);
                    let nibbles = part.add(2 * width);
                    let mut ints = [[S::int_splat(0); 2]; R];
                    for pair in 0..BLOCK / 8 {
                        let at = nibbles.add(pair * 4 * width);
                        let bytes = [S::int_load(at), S::int_load(at.add(4 * S::LANES))];
                        let (low, high) = (bytes.map(|b| S::low_halves(b)), bytes.map(|b| S::high_halves(b)));
                        for (r, ints) in ints.iter_mut().enumerate() {
                            let x = [0, BLOCK / 8].map(|from| x.quad::<S>(r, from + pair));
                            for (c, ints) in ints.iter_mut().enumerate() {
                                *ints = S::dot_unsigned(*ints, low[c], x[0]);
                                *ints = S::dot_unsigned(*ints, high[c], x[1]);
                            }
                        }
                    }
                    let [(f0, m0), (f1, m1)] = [panel.factors(block, 0), panel.factors(block, 1)];
                    let (factors, minima) = ([f0, f1], [m0, m1]);
                    for r in 0..R {
                        let scale = S::splat(*x.scales.add(x.at[r]));
                        let shift = S::splat(*x.shifts.add(x.at[r]));
                        for c in 0..2 {
                            acc[r][p][c] = S::fma(S::to_float(ints[r][c]), S::mul(factors[c], scale), acc[r][p][c]);
                            acc[r][p][c] = S::fma(shift, minima[c], acc[r][p][c]);
                        }
                    }
                }
                x = x.later(1);
            }
        }
        acc
    }
}

/// A panel of Q4_K.
#[derive(Clone, Copy)]
pub(super) struct Q4Panel<S> {
    at: *const u8,
    set: std::marker::PhantomData<S>,
}

impl<S: Simd> Q4Panel<S> {
    const WIDTH: usize = 2 * S::LANES;
    /// Bytes of 32 inputs.
    pub(super) const PART: usize = (2 + BLOCK / 2) * Self::WIDTH;
    /// Bytes of 256 inputs.
    const GROUP: usize = 4 * Self::WIDTH + Q4_PARTS * Self::PART;

    pub(super) fn new(at: *const u8) -> Self {
        Self { at, set: std::marker::PhantomData }
    }

    #[inline(always)]
    fn group(&self, block: usize) -> *const u8 {
        self.at.wrapping_add(block / Q4_PARTS * Self::GROUP)
    }

    /// Where a block starts: with two bytes per output, before the half bytes.
    #[inline(always)]
    pub(super) fn part(&self, block: usize) -> *const u8 {
        self.group(block).wrapping_add(4 * Self::WIDTH + block % Q4_PARTS * Self::PART)
    }

    /// The scales of a block and its minima, for one vector of outputs: from its own numbers and those of the group.
    #[inline(always)]
    pub(super) unsafe fn factors(&self, block: usize, vector: usize) -> (S::V, S::V) {
        // SAFETY: the caller's.
        unsafe {
            let (halves, bytes) = (self.group(block).cast::<u16>(), self.part(block));
            let of = |row: usize| {
                let at = row * Self::WIDTH + vector * S::LANES;
                S::mul(S::load_f16(halves.add(at)), S::load_bytes(bytes.add(at)))
            };
            (of(0), of(1))
        }
    }
}
