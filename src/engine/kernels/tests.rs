//! The CPU's kernel sets in the suite, and what only they promise: vectors of one length give one
//! result, and the number of threads changes none.

use super::ops::Best;
use super::suite::{Arithmetic, Family, Packing, Product, Sequence, Shapes, Store, Subject, Way, numbers, rng, suite};
use super::*;
use crate::blocks::BlockId;
use rand::RngExt;
use std::ops::Range;

suite!(Some(sets()));

/// Returns all kernel sets, with one thread and with two.
fn computes() -> impl Iterator<Item = Compute> {
    KernelSet::available().into_iter().flat_map(|set| [1, 2].map(|t| Compute::with_kernels(Some(t), set).unwrap()))
}

const PACKINGS: [Packing; 5] = [
    Packing::Of(Format::F32),
    Packing::Of(Format::F16),
    Packing::Of(Format::Bf16),
    Packing::Of(Format::Q8_0),
    Packing::Of(Format::Q4K),
];

fn sets() -> Family<'static> {
    Family {
        subjects: computes().map(|compute| Box::new(compute) as Box<dyn Subject>).collect(),
        packings: &PACKINGS,
        stores: &[Store::F32, Store::F16, Store::Int8],
        shapes: Shapes { inputs: 1, head_sizes: &[], block_tokens: &[16, 32, 64], most_group: 8, most_rows: 70 },
        slow: false,
        rounding: 0.0,
    }
}

fn matrix(rows: usize, numbers: &[f32]) -> Matrix {
    let mut matrix = Matrix::new();
    matrix.resize(rows, numbers.len() / rows);
    matrix.as_mut_slice().copy_from_slice(numbers);
    matrix
}

impl Subject for Compute {
    fn name(&self) -> String {
        format!("{}, {} threads", self.kernels(), self.threads())
    }

    fn arithmetic(&self, packing: Packing, decode: bool) -> Arithmetic {
        match packing {
            Packing::Of(Format::Bf16) if self.kernels().has_bf16_pairs() => Arithmetic::Bf16,
            Packing::Of(Format::F32 | Format::F16 | Format::Bf16) => Arithmetic::Exact,
            _ if self.kernels().has_bf16_tiles() && !decode => Arithmetic::Bf16Both,
            _ => Arithmetic::Int8,
        }
    }

    fn product(&self, product: &Product<'_>) -> Vec<f32> {
        let Product { packing, inputs, w, .. } = *product;
        let weights = match product.up {
            Some(up) => Linear::gated(self, &packing.rows(inputs, w), &packing.rows(inputs, up)),
            None => {
                // In two parts, as q, k and v are one product.
                let (first, second) = w.split_at(product.outputs() / 2 * inputs);
                let parts = [first, second].map(|part| packing.rows(inputs, part));
                Linear::new(self, &[&parts[0], &parts[1]], product.bias.map(<[f32]>::to_vec))
            }
        };
        let (x, mut y) = (matrix(product.rows(), product.x), Matrix::new());
        let output = match product.onto {
            None => Output::Store,
            Some(onto) => {
                y = matrix(product.rows(), onto);
                Output::Add
            }
        };
        linear(self, (&x, product.decode_rows), &weights, &mut y, output);
        y.as_slice().to_vec()
    }

    fn embed(&self, packing: Packing, inputs: usize, table: &[f32], tokens: &[u32]) -> Vec<f32> {
        let mut out = Matrix::new();
        embed(self, &Linear::new(self, &[&packing.rows(inputs, table)], None), tokens, &mut out);
        out.as_slice().to_vec()
    }

    fn rms_norm(&self, x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
        let mut out = Matrix::new();
        rms_norm(self, &matrix(x.len() / weight.len(), x), weight, eps, &mut out);
        out.as_slice().to_vec()
    }

    fn argmax(&self, logits: &[f32], v: usize) -> Vec<u32> {
        // In two pieces, as two threads find it.
        let piece = |row: &[f32], range: Range<usize>| Best::of(self.kernels(), &row[range.clone()], range.start);
        logits.chunks(v).map(|row| piece(row, 0..v / 2).or(piece(row, v / 2..v)).output).collect()
    }

    fn attention(&self, sequence: &Sequence, store: Store, first: usize, way: Way) -> Vec<f32> {
        let Sequence { n_q, n_kv, d, block_tokens, tokens, .. } = *sequence;
        let format = match store {
            Store::F32 => KvFormat::F32,
            Store::F16 => KvFormat::F16,
            Store::Int8 => KvFormat::Int8,
            Store::Bf16 => unreachable!("no set of the CPU's keeps keys and values in bf16"),
        };
        let shape = KvShape { heads: Heads { n_q, n_kv, d }, block_tokens, format };
        let table: Vec<BlockId> = sequence.table.iter().map(|&block| BlockId(block)).collect();
        let positions: Vec<u32> = (0..tokens as u32).collect();
        let slots: Vec<u32> = (0..tokens).map(|position| sequence.slot(position) as u32).collect();
        let mut layer = shape.layer(sequence.blocks);
        let mut rotary = Rotary::new(d, Sequence::THETA);
        rotary.reach(tokens as u32);
        let norms = Norms { query: &sequence.q_norm, key: &sequence.k_norm, eps: Sequence::EPS };
        let mut qkv = matrix(tokens, &sequence.qkv);
        rotate_and_store(self, &mut qkv, Some(norms), &rotary, (&positions, &slots), shape, &mut layer);
        let span = |from: usize, rows: usize| Attend { first_row: from, rows, position: from, table: &table };
        let mut out = Matrix::new();
        let mut attend = |spans: &[Attend<'_>]| {
            attention(self, &qkv, spans, shape, &layer, &mut out);
            let rows = spans.iter().flat_map(|span| span.first_row..span.first_row + span.rows);
            rows.flat_map(|row| out.row(row).to_vec()).collect::<Vec<f32>>()
        };
        match way {
            Way::Prefill => attend(&[span(first, tokens - first)]),
            Way::Pieces(most) => {
                let pieces = (first..tokens).step_by(most).map(|from| span(from, most.min(tokens - from)));
                attend(&pieces.collect::<Vec<_>>())
            }
            Way::Decode => (first..tokens).flat_map(|row| attend(&[span(row, 1)])).collect(),
        }
    }
}

