//! Activations as signed bytes, for products with quantized weights.

use super::matrix::{Buffer, Shared};

/// Activations that share a scale; the weights of Q8_0 and of a part of Q4_K do, too.
pub(in crate::kernels) const BLOCK: usize = 32;

/// Rows that lie together. A kernel may read a whole tile even where the matrix ends within it; it
/// must not use what it finds there.
pub(in crate::kernels) const TILE: usize = 16;

/// A matrix `[t, inputs]` of which every 32 numbers of a row are `scale * byte`, bytes from -127 to
/// 127, `scale` being a 127th of the largest of them. The row's last block is padded with zeros.
///
/// What is not a number becomes the byte 0: bytes have no way to say it. It cannot come from a
/// file, since weights that are not finite are refused, and a row of them would spoil no other row;
/// products of floats and of bf16 hand it on.
///
/// Rows lie in tiles of 16, block by block: the bytes are `[tile, block, 16, 32]`, and what there
/// is one of per block is `[tile, block, 16]`. So the next block of a row is `TILE` places on.
#[derive(Default)]
pub(in crate::kernels) struct Int8Rows {
    rows: usize,
    blocks: usize,
    bytes: Buffer,
    scales: Buffer,
    biases: Buffer,
    shifts: Buffer,
}

impl Int8Rows {
    /// Makes room for `rows` rows of `blocks` blocks each, and returns it to be written.
    pub(in crate::kernels) fn reach(&mut self, rows: usize, blocks: usize) -> Int8RowsMut {
        (self.rows, self.blocks) = (rows, blocks);
        let blocks_apart = rows.next_multiple_of(TILE) * blocks;
        self.bytes.reach(blocks_apart * BLOCK / size_of::<f32>());
        let [scales, biases, shifts] = [&mut self.scales, &mut self.biases, &mut self.shifts].map(|buffer| {
            buffer.reach(blocks_apart);
            Shared::new(buffer.as_mut_slice())
        });
        Int8RowsMut { bytes: Shared::new(self.bytes.as_mut_slice()), scales, biases, shifts }
    }

    /// Blocks per row.
    pub(in crate::kernels) fn blocks(&self) -> usize {
        self.blocks
    }

    /// How far the numbers of a row's first block are from those of the first row's.
    pub(in crate::kernels) fn block_index(&self, row: usize) -> usize {
        debug_assert!(row < self.rows);
        block_index(row, self.blocks)
    }

    /// The bytes of a row's first block.
    pub(in crate::kernels) fn bytes(&self, row: usize) -> *const u8 {
        debug_assert!(row < self.rows);
        self.bytes.as_slice().as_ptr().cast::<u8>().wrapping_add(block_index(row, self.blocks) * BLOCK)
    }

    /// The scale of a row's first block.
    pub(in crate::kernels) fn scales(&self, row: usize) -> *const f32 {
        self.scales.as_slice()[block_index(row, self.blocks)..].as_ptr()
    }

    /// What a product with a row's first block starts from: `-BIAS` times the sum of its bytes,
    /// which takes away what the kernel set's products of bytes add.
    pub(in crate::kernels) fn biases(&self, row: usize) -> *const i32 {
        self.biases.as_slice()[block_index(row, self.blocks)..].as_ptr().cast()
    }

    /// What weights that are all one too large add to the product with a row's first block,
    /// negated: `-scale * sum`.
    pub(in crate::kernels) fn shifts(&self, row: usize) -> *const f32 {
        self.shifts.as_slice()[block_index(row, self.blocks)..].as_ptr()
    }
}

/// The memory of [`Int8Rows`], to be written by several threads. Block b of a row lies
/// `block_index(row, blocks) + b * TILE` places on in each buffer.
pub(in crate::kernels) struct Int8RowsMut {
    pub(in crate::kernels) bytes: Shared,
    pub(in crate::kernels) scales: Shared,
    pub(in crate::kernels) biases: Shared,
    pub(in crate::kernels) shifts: Shared,
}

/// Where a row's first block lies, counted in blocks.
pub(in crate::kernels) fn block_index(row: usize, blocks: usize) -> usize {
    row / TILE * TILE * blocks + row % TILE
}
