//! The suite that every kind of GPU kernels has to pass: each operation against the slow reference on odd shapes, in three orders of
//! threads and blocks, and that a row's result does not depend on its company. Knows neither CUDA nor Metal.

mod attention;
mod memory;
mod products;
mod rows;

pub(super) use attention::*;
pub(super) use memory::Memory;
pub(super) use products::*;
pub(super) use rows::*;

use super::emulation::ORDERS;
use super::{KernelRules, Launch, Weights};
use crate::base::{Seed, Stage};
use crate::engine::kernels::Rows;
use half::bf16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Kernels that can be run: under an emulation, or on a device whose memory the host sees.
pub(in crate::engine) trait Kernels: Send + Sync {
    /// Their rules.
    fn rules(&self) -> &dyn KernelRules;

    /// What weights may be packed in.
    fn packings(&self) -> &'static [Weights];

    /// Runs a kernel to its end.
    ///
    /// # Errors
    /// A text for sizes that it refuses, or for a fault that the emulation finds.
    fn start(&self, launch: &Launch) -> Result<(), String>;

    /// Sets the order of threads and blocks for the calling thread; a device has its own.
    fn order(&self, order: u32);

    /// Packs rows into `to`, which has the bytes that the rules say, and their scales if the packing has some.
    fn pack(&self, packing: Weights, rows: &Rows, up: Option<&Rows>, to: &mut [u8], scales: &mut [f32]);
}

/// One test per check of the suite, for the kernels that `$kernels` gives if there are some.
macro_rules! suite {
    ($kernels:expr) => {
        $crate::engine::kernels::gpu::suite::suite! { $kernels;
            heads_are_normed_rotated_and_stored, attention_is_right_and_one_for_all,
            attention_goes_on_for_long_sequences, products_are_right, gated_products_are_right,
            a_row_of_a_product_does_not_depend_on_the_others, a_row_that_is_no_number_spoils_no_other, a_packed_table_gives_its_rows_back,
            sums_and_norms_are_right, the_largest_logit_is_found_and_the_lowest_of_equals, rows_without_a_number_give_token_0
        }
    };
    ($kernels:expr; $($check:ident),*) => {
        $(#[test]
        fn $check() {
            if let Some(kernels) = $kernels {
                $crate::engine::kernels::gpu::suite::$check(kernels);
            }
        })*
    };
}
pub(super) use suite;

/// Runs a kernel that has to succeed.
#[track_caller]
fn run(kernels: &dyn Kernels, launch: &Launch) {
    if let Err(error) = kernels.start(launch) {
        panic!("{}: {error}", launch.name());
    }
}

/// What `launch` gives in every order of threads and blocks, which must be the same. A device has its own order: there it is what
/// three launches give.
pub(super) fn in_every_order<T: PartialEq>(kernels: &dyn Kernels, launch: impl Fn() -> T) -> T {
    let mut results = ORDERS.map(|order| {
        kernels.order(order);
        Some(launch())
    });
    kernels.order(ORDERS[0]);
    assert!(results.iter().all(|result| *result == results[0]), "the order of threads or blocks changes the result");
    results[0].take().expect("the first result")
}

pub(super) fn rng(seed: u64) -> ChaCha8Rng {
    Seed(seed).derive(Stage::Weights, &[2]).rng()
}

/// Random draws of `count` cases.
fn cases(count: u64, mut check: impl FnMut(&mut ChaCha8Rng)) {
    for seed in 0..count {
        check(&mut rng(seed));
    }
}

/// Numbers from -1 to 1.
pub(super) fn numbers(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

pub(super) fn bits(numbers: &[f32]) -> Vec<u16> {
    numbers.iter().map(|&x| bf16::from_f32(x).to_bits()).collect()
}

pub(super) fn floats(bits: &[u16]) -> Vec<f32> {
    bits.iter().map(|&x| bf16::from_bits(x).to_f32()).collect()
}

/// As bf16 keeps them.
pub(super) fn rounded(numbers: &[f32]) -> Vec<f32> {
    floats(&bits(numbers))
}

/// Half a unit of bf16's last place, with some room for f32 sums.
pub(super) const BF16: f64 = 1.0 / 250.0;

#[track_caller]
pub(super) fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() <= tolerance * (1.0 + b.abs()), "{a} for {b} at {i}");
    }
}
