//! How products go through packed weights: a strip of rows goes through a panel together, in
//! register tiles, a few blocks of inputs after the other. What a tile does with a block is a
//! [`Blocks`]'; where it is in memory by then is decided here.

use super::compute::part;
use super::destination::Destination;
use super::linear::by_height;
use super::simd::Simd;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Rows that go through a panel together, in several tiles.
const STRIP: usize = 40;

/// Blocks that one tile after the other goes through: so few that the weights stay in the
/// first-level cache for all tiles.
const PASS_BLOCKS: usize = 8;

/// With so few rows the weights come from memory as fast as they can: two panels at once, far from
/// each other, are two streams for the processor to read ahead in, and come a fifth faster than
/// one.
const MAX_TWO_STREAM_ROWS: usize = 3;

/// Two vectors of sums for each of P panels.
pub(super) type Sums<S, const P: usize> = [[<S as Simd>::V; 2]; P];

/// A product of rows with panels, block by block of 32 inputs.
pub(super) trait Blocks<S: Simd> {
    /// Rows of a register tile, at most 12.
    const ROWS: usize;

    /// Blocks of a row.
    fn count(&self) -> usize;

    /// Bytes of a block of a panel.
    fn bytes(&self) -> usize;

    /// Adds the products of R rows from `first` on with some blocks of P panels to their sums, one
    /// multiply-add chain per output in ascending order, and asks for what [`Prefetch`] says along the
    /// way.
    ///
    /// # Safety
    /// The rows, blocks and panels are there; called inside `S::vectorize`.
    unsafe fn multiply<const R: usize, const P: usize>(
        &self,
        sums: [Sums<S, P>; R],
        first: usize,
        blocks: Range<usize>,
        panels: [usize; P],
        prefetch: Prefetch,
    ) -> [Sums<S, P>; R];
}

/// Multiplies a rectangle: some rows by some panels.
///
/// # Safety
/// They are there, and `to` has room; called inside `S::vectorize`.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd, B: Blocks<S>>(
    blocks: &B,
    rows: Range<usize>,
    mut panels: Range<usize>,
    to: Destination<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        if rows.len() <= MAX_TWO_STREAM_ROWS {
            for panels in stream_pairs(&mut panels) {
                Streams { blocks, panels, start: rows.start, to }.strip::<S>(rows.clone());
            }
        }
        for panel in panels {
            for first in rows.clone().step_by(STRIP) {
                let strip = first..rows.end.min(first + STRIP);
                Streams { blocks, panels: [panel], start: rows.start, to }.strip::<S>(strip);
            }
        }
    }
}

/// Takes the panels by two, the first of each pair from the first half of them. An odd one is left
/// over.
pub(super) fn stream_pairs(panels: &mut Range<usize>) -> impl Iterator<Item = [usize; 2]> + use<> {
    let (first, half) = (panels.start, panels.len() / 2);
    panels.start += 2 * half;
    (first..first + half).map(move |panel| [panel, panel + half])
}

/// How far ahead of the products the weights are asked for where they go through tiles, in bytes,
/// all streams together: the processor itself looks ahead too little while it computes, and never
/// beyond a page.
pub(super) const PREFETCH_BYTES: usize = 8192;

/// How far ahead vectors ask for them, and into the second-level cache. On Zen 4 ten rows of bytes
/// from memory are multiplied at 155 GMAC/s a core so, and at 98 if they are asked for into the
/// first level, 8 KB ahead and by the first tile only; of one row, which does nothing but read, the
/// processor itself keeps better track (28.7 GB/s, and 22 with any of this).
const L2_PREFETCH_BYTES: usize = 32768;

/// What a tile of vectors asks for of every block: the lines from `from` to `to`, counted from the
/// block's first. Every tile has a share, so that memory is never asked for more than it gives at a
/// time.
#[derive(Clone, Copy)]
pub(super) struct Prefetch {
    from: usize,
    to: usize,
}

impl Prefetch {
    /// Of `bytes` bytes of one of `streams`, in tile number `tile` of `tiles`.
    fn new<S: Simd>(bytes: usize, streams: usize, tile: usize, tiles: usize) -> Self {
        let lines = match (S::INT8_TILES, streams) {
            (true, _) if tile == 0 => 0..bytes.div_ceil(64),
            (false, 1) => part(bytes / 64, tiles, tile),
            _ => 0..0,
        };
        Self { from: lines.start, to: lines.end }
    }

