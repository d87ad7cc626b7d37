//! The suite that all kernels have to pass: the CPU's kernel sets as well as those of CUDA and
//! Metal, emulated or on a device. It compares each operation with the slow reference on random
//! shapes, and checks that a row's result does not depend on the rows beside it. It knows kernels
//! only as [`Subject`]s, which take and return plain numbers. What else a kind of kernels promises,
//! it checks itself.

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
    /// Returns the kernels' name for people.
    fn name(&self) -> String;

    /// Returns how products with weights of this packing multiply decode rows, or else prefill
    /// rows.
    fn arithmetic(&self, packing: Packing, decode: bool) -> Arithmetic;

    /// Computes a product `[rows, outputs]`.
    fn product(&self, product: &Product<'_>) -> Vec<f32>;

    /// Returns the rows of a packed table `[_, inputs]` at `tokens`.
    fn embed(&self, packing: Packing, inputs: usize, table: &[f32], tokens: &[u32]) -> Vec<f32>;

    /// Computes the RMSNorm of rows as wide as `weight`.
    fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32) -> Vec<f32>;

    /// Returns the first of the largest numbers of each row of `v` numbers.
    fn argmax(&self, logits: &[f32], v: usize) -> Vec<u32>;

    /// Norms, rotates and stores all tokens of a sequence. Returns the attention `[tokens - first,
    /// n_q * d]` of those from `first` on.
    fn attention(&self, sequence: &Sequence, store: Store, first: usize, way: Way) -> Vec<f32>;
}

/// Kernels of one kind, and what holds for all of them.
pub(super) struct Family<'a> {
    pub(super) subjects: Vec<Box<dyn Subject + 'a>>,
    pub(super) packings: &'static [Packing],
    pub(super) stores: &'static [Store],
    pub(super) shapes: Shapes,
    /// Whether they are so slow that few cases have to do.
    pub(super) slow: bool,
    /// The largest error that rounding to the stored format may cause, relative to the larger of
    /// the result and 1. (Results of plain products are stored in f32.)
    pub(super) rounding: f64,
}

/// The shapes that the kernels are made for.
pub(super) struct Shapes {
    /// The number that inputs are a multiple of.
    pub(super) inputs: usize,
    /// The head sizes; empty if any even number will do.
    pub(super) head_sizes: &'static [usize],
    pub(super) block_tokens: &'static [usize],
    /// The most query heads that share a key/value head.
    pub(super) most_group: usize,
    /// The most rows of a product.
    pub(super) most_rows: usize,
}

/// The format that weights are packed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    Of(Format),
    /// e4m3 with one scale per row, made from bf16.
    F8,
}

impl Packing {
    /// Returns the rows in the format that they are packed from.
    pub(super) fn rows(self, inputs: usize, w: &[f32]) -> Rows {
        let format = if let Self::Of(format) = self { format } else { Format::Bf16 };
        Rows::from_floats(format, inputs, w)
    }

    /// Returns weights `[_, inputs]` after rounding to the format.
    pub(super) fn keep(self, inputs: usize, w: &[f32]) -> Vec<f32> {
        let rows = self.rows(inputs, w);
        let floats = (0..rows.outputs()).map(|row| rows.floats(row));
        floats.flat_map(|row| if self == Self::F8 { reference::as_f8(&row) } else { row }).collect()
    }
}

/// What a product rounds its operands to before it multiplies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arithmetic {
    /// Nothing is rounded.
    Exact,
    /// Activations are int8, 32 with one scale.
    Int8,
    /// Activations are bf16, and weights are what they are stored as.
    Bf16,
    /// Activations and weights are bf16.
    Bf16Both,
}

/// The format of keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Store {
    F32,
    F16,
    /// bf16, and so are queries.
    Bf16,
    /// int8; every head of a token has a scale for its key and one for its value.
    Int8,
}

/// How tokens are divided into steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// As many tokens at once as the kernels take.
    Prefill,
    /// At most so many tokens at once.
    Pieces(usize),
    /// One token at a time, as decode does.
    Decode,
}

impl Family<'_> {
    /// Draws some random cases, fewer for slow kernels.
    fn cases(&self, slow: u64, mut check: impl FnMut(&mut ChaCha8Rng)) {
        for seed in 0..if self.slow { slow } else { 24 } {
            check(&mut rng(seed));
        }
    }

    /// Draws the width of a matrix, less than `most`, which is more than the least width.
    fn inputs(&self, rng: &mut ChaCha8Rng, most: usize) -> usize {
        self.shapes.inputs * rng.random_range(1..=(most - 1) / self.shapes.inputs)
    }
}

/// Makes one test per check of the suite, for the family that `$family` returns if there is one.
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

/// Draws numbers from -1 to 1.
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
