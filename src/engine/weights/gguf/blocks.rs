//! The bytes of GGUF tensors as numbers.

use super::kind::Kind;
use crate::kernels::{Format, Rows};
use crate::weights::number::Number;
use half::f16;
use rayon::prelude::*;

/// Blocks that one task looks at.
const TASK_BLOCKS: usize = 1 << 14;
/// Numbers that are compared with zero at a time.
const GROUP_NUMBERS: usize = 256;
const Q6K_BYTES: usize = 210;
const Q6K_NUMBERS: usize = 256;

/// Returns the numbers of whole rows of `width`.
pub(super) fn numbers(kind: Kind, width: usize, bytes: &[u8]) -> Vec<f32> {
    let from_rows = |format: Format| {
        let rows = Rows::stored(format, width, bytes.to_vec());
        (0..rows.outputs()).flat_map(|row| rows.floats(row)).collect()
    };
    match kind {
        Kind::F32 => Number::F32.widen(bytes),
        Kind::F16 => Number::F16.widen(bytes),
        Kind::Bf16 => Number::Bf16.widen(bytes),
        Kind::Q8_0 => from_rows(Format::Q8_0),
        Kind::Q4K => from_rows(Format::Q4K),
        Kind::Q6K => bytes.as_chunks::<Q6K_BYTES>().0.iter().flat_map(q6k_floats).collect(),
    }
}

/// Whether all numbers are zero. Stops at the first group of blocks with another one.
pub(super) fn all_zero(kind: Kind, bytes: &[u8]) -> bool {
    let blocks = (GROUP_NUMBERS / kind.block()).max(1);
    let width = |bytes: &[u8]| bytes.len() / kind.block_bytes() * kind.block();
    let mut groups = bytes.chunks(blocks * kind.block_bytes());
    groups.all(|group| numbers(kind, width(group), group).iter().all(|number| *number == 0.0))
}

/// Finds a number that is none (infinite or NaN) among the tensor's own, or among the scales of its
/// blocks. Products of finite scales stay finite: 65,504 times 6 bits times 4 bits is far from the
/// end of f32.
pub(super) fn non_finite(kind: Kind, bytes: &[u8]) -> Option<f32> {
    let tasks: Vec<Option<f32>> = bytes
        .par_chunks(TASK_BLOCKS * kind.block_bytes())
        .map(|bytes| bytes.chunks_exact(kind.block_bytes()).find_map(|block| bad_in_block(kind, block)))
        .collect();
    tasks.into_iter().flatten().next()
}

fn bad_in_block(kind: Kind, block: &[u8]) -> Option<f32> {
    let half = |at: usize| f16::from_le_bytes([block[at], block[at + 1]]).to_f32();
    let bad = |number: f32| (!number.is_finite()).then_some(number);
    match kind {
        Kind::F32 => bad(f32::from_le_bytes(std::array::from_fn(|i| block[i]))),
        Kind::Bf16 => bad(f32::from_le_bytes([0, 0, block[0], block[1]])),
        Kind::F16 | Kind::Q8_0 => bad(half(0)),
        Kind::Q4K => bad(half(0)).or_else(|| bad(half(2))),
        Kind::Q6K => bad(half(Q6K_BYTES - 2)),
    }
}

/// Returns 256 numbers. The block holds the lower four bits of each (128 bytes), the upper two (64
/// bytes), 16 signed scales, one f16 factor. Each half of the block packs its numbers `l`,
/// `l + 32`, `l + 64` and `l + 96` (`l < 32`) into the same byte of the upper bits.
fn q6k_floats(block: &[u8; Q6K_BYTES]) -> [f32; Q6K_NUMBERS] {
    let factor = f16::from_le_bytes([block[208], block[209]]).to_f32();
    std::array::from_fn(|i| {
        let (half, quarter, l) = (i / 128, i % 128 / 32, i % 32);
        let low = block[half * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
        let high = block[128 + half * 32 + l] >> (quarter * 2) & 3;
        let scale = block[192 + i / 16].cast_signed();
        factor * f32::from(scale) * f32::from((low | high << 4).cast_signed() - 32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    #[test]
    fn blocks_hold_what_candle_says_they_hold() {
        let floats: Vec<f32> = (0..4 * 512).map(|i| ((i * 37 % 1009) as f32 - 500.0) / 300.0).collect();
        let tensor = Tensor::from_vec(floats, (4, 512), &Device::Cpu).unwrap();
        for (kind, dtype) in [
            (Kind::F32, GgmlDType::F32),
            (Kind::F16, GgmlDType::F16),
            (Kind::Bf16, GgmlDType::BF16),
            (Kind::Q8_0, GgmlDType::Q8_0),
            (Kind::Q4K, GgmlDType::Q4K),
            (Kind::Q6K, GgmlDType::Q6K),
        ] {
            let stored = QTensor::quantize(&tensor, dtype).unwrap();
            let bytes = stored.data().unwrap();
            assert_eq!(bytes.len(), 4 * 512 / kind.block() * kind.block_bytes());
            let theirs: Vec<f32> = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(numbers(kind, 512, &bytes), theirs, "{kind:?}");
            assert_eq!(non_finite(kind, &bytes), None);
            assert!(!all_zero(kind, &bytes) && all_zero(kind, &vec![0; bytes.len()]), "{kind:?}");
        }
    }

    #[test]
    fn scales_that_are_no_numbers_are_found() {
        let infinite = f16::INFINITY.to_le_bytes();
        for (kind, at) in [(Kind::Q8_0, 0), (Kind::Q4K, 0), (Kind::Q4K, 2), (Kind::Q6K, 208), (Kind::F16, 0)] {
            let mut bytes = vec![0; 3 * kind.block_bytes()];
            let at = 2 * kind.block_bytes() + at;
            bytes[at..at + 2].copy_from_slice(&infinite);
            assert_eq!(non_finite(kind, &bytes), Some(f32::INFINITY), "{kind:?}");
        }
    }
}
