//! Activations as bf16, for products of bf16 numbers.

use super::Compute;
use super::cpu::bf16_rows::RoundTask;
use super::int8_rows::{BLOCK, TILE};
use super::matrix::{Buffer, Matrix, Shared};
use std::ops::Range;

/// Rows per task.
const TASK_ROWS: usize = 8;

/// Rows that lie together: two tiles.
pub(super) const STRIP: usize = 2 * TILE;

/// A matrix `[t, inputs]`, every number rounded to the nearest bf16; a row's last block of 32 inputs is padded with zeros. The layout
/// is `[strip, block, row, 32]`, 32 rows to a strip, so that tiles are read in the order in which they lie. A kernel may read a whole
/// tile even where the matrix ends within it.
#[derive(Default)]
pub(super) struct Bf16Rows {
    blocks: usize,
    numbers: Buffer,
}

impl Bf16Rows {
    /// Takes some rows of `x`, each padded to `blocks` blocks; the first of them is row 0 here.
    pub(super) fn fill(&mut self, compute: &Compute, x: &Matrix, rows: Range<usize>, blocks: usize) {
        self.blocks = blocks;
        self.numbers.reach(rows.len().next_multiple_of(STRIP) * blocks * BLOCK / 2);
        let numbers = Shared::new(self.numbers.as_mut_slice());
        compute.parallel(rows.len().div_ceil(TASK_ROWS), rows.len() * blocks * BLOCK, |task| {
            for row in task * TASK_ROWS..rows.len().min((task + 1) * TASK_ROWS) {
                let at = (row / STRIP * STRIP * blocks + row % STRIP) * BLOCK;
                // SAFETY: every row has one task and places of its own in the buffer.
                unsafe {
                    let to = numbers.get().cast::<u16>().add(at).cast();
                    compute.kernels().run(RoundTask { x: x.row(rows.start + row), blocks, to });
                }
            }
        });
    }

    /// Blocks per row.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The first block of a row; the next is [`STRIP`] blocks on.
    pub(super) fn row(&self, row: usize) -> *const u16 {
        let at = (row / STRIP * STRIP * self.blocks + row % STRIP) * BLOCK / 2;
        self.numbers.as_slice()[at..].as_ptr().cast()
    }

    /// A block of the strip that starts with row `first`.
    pub(super) fn strip(&self, first: usize, block: usize) -> *const u16 {
        let at = (first * self.blocks + block * STRIP) * BLOCK / 2;
        self.numbers.as_slice()[at..].as_ptr().cast()
    }
}
