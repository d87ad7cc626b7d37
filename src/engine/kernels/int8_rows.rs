//! Activations as signed bytes, for products with quantized weights.

use super::Compute;
use super::cpu::int8_rows::QuantizeTask;
use super::matrix::{Buffer, Matrix, Shared};

/// Activations that share a scale; the weights of Q8_0 and of a part of Q4_K do, too.
pub(super) const BLOCK: usize = 32;

/// Rows of a tile of bytes: a kernel may read so many beyond the last one (never write them).
pub(super) const TILE: usize = 16;

/// Rows per task.
const TASK_ROWS: usize = 8;

/// A matrix `[t, inputs]` of which every 32 numbers of a row are `scale * byte`, bytes from -127 to 127, `scale` being a 127th
/// of the largest of them. The row's last block is padded with zeros.
#[derive(Default)]
pub(super) struct Int8Rows {
    rows: usize,
    blocks: usize,
    bytes: Buffer,
    scales: Buffer,
    sums: Buffer,
}

impl Int8Rows {
    /// Takes the rows of `x`, each padded to `blocks` blocks.
    pub(super) fn fill(&mut self, compute: &Compute, x: &Matrix, blocks: usize) {
        let rows = x.rows();
        (self.rows, self.blocks) = (rows, blocks);
        let padded = rows + 2 * TILE;
        self.bytes.reach(padded * blocks * BLOCK / size_of::<f32>());
        self.scales.reach(padded * blocks);
        self.sums.reach(padded * blocks);
        let (bytes, scales, sums) = (
            Shared::new(self.bytes.as_mut_slice()),
            Shared::new(self.scales.as_mut_slice()),
            Shared::new(self.sums.as_mut_slice()),
        );
        compute.parallel(rows.div_ceil(TASK_ROWS), rows * blocks * BLOCK, |task| {
            for row in task * TASK_ROWS..rows.min((task + 1) * TASK_ROWS) {
                let at = row * blocks;
                // SAFETY: every row has one task and a place of its own in the three buffers.
                unsafe {
                    let bytes = bytes.get().cast::<i8>().add(at * BLOCK);
                    let part = QuantizeTask {
                        x: x.row(row),
                        bytes: std::slice::from_raw_parts_mut(bytes, blocks * BLOCK),
                        scales: std::slice::from_raw_parts_mut(scales.get().add(at), blocks),
                        sums: std::slice::from_raw_parts_mut(sums.get().cast::<i32>().add(at), blocks),
                    };
                    compute.kernels().run(part);
                }
            }
        });
    }

    /// Blocks per row.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The bytes of a row; those of the next row follow.
    pub(super) fn bytes(&self, row: usize) -> *const u8 {
        debug_assert!(row < self.rows);
        self.bytes.as_slice().as_ptr().cast::<u8>().wrapping_add(row * self.blocks * BLOCK)
    }

    /// The scales of a row.
    pub(super) fn scales(&self, row: usize) -> *const f32 {
        self.scales.as_slice()[row * self.blocks..].as_ptr()
    }

    /// The sums of a row's blocks.
    pub(super) fn sums(&self, row: usize) -> *const i32 {
        self.sums.as_slice()[row * self.blocks..].as_ptr().cast()
    }
}
