//! Seeded random weights: for speed measurements (zeros would flatter them) and for tests. The
//! generator is a counter-based integer hash, so that a script in another language makes the same
//! numbers (`tests/golden/make_reference.py` does).

use super::{TensorSource, WeightsError};
use crate::base::Seed;
use crate::kernels::{Format, Rows};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Numbers made by one task.
const CHUNK: usize = 1 << 16;

/// A source that has every tensor asked for.
///
/// Element i of a tensor is `u(i)` uniform in [-1, 1) times a scale: √(3/columns) for a matrix, so
/// that a product with a unit-variance row has unit variance; 0.1 for a bias; and a norm's weight
/// is `1 + 0.1·u(i)`.
#[derive(Clone, Copy, Debug)]
pub struct RandomWeights {
    seed: Seed,
}

impl RandomWeights {
    /// The weights of one seed.
    pub fn new(seed: Seed) -> Self {
        Self { seed }
    }

    /// The numbers of a tensor, row-major.
    pub fn numbers(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        self.part(name, shape, 0..shape.iter().product())
    }

    /// Some of them.
    fn part(&self, name: &str, shape: &[usize], range: std::ops::Range<usize>) -> Vec<f32> {
        let key = mix(self.seed.0 ^ fnv1a(name.as_bytes()));
        let (scale, offset) = match shape {
            [_] if name.ends_with("norm.weight") => (0.1, 1.0),
            [_] => (0.1, 0.0),
            _ => ((3.0 / shape.last().copied().unwrap_or(1).max(1) as f64).sqrt() as f32, 0.0),
        };
        let mut numbers = vec![0.0f32; range.len()];
        numbers.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, numbers)| {
            let first = (range.start + chunk * CHUNK) as u64;
            for (number, index) in numbers.iter_mut().zip(first..) {
                *number = offset + scale * unit(mix(key.wrapping_add(index)));
            }
        });
        numbers
    }
}

impl TensorSource for RandomWeights {
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, WeightsError> {
        Ok(Tensor::from_vec(self.numbers(name, shape), shape, &Device::Cpu)?)
    }

    fn matrix(&mut self, name: &str, (outputs, inputs): (usize, usize), format: Format) -> Result<Rows, WeightsError> {
        Rows::convert(format, inputs, outputs, |rows| {
            Ok(self.part(name, &[outputs, inputs], rows.start * inputs..rows.end * inputs))
        })
    }

    fn is_random(&self) -> bool {
        true
    }

    fn contains(&self, _name: &str) -> bool {
        true
    }
}

/// The finalizer of splitmix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The 64-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}

/// The top 24 bits as a number in [-1, 1), exactly.
fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_repeat_differ_by_name_and_have_the_scale_they_should() {
        let weights = RandomWeights::new(Seed(1));
        let a = weights.numbers("a.weight", &[300, 256]);
        assert_eq!(a, weights.numbers("a.weight", &[300, 256]));
        assert_ne!(a, weights.numbers("b.weight", &[300, 256]));
        assert_ne!(a, RandomWeights::new(Seed(2)).numbers("a.weight", &[300, 256]));
        let variance = a.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>() / a.len() as f64;
        assert!((variance * 256.0 - 1.0).abs() < 0.02, "{variance}");
        assert!(weights.numbers("input_layernorm.weight", &[64]).iter().all(|x| (0.9..1.1).contains(x)));
        assert!(weights.numbers("q_proj.bias", &[64]).iter().all(|x| x.abs() <= 0.1));
    }
}