fn plain<'a>(packing: Packing, inputs: usize, x: &'a [f32], decode_rows: usize, w: &'a [f32]) -> Product<'a> {
    Product { packing, inputs, x, decode_rows, w, up: None, bias: None, onto: None }
}

#[test]
fn sets_with_one_vector_length_agree_bit_by_bit_on_quantized_weights() {
    for seed in 0..24 {
        let rng = &mut rng(seed);
        let (rows, inputs, outputs) = (rng.random_range(1..70), rng.random_range(1..600), rng.random_range(1..100));
        let (x, w) = (numbers(rng, rows * inputs), numbers(rng, outputs * inputs));
        for format in [Format::Q8_0, Format::Q4K] {
            let mut found: std::collections::HashMap<usize, Vec<f32>> = std::collections::HashMap::new();
            for compute in computes() {
                let y = compute.product(&plain(Packing::Of(format), inputs, &x, rows, &w));
                let first = found.entry(compute.kernels().lanes()).or_insert_with(|| y.clone());
                assert!(*first == y, "{} {format}", compute.name());
            }
        }
    }
}

/// The sizes at which a product is cut into pieces: at 1,024 inputs, and at 512 rows where prefill
/// rows become bf16.
#[test]
fn products_of_several_pieces_are_right() {
    for (case, (inputs, rows)) in [(1025, 30), (2048, 30), (3072, 17), (96, 600), (1056, 560)].into_iter().enumerate() {
        let (rng, outputs) = (&mut rng(case as u64), 37);
        let (x, w) = (numbers(rng, rows * inputs), numbers(rng, outputs * inputs));
        for packing in PACKINGS {
            // Decode rows and prefill rows, so that more than 512 are prefill rows where there are
            // more.
            plain(packing, inputs, &x, 20.min(rows / 3), &w).check(&sets());
        }
    }
}

#[test]
fn the_head_chooses_the_first_of_the_largest_whatever_the_threads() {
    // One weight per output: with an input of 1 the logits are the weights.
    let choose = |compute: &Compute, logits: &[f32]| {
        let head = Linear::new(compute, &[&Rows::from_floats(Format::F32, 1, logits)], None);
        let mut rows = Matrix::new();
        let chosen = linear_argmax(compute, &matrix(2, &[1.0, -1.0]), &head, &mut rows);
        assert_eq!(rows.row(0), logits, "the logits themselves come along");
        chosen
    };
    let outputs = 200_000;
    for set in KernelSet::available() {
        for threads in 1..=3 {
            let compute = Compute::with_kernels(Some(threads), set).unwrap();
            let mut logits: Vec<f32> = (0..outputs).map(|i| (i * 7919 % 1000) as f32 / 1000.0).collect();
            // Equal maxima in every third of the row, so in different pieces.
            for at in [50_001, 100_003, 180_007] {
                logits[at] = 2.0;
                logits[at + 11] = -2.0;
            }
            assert_eq!(choose(&compute, &logits), [50_001, 50_012], "{}, {threads} threads", set.name());
            logits[50_001] = f32::NAN;
            logits[50_012] = f32::NAN;
            assert_eq!(choose_beside_nan(&compute, &logits), [100_003, 100_014], "{}, {threads} threads", set.name());
            let nothing = vec![f32::NAN; outputs];
            assert_eq!(choose_beside_nan(&compute, &nothing), [0, 0], "{}, {threads} threads", set.name());
        }
    }
}

/// Chooses as the test above does, without comparing the logits, because NaN equals nothing.
fn choose_beside_nan(compute: &Compute, logits: &[f32]) -> Vec<u32> {
    let head = Linear::new(compute, &[&Rows::from_floats(Format::F32, 1, logits)], None);
    linear_argmax(compute, &matrix(2, &[1.0, -1.0]), &head, &mut Matrix::new())
}

#[test]
fn threads_do_not_change_a_product() {
    let (inputs, rng) = (128, &mut rng(5));
    let (x, w) = (numbers(rng, 64 * inputs), numbers(rng, 256 * inputs));
    for set in KernelSet::available() {
        let results = [1, 2, 3].map(|threads| {
            let compute = Compute::with_kernels(Some(threads), set).unwrap();
            PACKINGS.map(|packing| compute.product(&plain(packing, inputs, &x, 20, &w)))
        });
        assert!(results[0] == results[1] && results[0] == results[2]);
    }
}
