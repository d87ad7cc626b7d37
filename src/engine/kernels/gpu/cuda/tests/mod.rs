//! Every CUDA kernel under the emulation, in three orders of threads and blocks, against the slow reference on odd shapes; and
//! that a row's result does not depend on its company.

mod attention;
mod found;
mod products;
mod rows;

use super::api::Api;
use super::emulation::{in_every_order, kernels, succeed};
use super::memory::Memory;
use crate::base::{Seed, Stage};
use half::bf16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

fn rng(seed: u64) -> ChaCha8Rng {
    Seed(seed).derive(Stage::Weights, &[2]).rng()
}

/// Numbers from -1 to 1.
fn numbers(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

fn bits(numbers: &[f32]) -> Vec<u16> {
    numbers.iter().map(|&x| bf16::from_f32(x).to_bits()).collect()
}

fn floats(bits: &[u16]) -> Vec<f32> {
    bits.iter().map(|&x| bf16::from_bits(x).to_f32()).collect()
}

/// As bf16 keeps them.
fn rounded(numbers: &[f32]) -> Vec<f32> {
    floats(&bits(numbers))
}

/// Half a unit of bf16's last place, with some room for f32 sums.
const BF16: f64 = 1.0 / 250.0;

#[track_caller]
fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() <= tolerance * (1.0 + b.abs()), "{a} for {b} at {i}");
    }
}

/// Runs `check` for seeds `0..count` if the kernels are there.
fn cases(count: u64, check: impl Fn(&Api, &mut ChaCha8Rng)) {
    if let Some(api) = kernels() {
        for seed in 0..count {
            check(api, &mut rng(seed));
        }
    }
}
