//! Activations as bf16, for products of bf16 numbers.

use super::int8_rows::{BLOCK, TILE};
use super::matrix::{Buffer, Shared};

/// The number of rows that lie together: two tiles.
pub(in crate::kernels) const STRIP: usize = 2 * TILE;

/// A matrix `[t, inputs]`, every number rounded to the nearest bf16. A row's last block of 32
/// inputs is padded with zeros. The layout is `[strip, block, row, 32]` with 32 rows per strip, so
/// that tiles are read in the order in which they lie. A kernel may read a whole tile even where
/// the matrix ends within it.
#[derive(Default)]
pub(in crate::kernels) struct Bf16Rows {
    blocks: usize,
    numbers: Buffer,
}

impl Bf16Rows {
    /// Makes room for `rows` rows of `blocks` blocks each, and returns the memory to write.
    pub(in crate::kernels) fn reach(&mut self, rows: usize, blocks: usize) -> Shared {
        self.blocks = blocks;
        self.numbers.reach(rows.next_multiple_of(STRIP) * blocks * BLOCK / 2);
        Shared::new(self.numbers.as_mut_slice())
    }

    /// Returns the number of blocks per row.
    pub(in crate::kernels) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Returns the first block of a row. The next block is [`STRIP`] blocks further on.
    pub(in crate::kernels) fn row(&self, row: usize) -> *const u16 {
        let at = (row / STRIP * STRIP * self.blocks + row % STRIP) * BLOCK / 2;
        self.numbers.as_slice()[at..].as_ptr().cast()
    }

    /// Returns a block of the strip that starts with row `first`.
    pub(in crate::kernels) fn strip(&self, first: usize, block: usize) -> *const u16 {
        let at = (first * self.blocks + block * STRIP) * BLOCK / 2;
        self.numbers.as_slice()[at..].as_ptr().cast()
    }
}
