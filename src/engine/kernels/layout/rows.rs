//! Weight matrices on their way from a file to the kernels: row-major, as GGUF files have them.
//! candle's quantizers make the blocks, in GGML's layout.

use super::Format;
use candle_core::quantized::k_quants::{BlockQ4K, BlockQ8_0, GgmlType};
use half::{bf16, f16};
use rayon::prelude::*;

/// The number of rows that one task converts.
const TASK_ROWS: usize = 64;

/// A matrix `[outputs, inputs]` in any number format.
pub struct Rows {
    format: Format,
    inputs: usize,
    bytes: Vec<u8>,
}

impl Rows {
    /// Wraps rows that are in `format` already.
    ///
    /// # Panics
    /// Panics if `bytes` are not whole rows.
    pub fn stored(format: Format, inputs: usize, bytes: Vec<u8>) -> Self {
        assert!(bytes.len().is_multiple_of(format.row_bytes(inputs)), "whole rows");
        Self { format, inputs, bytes }
    }

    /// Converts `outputs` rows into `format` on all cores. `floats` returns the numbers of some
    /// consecutive rows.
    ///
    /// # Errors
    /// The first error of `floats`, in the order of rows.
    pub fn convert<E: Send>(
        format: Format,
        inputs: usize,
        outputs: usize,
        floats: impl Fn(std::ops::Range<usize>) -> Result<Vec<f32>, E> + Sync,
    ) -> Result<Self, E> {
        let row_bytes = format.row_bytes(inputs);
        let mut bytes = vec![0u8; outputs * row_bytes];
        let tasks = bytes.par_chunks_mut(TASK_ROWS * row_bytes).enumerate();
        let done: Vec<Result<(), E>> = tasks
            .map(|(task, bytes)| {
                let first = task * TASK_ROWS;
                let rows = floats(first..first + bytes.len() / row_bytes)?;
                for (row, bytes) in rows.chunks_exact(inputs).zip(bytes.chunks_exact_mut(row_bytes)) {
                    encode(format, row, bytes);
                }
                Ok(())
            })
            .collect();
        done.into_iter().collect::<Result<(), E>>()?;
        Ok(Self { format, inputs, bytes })
    }

    /// Converts floats into `format`.
    pub fn from_floats(format: Format, inputs: usize, floats: &[f32]) -> Self {
        let rows = |range: std::ops::Range<usize>| {
            Ok::<_, std::convert::Infallible>(floats[range.start * inputs..range.end * inputs].to_vec())
        };
        let Ok(converted) = Self::convert(format, inputs, floats.len() / inputs, rows);
        converted
    }

    /// Returns the number format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns the number of rows.
    pub fn outputs(&self) -> usize {
        self.bytes.len() / self.format.row_bytes(self.inputs)
    }

    /// Returns the width of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns all rows in their format.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns one row in its format.
    pub(in crate::kernels) fn row(&self, row: usize) -> &[u8] {
        let size = self.format.row_bytes(self.inputs);
        &self.bytes[row * size..(row + 1) * size]
    }

    /// Returns the weights of one row as floats.
    pub fn floats(&self, row: usize) -> Vec<f32> {
        let bytes = self.row(row);
        let mut numbers: Vec<f32> = match self.format {
            Format::F32 => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            Format::F16 => bytes.as_chunks::<2>().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
            Format::Bf16 => bytes.as_chunks::<2>().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
            Format::Q8_0 => bytes.as_chunks::<34>().0.iter().flat_map(|block| Q8Block(block).floats()).collect(),
            Format::Q4K => bytes.as_chunks::<144>().0.iter().flat_map(|block| Q4Block(block).floats()).collect(),
        };
        numbers.truncate(self.inputs);
        numbers
    }
}

fn encode(format: Format, row: &[f32], bytes: &mut [u8]) {
    match format {
        Format::F32 => bytes.as_chunks_mut::<4>().0.iter_mut().zip(row).for_each(|(to, x)| *to = x.to_le_bytes()),
        Format::F16 => {
            let pairs = bytes.as_chunks_mut::<2>().0.iter_mut().zip(row);
            pairs.for_each(|(to, &x)| *to = f16::from_f32(x).to_le_bytes());
        }
        Format::Bf16 => {
            let pairs = bytes.as_chunks_mut::<2>().0.iter_mut().zip(row);
            pairs.for_each(|(to, &x)| *to = bf16::from_f32(x).to_le_bytes());
        }
        Format::Q8_0 => quantize::<BlockQ8_0>(row, bytes),
        Format::Q4K => quantize::<BlockQ4K>(row, bytes),
    }
}

