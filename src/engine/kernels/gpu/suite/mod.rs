//! GPU kernels in the suite of all kernels (`kernels/suite`): how its operations become launches,
//! in three orders of threads and blocks and in memory with guards; and what every kind of GPU
//! kernels promises besides. Knows neither CUDA nor Metal.

mod attention;
mod memory;
mod products;
mod rows;
mod scores;
mod subject;

pub(super) use attention::*;
pub(super) use memory::Memory;
pub(super) use products::*;
pub(super) use rows::*;
pub(super) use scores::*;
pub(super) use subject::family;

use super::emulation::ORDERS;
use super::{KernelRules, Launch, Weights};
use crate::kernels::Rows;
use half::bf16;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::kernels::suite::Packing;
pub(super) use crate::kernels::suite::{assert_close, numbers, rng};

/// Kernels that can be run: under an emulation, or on a device whose memory the host sees.
pub(crate) trait Kernels: Send + Sync {
    /// Whose they are, for people.
    fn name(&self) -> &'static str;

    /// Their rules.
    fn rules(&self) -> &dyn KernelRules;

    /// What weights may be packed in.
    fn packings(&self) -> &'static [Packing];

    /// Runs a kernel to its end.
    ///
    /// # Errors
    /// A text for sizes that it refuses, or for a fault that the emulation finds.
    fn start(&self, launch: &Launch) -> Result<(), String>;

    /// Bytes of shared memory that a block may have. An emulation has as much as the largest
    /// device.
    fn shared_limit(&self) -> u32 {
        227 * 1024
    }

    /// Sets the order of threads and blocks for the calling thread; a device has its own.
    fn order(&self, order: u32);

    /// Packs rows into `to`, which has the bytes that the rules say, and their scales if the
    /// packing has some.
    fn pack(&self, packing: Weights, rows: &Rows, up: Option<&Rows>, to: &mut [u8], scales: &mut [f32]);
}

/// One test per check, for the kernels that `$kernels` gives if there are some: those of all
/// kernels, and those of GPUs.
macro_rules! suite {
    ($kernels:expr) => {
        $crate::kernels::suite::suite!($kernels.map(|kernels| $crate::kernels::gpu::suite::family(kernels)));
        $crate::kernels::gpu::suite::suite! { $kernels;
            heads_are_normed_rotated_and_stored, products_end_in_every_way, passes_and_splits_change_no_row,
            rings_of_bricks_are_filled_again, tables_are_read_in_other_ways, sums_are_added_and_rows_picked,
            the_widest_rows_are_read_and_normed, questions_about_logits_are_answered
        }
    };
    ($kernels:expr; $($check:ident),*) => {
        $(#[test]
        fn $check() {
            if let Some(kernels) = $kernels {
                $crate::kernels::gpu::suite::$check(kernels);
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

/// What `launch` gives in every order of threads and blocks, which must be the same. A device has
/// its own order: there it is what three launches give.
pub(super) fn in_every_order<T: PartialEq>(kernels: &dyn Kernels, launch: impl Fn() -> T) -> T {
    let mut results = ORDERS.map(|order| {
        kernels.order(order);
        Some(launch())
    });
    kernels.order(ORDERS[0]);
    assert!(results.iter().all(|result| *result == results[0]), "the order of threads or blocks changes the result");
    results[0].take().expect("the first result")
}

/// Random draws of `count` cases.
fn cases(count: u64, mut check: impl FnMut(&mut ChaCha8Rng)) {
    for seed in 0..count {
        check(&mut rng(seed));
    }
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
