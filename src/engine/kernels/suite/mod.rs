//! The suite that every kind of kernels has to pass, the CPU's sets as well as CUDA's and Metal's,
//! emulated or on a device: each operation against the slow reference on random shapes, and that a
//! row's result does not depend on its company. It knows kernels as [`Subject`]s only, which take
//! and give plain numbers; what else a kind of kernels promises it checks itself.

mod attention;
mod products;
mod rows;

pub(super) use attention::*;
pub(super) use products::*;
pub(super) use rows::*;

use super::{Format, Rows, reference};
use crate::base::{Seed, Stage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Kernels under test.
pub(super) trait Subject {
    /// Which ones, for people.
    fn name(&self) -> String;

    /// How products with weights of this packing multiply the rows of generated tokens, or those of
    /// prompts.
    fn arithmetic(&self, packing: Packing, decode: bool) -> Arithmetic;

    /// `[rows, outputs]`.
    fn product(&self, product: &Product<'_>) -> Vec<f32>;

    /// The rows of a packed table `[_, inputs]` at `tokens`.
    fn embed(&self, packing: Packing, inputs: usize, table: &[f32], tokens: &[u32]) -> Vec<f32>;

    /// RMSNorm of rows as wide as `weight`.
    fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32) -> Vec<f32>;

    /// The first of the largest numbers of each row of `v`.
    fn argmax(&self, logits: &[f32], v: usize) -> Vec<u32>;

    /// Norms, rotates and stores all tokens of a sequence; then attention `[tokens - first, n_q *
    /// d]` of those from `first` on.
    fn attention(&self, sequence: &Sequence, store: Store, first: usize, way: Way) -> Vec<f32>;
}

/// Kernels of one kind, and what holds for all of them.
pub(super) struct Family<'a> {
    pub(super) subjects: Vec<Box<dyn Subject + 'a>>,
    pub(super) packings: &'static [Packing],
    pub(super) stores: &'static [Store],
    pub(super) shapes: Shapes,
    /// Whether they take so long that a few cases have to do.
    pub(super) slow: bool,
    /// By how much the rounding of results to what they are stored in may change them, beside 1 or
    /// themselves. (Those of plain products are stored in f32.)
    pub(super) rounding: f64,
}

/// The shapes that kernels are made for.
pub(super) struct Shapes {
    /// What inputs are a multiple of.
    pub(super) inputs: usize,
    /// Of heads; any even number where there is none.
    pub(super) head_sizes: &'static [usize],
    pub(super) block_tokens: &'static [usize],
    /// Query heads that share a head of keys and values.
    pub(super) most_group: usize,
    /// Rows of a product.
    pub(super) most_rows: usize,
}

/// What weights are packed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    Of(Format),
    /// e4m3 with a scale a row, made of bf16.
    F8,
}

impl Packing {
    /// The rows in the format that they are packed from.
    pub(super) fn rows(self, inputs: usize, w: &[f32]) -> Rows {
        let format = if let Self::Of(format) = self { format } else { Format::Bf16 };
        Rows::from_floats(format, inputs, w)
    }

    /// What is left of weights `[_, inputs]`.
    pub(super) fn keep(self, inputs: usize, w: &[f32]) -> Vec<f32> {
        let rows = self.rows(inputs, w);
        let floats = (0..rows.outputs()).map(|row| rows.floats(row));
        floats.flat_map(|row| if self == Self::F8 { reference::as_f8(&row) } else { row }).collect()
    }
}

/// What a product makes of its operands before it multiplies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arithmetic {
    /// Nothing.
    Exact,
    /// Activations are signed bytes, 32 with one scale.
    Int8,
    /// Activations are bf16, weights all that they are.
    Bf16,
    /// Activations and weights are bf16.
    Bf16Both,
}

/// What keys and values are kept in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Store {
    F32,
    F16,
    /// Queries as well.
    Bf16,
    /// Signed bytes, every head of a token with a scale for its key and one for its value.
    Int8,
}

/// How tokens come to attention.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// As many at once as the kernels like.
    Prefill,
    /// No more than so many.
    Pieces(usize),
    /// One by one, as decoding does it.
    Decode,
}

impl Family<'_> {
    /// Random draws of some cases; fewer of slow kernels.
    fn cases(&self, slow: u64, mut check: impl FnMut(&mut ChaCha8Rng)) {
        for seed in 0..if self.slow { slow } else { 24 } {
            check(&mut rng(seed));
        }
    }

    /// A width of a matrix, less than `most`, which is more than the least.
    fn inputs(&self, rng: &mut ChaCha8Rng, most: usize) -> usize {
        self.shapes.inputs * rng.random_range(1..=(most - 1) / self.shapes.inputs)
    }
}

/// One test per check of the suite, for the family that `$family` gives if there is one.
macro_rules! suite {
    ($family:expr) => {
        $crate::kernels::suite::suite! { $family;
            products_are_right, gated_products_are_right, a_row_of_a_product_does_not_depend_on_the_others,
            a_row_that_is_no_number_spoils_no_other, a_packed_table_gives_its_rows_back, norms_are_right,
            the_largest_logit_is_found_and_the_lowest_of_equals, the_lowest_of_equals_is_found_in_a_whole_vocabulary,
            rows_without_a_number_give_token_0, attention_is_right_and_one_for_all,
            attention_goes_on_for_long_sequences, sixteen_query_heads_share_their_keys
        }
    };
    ($family:expr; $($check:ident),*) => {
        $(#[test]
        fn $check() {
            if let Some(family) = $family {
                $crate::kernels::suite::$check(&family);
            }
        })*
    };
}
pub(super) use suite;

pub(super) fn rng(seed: u64) -> ChaCha8Rng {
    Seed(seed).derive(Stage::Weights, &[2]).rng()
}

/// Numbers from -1 to 1.
pub(super) fn numbers(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

#[track_caller]
pub(super) fn assert_close(name: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() <= tolerance * (1.0 + b.abs()), "{name}: {a} for {b} at {i}");
    }
}
