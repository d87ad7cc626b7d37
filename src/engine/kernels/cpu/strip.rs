//! How products go through packed weights. A strip of rows goes through a panel in several register
//! tiles, a few blocks of inputs at a time. A [`Blocks`] says what a tile does with a block; this
//! file decides the order and what is prefetched.

use super::compute::part;
use super::destination::Destination;
use super::linear::by_height;
use super::simd::Simd;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The rows that go through a panel together, in several tiles.
const STRIP: usize = 40;

/// The blocks that one tile after the other goes through: so few that the weights stay in the L1
/// cache for all tiles.
const PASS_BLOCKS: usize = 8;

/// Up to so many rows, a product waits for the weights from memory. Reading two panels at once, far
/// from each other, gives the CPU two streams to prefetch, which is a fifth faster than one.
const MAX_TWO_STREAM_ROWS: usize = 3;

/// Two vectors of sums for each of P panels.
pub(super) type Sums<S, const P: usize> = [[<S as Simd>::V; 2]; P];

/// A product of rows with panels, block by block of 32 inputs.
pub(super) trait Blocks<S: Simd> {
    /// The rows of a register tile, at most 12.
    const ROWS: usize;

    /// Returns the number of blocks of a row.
    fn count(&self) -> usize;

    /// Returns the bytes of a block of a panel.
    fn bytes(&self) -> usize;

    /// Adds the products of R rows from `first` on with some blocks of P panels to their sums, one
    /// multiply-add chain per output in ascending order, and prefetches what `prefetch` says.
    ///
    /// # Safety
    /// The rows, blocks and panels must exist; to be called inside `S::vectorize`.
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
/// The rows and panels must exist, and `to` must have room; to be called inside `S::vectorize`.
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

/// Takes the panels in pairs of one from the first half and one from the second. An odd one is left
/// over.
pub(super) fn stream_pairs(panels: &mut Range<usize>) -> impl Iterator<Item = [usize; 2]> + use<> {
    let (first, half) = (panels.start, panels.len() / 2);
    panels.start += 2 * half;
    (first..first + half).map(move |panel| [panel, panel + half])
}

/// How far ahead tiles prefetch weights into the L1 cache, in bytes, for all streams together. The
/// hardware prefetcher alone looks ahead too little while the CPU computes, and never beyond a
/// page.
pub(super) const PREFETCH_BYTES: usize = 8192;

/// How far ahead vectors prefetch weights into the L2 cache, in bytes. On Zen 4, ten rows with int8
/// weights from memory run at 155 GMAC/s per core with this, and at 98 if the first tile alone
/// prefetches into L1, 8 KB ahead. One row only reads, and the hardware prefetcher does better
/// alone (28.7 GB/s against 22 with any prefetching).
const L2_PREFETCH_BYTES: usize = 32768;

/// What one tile prefetches of every block: the cache lines from `from` to `to`, counted from the
/// block's first. Every tile of vectors has a share, so that the requests to memory are spread out.
#[derive(Clone, Copy)]
pub(super) struct Prefetch {
    from: usize,
    to: usize,
}

impl Prefetch {
    /// Returns the share of tile number `tile` of `tiles` in `bytes` bytes of one of `streams`.
    fn new<S: Simd>(bytes: usize, streams: usize, tile: usize, tiles: usize) -> Self {
        let lines = match (S::INT8_TILES, streams) {
            (true, _) if tile == 0 => 0..bytes.div_ceil(64),
            (false, 1) => part(bytes / 64, tiles, tile),
            _ => 0..0,
        };
        Self { from: lines.start, to: lines.end }
    }

    /// Prefetches; `block` is the one that is being multiplied.
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

/// P panels that are read side by side.
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
    /// The sums by row of the strip. They are not initialized before the first block, since
    /// clearing them would take a tenth of a small product's time.
    sums: &'a mut [MaybeUninit<Sums<S, P>>; STRIP],
}

impl<S: Simd, const P: usize> Pass<'_, S, P> {
    /// Returns the sums so far of R rows from `first` on.
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

    /// Returns what the tile from `first` on prefetches. Only the product's first strip does, which
    /// starts at row `start`.
    #[inline(always)]
    fn prefetch<B: Blocks<S>>(&self, first: usize, start: usize, blocks: &B) -> Prefetch {
        if self.rows.start != start {
            return Prefetch { from: 0, to: 0 };
        }
        let tiles = self.rows.len().div_ceil(B::ROWS);
        let tile = ((first - start) * tiles).div_ceil(self.rows.len());
        Prefetch::new::<S>(blocks.bytes(), P, tile, tiles)
    }

    /// Stores the sums of R rows from `first` on.
    #[inline(always)]
    fn keep<const R: usize>(&mut self, first: usize, sums: [Sums<S, P>; R]) {
        for (to, sums) in self.sums[first - self.rows.start..][..R].iter_mut().zip(sums) {
            to.write(sums);
        }
    }
}

impl<B, const P: usize> Streams<'_, B, P> {
    /// Computes the product of a strip of rows.
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
                // Vector by vector, since a copy of all sums would be read before it is written.
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