/// Quantizes a row, padded with zeros to whole blocks.
fn quantize<B: GgmlType>(row: &[f32], bytes: &mut [u8]) {
    let count = row.len().div_ceil(B::BLCK_SIZE);
    let mut padded = row.to_vec();
    padded.resize(count * B::BLCK_SIZE, 0.0);
    let mut blocks = vec![B::zeros(); count];
    B::from_float(&padded, &mut blocks);
    // SAFETY: candle's blocks are `repr(C)` structs of f16 and bytes without padding, whose sizes
    // it asserts.
    let raw = unsafe { std::slice::from_raw_parts(blocks.as_ptr().cast::<u8>(), size_of_val(blocks.as_slice())) };
    bytes.copy_from_slice(raw);
}

fn half_at(bytes: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// A block of Q8_0, 32 weights: `scale * q[i]`.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Q8Block<'a>(pub(in crate::kernels) &'a [u8; 34]);

impl Q8Block<'_> {
    /// Returns the bits of the f16 scale.
    pub(in crate::kernels) fn scale_bits(self) -> u16 {
        u16::from_le_bytes([self.0[0], self.0[1]])
    }

    /// Returns the int8 weights.
    pub(in crate::kernels) fn weights(self) -> [i8; 32] {
        std::array::from_fn(|i| self.0[2 + i].cast_signed())
    }

    fn floats(self) -> [f32; 32] {
        let scale = half_at(self.0, 0);
        self.weights().map(|q| scale * f32::from(q))
    }
}

/// A block of Q4_K, 256 weights in eight parts of 32: `d * scale[part] * q[i] - d_min *
/// minimum[part]`.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Q4Block<'a>(pub(in crate::kernels) &'a [u8; 144]);

impl Q4Block<'_> {
    /// Returns the bits of the f16 factors `d` and `d_min`.
    pub(in crate::kernels) fn factor_bits(self) -> (u16, u16) {
        (u16::from_le_bytes([self.0[0], self.0[1]]), u16::from_le_bytes([self.0[2], self.0[3]]))
    }

    /// Returns the 6-bit scale and minimum of a part. Those of the first four parts are whole in
    /// the lower bits of a byte; the others are split in two.
    pub(in crate::kernels) fn scale_and_minimum(self, part: usize) -> (u8, u8) {
        let packed = &self.0[4..16];
        if part < 4 {
            return (packed[part] & 63, packed[part + 4] & 63);
        }
        let low = packed[part + 4];
        (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
    }

    /// Returns the weights of a part, 0 to 15. Parts come in pairs, of which the first has the
    /// lower nibbles of 32 bytes.
    pub(in crate::kernels) fn weights(self, part: usize) -> [u8; 32] {
        let bytes = &self.0[16 + part / 2 * 32..][..32];
        std::array::from_fn(|i| if part.is_multiple_of(2) { bytes[i] & 15 } else { bytes[i] >> 4 })
    }

    fn floats(self) -> Vec<f32> {
        let (d, d_min) = (half_at(self.0, 0), half_at(self.0, 2));
        let part = |part| {
            let (scale, minimum) = self.scale_and_minimum(part);
            let (scale, minimum) = (d * f32::from(scale), d_min * f32::from(minimum));
            self.weights(part).map(|q| scale * f32::from(q) - minimum)
        };
        (0..8).flat_map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_what_candle_says_they_hold() {
        let floats: Vec<f32> = (0..512).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
        let q8 = Rows::from_floats(Format::Q8_0, 512, &floats).floats(0);
        let q4 = Rows::from_floats(Format::Q4K, 512, &floats).floats(0);
        let (mut q8_blocks, mut q4_blocks) = (vec![BlockQ8_0::zeros(); 16], vec![BlockQ4K::zeros(); 2]);
        BlockQ8_0::from_float(&floats, &mut q8_blocks);
        BlockQ4K::from_float(&floats, &mut q4_blocks);
        let (mut from_q8, mut from_q4) = (vec![0.0; 512], vec![0.0; 512]);
        BlockQ8_0::to_float(&q8_blocks, &mut from_q8);
        BlockQ4K::to_float(&q4_blocks, &mut from_q4);
        assert_eq!((q8, q4), (from_q8, from_q4));
    }

    #[test]
    fn rows_of_any_width_come_back_nearly_as_they_were() {
        for (format, error) in [
            (Format::F32, 0.0),
            (Format::F16, 0.0005),
            (Format::Bf16, 0.005),
            (Format::Q8_0, 0.006),
            (Format::Q4K, 0.1),
        ] {
            for inputs in [1, 31, 33, 300] {
                let floats: Vec<f32> = (0..3 * inputs).map(|i| ((i * 29 % 83) as f32 - 41.0) / 41.0).collect();
                let rows = Rows::from_floats(format, inputs, &floats);
                assert_eq!((rows.outputs(), rows.inputs()), (3, inputs));
                for (row, expected) in floats.chunks(inputs).enumerate() {
                    let found = rows.floats(row);
                    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= error), "{format} {inputs}");
                }
            }
        }
    }
}
