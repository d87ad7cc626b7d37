//! The number formats of weight files, and their exact widening to f32.

use half::{bf16, f16};
use rayon::prelude::*;

/// Numbers converted by one task.
const CHUNK: usize = 1 << 18;

/// A number format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Number {
    F32,
    F16,
    Bf16,
    /// 8-bit floats of 4 bits of exponent and 3 of mantissa, without infinities.
    F8E4m3,
}

/// The formats that can be read, as messages name them.
pub(super) const READABLE: &str = "F32, F16, BF16 and F8_E4M3";

impl Number {
    /// Returns the format of this name in safetensors.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            "F8_E4M3" => Some(Self::F8E4m3),
            _ => None,
        }
    }

    /// Returns the bytes of one number.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::F8E4m3 => 1,
        }
    }

    /// Whether all numbers are zero. Stops at the first other one.
    pub(super) fn all_zero(self, bytes: &[u8]) -> bool {
        let is_zero = |number: &[u8]| {
            let (top, rest) = number.split_last().expect("a number has bytes");
            top & 0x7F == 0 && rest.iter().all(|byte| *byte == 0)
        };
        bytes.chunks_exact(self.bytes()).all(is_zero)
    }

    /// Widens little-endian bytes to f32, on all cores.
    pub(super) fn widen(self, bytes: &[u8]) -> Vec<f32> {
        let mut numbers = vec![0.0; bytes.len() / self.bytes()];
        let chunks = numbers.par_chunks_mut(CHUNK).zip(bytes.par_chunks(CHUNK * self.bytes()));
        chunks.for_each(|(numbers, bytes)| match self {
            Self::F32 => {
                for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *number = f32::from_le_bytes(*bytes);
                }
            }
            Self::F16 => {
                for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *number = f16::from_le_bytes(*bytes).to_f32();
                }
            }
            Self::Bf16 => {
                for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *number = bf16::from_le_bytes(*bytes).to_f32();
                }
            }
            Self::F8E4m3 => {
                for (number, byte) in numbers.iter_mut().zip(bytes) {
                    *number = e4m3(*byte);
                }
            }
        });
        numbers
    }
}

/// Returns the number of an 8-bit float: a sign, 4 bits of exponent with a bias of 7, 3 of
/// mantissa.
fn e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (u32::from(byte >> 3 & 15), u32::from(byte & 7));
    let size = match (exponent, mantissa) {
        (15, 7) => f32::NAN,
        // 2^-9 each.
        (0, mantissa) => mantissa as f32 / 512.0,
        (exponent, mantissa) => f32::from_bits((exponent + 127 - 7) << 23 | mantissa << 20),
    };
    if byte < 128 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_widens_exactly() {
        let numbers = [1.5f32, -0.25, 65504.0];
        let f32s: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let f16s: Vec<u8> = numbers.iter().flat_map(|&n| f16::from_f32(n).to_le_bytes()).collect();
        assert_eq!(Number::F32.widen(&f32s), numbers);
        assert_eq!(Number::F16.widen(&f16s), numbers);
        let bf16s: Vec<u8> = [1.5f32, -0.25].iter().flat_map(|&n| bf16::from_f32(n).to_le_bytes()).collect();
        assert_eq!(Number::Bf16.widen(&bf16s), [1.5, -0.25]);
        for (number, minus_zero) in
            [(Number::F32, &[0, 0, 0, 0x80][..]), (Number::F16, &[0, 0x80]), (Number::Bf16, &[0, 0x80])]
        {
            assert!(number.all_zero(minus_zero) && number.all_zero(&[0; 8]));
        }
        assert!(
            ![(Number::F32, &f32s), (Number::F16, &f16s), (Number::Bf16, &bf16s)].iter().any(|(n, b)| n.all_zero(b))
        );
    }

    #[test]
    fn eight_bit_floats_are_those_of_the_standard() {
        let e4m3s = [0x00, 0x80, 0x01, 0x07, 0x08, 0x38, 0xB8, 0x39, 0x7E, 0xFE];
        let expected = [0.0, -0.0, 0.001_953_125, 0.013_671_875, 0.015_625, 1.0, -1.0, 1.125, 448.0, -448.0];
        assert_eq!(Number::F8E4m3.widen(&e4m3s), expected);
        assert!(Number::F8E4m3.widen(&[0x7F, 0xFF]).iter().all(|number| number.is_nan()));
        let sizes = Number::F8E4m3.widen(&(0..0x7F).collect::<Vec<u8>>());
        assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(Number::F8E4m3.all_zero(&[0, 0x80]) && !Number::F8E4m3.all_zero(&[1]));
    }
}