    /// Asks for it; `block` is the one that is multiplied now.
    #[inline(always)]
    pub(super) unsafe fn issue<S: Simd>(self, block: *const u8, streams: usize) {
        for line in self.from..self.to {
            // SAFETY: the caller's.
            unsafe {
                if S::INT8_TILES {
                    S::prefetch_l1(block.wrapping_add(PREFETCH_BYTES / streams + 64 * line));
                } else {
                    S::prefetch_l2(block.wrapping_add(L2_PREFETCH_BYTES + 64 * line));
                }
            }
        }
    }
}

/// P panels, read side by side.
struct Streams<'a, B, const P: usize> {
    blocks: &'a B,
    panels: [usize; P],
    /// The product's first row.
    start: usize,
    to: Destination<'a>,
}

/// Some blocks of a product, for all rows of a strip.
struct Pass<'a, S: Simd, const P: usize> {
    blocks: Range<usize>,
    /// The rows of the strip.
    rows: Range<usize>,
    /// By row of the strip; what is there before the first block is never read. (To clear it would
    /// be a tenth of a small product.)
    sums: &'a mut [MaybeUninit<Sums<S, P>>; STRIP],
}

impl<S: Simd, const P: usize> Pass<'_, S, P> {
    /// The sums of R rows from `first` on, so far.
    #[inline(always)]
    unsafe fn sums<const R: usize>(&self, first: usize) -> [Sums<S, P>; R] {
        let sums = &self.sums[first - self.rows.start..][..R];
        // SAFETY: the caller's; every pass but the first comes after one that has written them.
        unsafe {
            std::array::from_fn(|r| match self.blocks.start {
                0 => [[S::splat(0.0); 2]; P],
                _ => sums[r].assume_init(),
            })
        }
    }

    /// What the tile from `first` on asks for, if the strip is the first that meets the weights:
    /// `start` is the product's first row.
    #[inline(always)]
    fn prefetch<B: Blocks<S>>(&self, first: usize, start: usize, blocks: &B) -> Prefetch {
        if self.rows.start != start {
            return Prefetch { from: 0, to: 0 };
        }
        let tiles = self.rows.len().div_ceil(B::ROWS);
        let tile = ((first - start) * tiles).div_ceil(self.rows.len());
        Prefetch::new::<S>(blocks.bytes(), P, tile, tiles)
    }

    /// Keeps them.
    #[inline(always)]
    fn keep<const R: usize>(&mut self, first: usize, sums: [Sums<S, P>; R]) {
        for (to, sums) in self.sums[first - self.rows.start..][..R].iter_mut().zip(sums) {
            to.write(sums);
        }
    }
}

impl<B, const P: usize> Streams<'_, B, P> {
    /// The product of a strip of rows.
    #[inline(always)]
    unsafe fn strip<S: Simd>(&self, rows: Range<usize>)
    where
        B: Blocks<S>,
    {
        // SAFETY: the caller's.
        unsafe {
            let mut sums = [const { MaybeUninit::uninit() }; STRIP];
            let blocks = self.blocks.count();
            let step = if rows.len() <= B::ROWS { blocks } else { PASS_BLOCKS };
            for from in (0..blocks).step_by(step) {
                let mut pass = Pass { blocks: from..blocks.min(from + step), rows: rows.clone(), sums: &mut sums };
                by_height!(rows.clone(), B::ROWS, self.tile(&mut pass), [1 2 3 4 5 6 7 8 9 10 11 12]);
            }
            for (row, sums) in rows.zip(&sums) {
                // Vector by vector: a copy of the whole would be read before it is written.
                let sums = sums.assume_init_ref();
                for (panel, sums) in self.panels.iter().zip(sums) {
                    self.to.take::<S>(row, *panel, *sums);
                }
            }
        }
    }

    /// Adds a pass's products of R rows from `first` to their sums.
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize>(&self, pass: &mut Pass<'_, S, P>, first: usize)
    where
        B: Blocks<S>,
    {
        let prefetch = pass.prefetch(first, self.start, self.blocks);
        // SAFETY: the caller's.
        unsafe {
            let sums = pass.sums::<R>(first);
            let sums = self.blocks.multiply::<R, P>(sums, first, pass.blocks.clone(), self.panels, prefetch);
            pass.keep(first, sums);
        }
    }
}
