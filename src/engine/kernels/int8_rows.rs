//! Activations as signed bytes, for products with quantized weights.

use super::Compute;
use super::compute::part;
use super::cpu::int8_rows::QuantizeTask;
use super::matrix::{Buffer, Matrix, Shared};

/// Activations that share a scale; the weights of Q8_0 and of a part of Q4_K do, too.
pub(super) const BLOCK: usize = 32;

/// Rows that lie together. A kernel may read a whole tile even where the matrix ends within it; it must not use what it finds
/// there.
pub(super) const TILE: usize = 16;

/// What quantizing a number costs, in multiply-adds.
const QUANTIZE_COST: usize = 16;

/// A matrix `[t, inputs]` of which every 32 numbers of a row are `scale * byte`, bytes from -127 to 127, `scale` being a 127th
/// of the largest of them. The row's last block is padded with zeros.
///
/// What is not a number becomes the byte 0: bytes have no way to say it. It cannot come from a file, since weights that are not finite are
/// refused, and a row of them would spoil no other row; products of floats and of bf16 hand it on.
///
/// Rows lie in tiles of 16, block by block: the bytes are `[tile, block, 16, 32]`, and what there is one of per block is
/// `[tile, block, 16]`. So the next block of a row is `TILE` places on.
#[derive(Default)]
pub(super) struct Int8Rows {
    rows: usize,
    blocks: usize,
    bytes: Buffer,
    scales: Buffer,
    biases: Buffer,
    shifts: Buffer,
}

impl Int8Rows {
    /// Takes the first `rows` rows of `x`, each padded to `blocks` blocks.
    pub(super) fn fill(&mut self, compute: &Compute, x: &Matrix, rows: usize, blocks: usize) {
        (self.rows, self.blocks) = (rows, blocks);
        let places = rows.next_multiple_of(TILE) * blocks;
        self.bytes.reach(places * BLOCK / size_of::<f32>());
        let [scales, biases, shifts] = [&mut self.scales, &mut self.biases, &mut self.shifts].map(|buffer| {
            buffer.reach(places);
            Shared::new(buffer.as_mut_slice())
        });
        let bytes = Shared::new(self.bytes.as_mut_slice());
        // Tasks share no cache line: each has some blocks of a tile of rows.
        let tiles = rows.div_ceil(TILE);
        let pieces = (2 * compute.threads()).div_ceil(tiles.max(1)).min(blocks);
        compute.parallel(tiles * pieces, QUANTIZE_COST * rows * blocks * BLOCK, |task| {
            let (tile, blocks) = (task / pieces, part(blocks, pieces, task % pieces));
            for row in tile * TILE..rows.min((tile + 1) * TILE) {
                let at = place(row, self.blocks) + blocks.start * TILE;
                // SAFETY: every block of a row has one task and places of its own in the four buffers.
                unsafe {
                    let quantize = QuantizeTask {
                        x: &x.row(row)[(blocks.start * BLOCK).min(x.cols())..(blocks.end * BLOCK).min(x.cols())],
                        blocks: blocks.len(),
                        bytes: bytes.get().cast::<[i8; BLOCK]>().add(at),
                        scales: scales.get().add(at),
                        biases: biases.get().cast::<i32>().add(at),
                        shifts: shifts.get().add(at),
                    };
                    compute.kernels().run_on_bytes(quantize);
                }
            }
        });
    }

    /// Blocks per row.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// How far the numbers of a row's first block are from those of the first row's.
    pub(super) fn place(&self, row: usize) -> usize {
        debug_assert!(row < self.rows);
        place(row, self.blocks)
    }

    /// The bytes of a row's first block.
    pub(super) fn bytes(&self, row: usize) -> *const u8 {
        debug_assert!(row < self.rows);
        self.bytes.as_slice().as_ptr().cast::<u8>().wrapping_add(place(row, self.blocks) * BLOCK)
    }

    /// The scale of a row's first block.
    pub(super) fn scales(&self, row: usize) -> *const f32 {
        self.scales.as_slice()[place(row, self.blocks)..].as_ptr()
    }

    /// What a product with a row's first block starts from: `-BIAS` times the sum of its bytes, which takes away what the kernel set's
    /// products of bytes add.
    pub(super) fn biases(&self, row: usize) -> *const i32 {
        self.biases.as_slice()[place(row, self.blocks)..].as_ptr().cast()
    }

    /// What weights that are all one too large add to the product with a row's first block, negated: `-scale * sum`.
    pub(super) fn shifts(&self, row: usize) -> *const f32 {
        self.shifts.as_slice()[place(row, self.blocks)..].as_ptr()
    }
}

/// Where a row's first block lies, counted in blocks.
fn place(row: usize, blocks: usize) -> usize {
    row / TILE * TILE * blocks + row % TILE
}
