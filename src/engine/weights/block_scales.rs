//! The scales of matrices of 8-bit floats: one for each block of 128 rows and 128 columns, in a
//! tensor beside the matrix, as DeepSeek's and Qwen's FP8 checkpoints have them.

use std::ops::Range;

/// Rows and columns of a block.
const BLOCK: usize = 128;

/// The scales of one matrix.
pub(super) struct BlockScales {
    /// `[rows / 128, columns / 128]`, rounded up.
    scales: Vec<f32>,
    columns: usize,
}

impl BlockScales {
    /// Returns the name of the scales of a matrix.
    pub(super) fn name(matrix: &str) -> String {
        format!("{matrix}_scale_inv")
    }

    /// Returns the shape of the scales of a matrix of this shape.
    pub(super) fn shape(rows: usize, columns: usize) -> [usize; 2] {
        [rows.div_ceil(BLOCK), columns.div_ceil(BLOCK)]
    }

    /// Takes the scales of a matrix of `columns`.
    pub(super) fn new(scales: Vec<f32>, columns: usize) -> Self {
        Self { scales, columns }
    }

    /// Scales the numbers `range` of the matrix.
    pub(super) fn scale(&self, range: Range<usize>, numbers: &mut [f32]) {
        let blocks = self.columns.div_ceil(BLOCK);
        for (number, index) in numbers.iter_mut().zip(range) {
            let (row, column) = (index / self.columns, index % self.columns);
            *number *= self.scales[row / BLOCK * blocks + column / BLOCK];
        }
    }
}
