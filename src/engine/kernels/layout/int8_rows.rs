//! Activations as int8, for products with quantized weights.

use super::matrix::{Buffer, Shared};

/// The number of activations that share a scale, and of weights of Q8_0 or of a part of Q4_K that
/// do.
pub(in crate::kernels) const BLOCK: usize = 32;

/// The number of rows that lie together. A kernel may read a whole tile even where the matrix ends
/// within it, but must not use what it finds beyond.
pub(in crate::kernels) const TILE: usize = 16;

/// A matrix `[t, inputs]` quantized to int8: every 32 numbers of a row are `scale * q` with q from
/// -127 to 127, and the scale is their largest magnitude divided by 127. A row's last block is
/// padded with zeros.
///
/// NaN becomes 0, because int8 has no NaN. It cannot come from a file, since weights that are not
/// finite are refused, and NaN in one row changes no other row. Products of floats and of bf16 pass
/// NaN on.
///
/// Rows lie in tiles of 16, block by block: the int8 numbers are `[tile, block, 16, 32]`, and what
/// exists once per block is `[tile, block, 16]`. So the next block of a row is `TILE` blocks
/// further on.
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
    /// Makes room for `rows` rows of `blocks` blocks each, and returns the memory to write.
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

    /// Returns the number of blocks per row.
    pub(in crate::kernels) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Returns the index of a row's first block, counted in blocks.
    pub(in crate::kernels) fn block_index(&self, row: usize) -> usize {
        debug_assert!(row < self.rows);
        block_index(row, self.blocks)
    }

    /// Returns the int8 numbers of a row's first block.
    pub(in crate::kernels) fn bytes(&self, row: usize) -> *const u8 {
        debug_assert!(row < self.rows);
        self.bytes.as_slice().as_ptr().cast::<u8>().wrapping_add(block_index(row, self.blocks) * BLOCK)
    }

    /// Returns the scale of a row's first block.
    pub(in crate::kernels) fn scales(&self, row: usize) -> *const f32 {
        self.scales.as_slice()[block_index(row, self.blocks)..].as_ptr()
    }

    /// Returns the start value of a product with a row's first block: `-BIAS` times the sum of its
    /// numbers, which cancels what the kernel set's int8 dot product adds.
    pub(in crate::kernels) fn biases(&self, row: usize) -> *const i32 {
        self.biases.as_slice()[block_index(row, self.blocks)..].as_ptr().cast()
    }

    /// Returns `-scale * sum` of a row's first block: what the block's minimum of Q4_K is
    /// multiplied by.
    pub(in crate::kernels) fn shifts(&self, row: usize) -> *const f32 {
        self.shifts.as_slice()[block_index(row, self.blocks)..].as_ptr()
    }
}

/// The memory of [`Int8Rows`], for several threads to write. In each buffer, block b of a row is at
/// `block_index(row, blocks) + b * TILE`.
pub(in crate::kernels) struct Int8RowsMut {
    pub(in crate::kernels) bytes: Shared,
    pub(in crate::kernels) scales: Shared,
    pub(in crate::kernels) biases: Shared,
    pub(in crate::kernels) shifts: Shared,
}

/// Returns the index of a row's first block, counted in blocks.
pub(in crate::kernels) fn block_index(row: usize, blocks: usize) -> usize {
    row / TILE * TILE * blocks + row % TILE
}
