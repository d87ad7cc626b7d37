//! The bytes of GGUF tensors as numbers.

use super::dequantize::{iq4_nl, iq4_xs, q2_k, q3_k, q4_0, q4_1, q5_0, q5_1, q5_k, q6_k};
use super::kind::Kind;
use crate::kernels::{Format, Rows};
use crate::weights::number::Number;
use half::f16;
use rayon::prelude::*;

/// Blocks that one task looks at.
const TASK_BLOCKS: usize = 1 << 14;
/// Numbers that are compared with zero at a time.
const GROUP_NUMBERS: usize = 256;

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
        Kind::Q4_0 => from_blocks(bytes, q4_0),
        Kind::Q4_1 => from_blocks(bytes, q4_1),
        Kind::Q5_0 => from_blocks(bytes, q5_0),
        Kind::Q5_1 => from_blocks(bytes, q5_1),
        Kind::Q2K => from_blocks(bytes, q2_k),
        Kind::Q3K => from_blocks(bytes, q3_k),
        Kind::Q5K => from_blocks(bytes, q5_k),
        Kind::Q6K => from_blocks(bytes, q6_k),
        Kind::Iq4Nl => from_blocks(bytes, iq4_nl),
        Kind::Iq4Xs => from_blocks(bytes, iq4_xs),
    }
}

fn from_blocks<const BYTES: usize, const NUMBERS: usize>(
    bytes: &[u8],
    numbers: impl Fn(&[u8; BYTES]) -> [f32; NUMBERS],
) -> Vec<f32> {
    let mut all = Vec::with_capacity(bytes.len() / BYTES * NUMBERS);
    bytes.as_chunks::<BYTES>().0.iter().for_each(|block| all.extend(numbers(block)));
    all
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
    let bad = |number: f32| (!number.is_finite()).then_some(number);
    match kind {
        Kind::F32 => bad(f32::from_le_bytes(std::array::from_fn(|i| block[i]))),
        Kind::Bf16 => bad(f32::from_le_bytes([0, 0, block[0], block[1]])),
        _ => kind.factors().iter().find_map(|&at| bad(f16::from_le_bytes([block[at], block[at + 1]]).to_f32())),
    }
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
        let places = Kind::ALL.into_iter().flat_map(|kind| kind.factors().iter().map(move |&at| (kind, at)));
        for (kind, at) in places {
            let mut bytes = vec![0; 3 * kind.block_bytes()];
            let at = 2 * kind.block_bytes() + at;
            bytes[at..at + 2].copy_from_slice(&infinite);
            assert_eq!(non_finite(kind, &bytes), Some(f32::INFINITY), "{kind:?}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        bytes: String,
        numbers: Vec<f32>,
    }

    #[test]
    fn every_quantized_format_is_read_as_the_package_gguf_reads_it() {
        let golden = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/blocks.json"));
        let golden: std::collections::BTreeMap<String, Golden> = serde_json::from_str(golden).unwrap();
        let quantized = || Kind::ALL.into_iter().filter(|kind| kind.block() > 1);
        assert_eq!(golden.len(), quantized().count());
        for kind in quantized() {
            let Golden { bytes, numbers: expected } = &golden[kind.name()];
            let digits: Vec<u8> = bytes.bytes().map(|digit| (digit as char).to_digit(16).unwrap() as u8).collect();
            let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            assert_eq!(expected.len(), bytes.len() / kind.block_bytes() * kind.block());
            let found = numbers(kind, kind.block(), &bytes);
            let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(expected), "{kind:?}");
            assert_eq!(non_finite(kind, &bytes), None);
        }
    }
}
