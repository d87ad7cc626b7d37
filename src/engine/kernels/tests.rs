//! Every kernel of every set that this machine has, against the reference, on odd shapes; and that a row's result does not
//! depend on its company.

use super::*;
use crate::base::{Seed, Stage};
use crate::engine::blocks::BlockId;
use proptest::prelude::*;
use rand::RngExt;

fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Seed(seed).derive(Stage::Weights, &[count as u64]).rng();
    (0..count).map(|_| 2.0 * rng.random::<f32>() - 1.0).collect()
}

fn matrix(rows: usize, cols: usize, seed: u64) -> Matrix {
    let mut matrix = Matrix::new();
    matrix.resize(rows, cols);
    matrix.as_mut_slice().copy_from_slice(&numbers(rows * cols, seed));
    matrix
}

const FORMATS: [Format; 4] = [Format::F32, Format::Bf16, Format::Q8_0, Format::Q4K];

fn packed(compute: &Compute, format: Format, inputs: usize, w: &[f32]) -> Linear {
    Linear::new(compute, &[&Rows::from_floats(format, inputs, w)], None)
}

fn gated(compute: &Compute, format: Format, inputs: usize, gate: &[f32], up: &[f32]) -> Linear {
    let [gate, up] = [gate, up].map(|part| Rows::from_floats(format, inputs, part));
    Linear::gated(compute, &gate, &up)
}

/// All kernel sets, with one thread and with two.
fn computes() -> impl Iterator<Item = Compute> {
    KernelSet::available().into_iter().flat_map(|set| [1, 2].map(|t| Compute::with_kernels(Some(t), set).unwrap()))
}

fn assert_close(found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (&a, &b)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(a) - b).abs() <= tolerance * (1.0 + b.abs()), "{a} for {b} at {i}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn products_are_right(rows in 1usize..40, inputs in 1usize..90, outputs in 1usize..150, seed: u64) {
        let (x, w, bias) = (matrix(rows, inputs, seed), numbers(outputs * inputs, seed ^ 1), numbers(outputs, seed ^ 2));
        let product = reference::linear(x.as_slice(), &w, inputs);
        let with_bias: Vec<f64> = product.iter().zip(bias.iter().cycle()).map(|(p, b)| p + f64::from(*b)).collect();
        let twice: Vec<f64> = with_bias.iter().zip(&product).map(|(a, b)| a + b).collect();
        for compute in computes() {
            let split = outputs / 2 * inputs;
            let parts = [&w[..split], &w[split..]].map(|part| Rows::from_floats(Format::F32, inputs, part));
            let both = Linear::new(&compute, &[&parts[0], &parts[1]], Some(bias.clone()));
            let mut y = Matrix::new();
            linear(&compute, (&x, x.rows()), &both, &mut y, Output::Store);
            assert_close(y.as_slice(), &with_bias, 1e-5);
            linear(&compute, (&x, x.rows()), &packed(&compute, Format::F32, inputs, &w), &mut y, Output::Add);
            assert_close(y.as_slice(), &twice, 1e-5);
        }
    }

    #[test]
    fn products_with_quantized_weights_are_right(
        (rows, generated) in (1usize..70, 0usize..70),
        inputs in 1usize..600, outputs in 1usize..100, gate: bool, seed: u64,
    ) {
        let generated = generated.min(rows);
        let (x, w, up) =
            (matrix(rows, inputs, seed), numbers(outputs * inputs, seed ^ 1), numbers(outputs * inputs, seed ^ 2));
        for format in [Format::Bf16, Format::Q8_0, Format::Q4K] {
            let kept = |w: &[f32]| -> Vec<f32> {
                let kept = Rows::from_floats(format, inputs, w);
                (0..outputs).flat_map(|row| kept.floats(row)).collect()
            };
            let product = |x: &[f32], round: fn(&[f32]) -> Vec<f32>| {
                let gates = reference::linear(x, &round(&kept(&w)), inputs);
                if !gate {
                    return gates;
                }
                let ups = reference::linear(x, &round(&kept(&up)), inputs);
                gates.iter().zip(ups).map(|(g, u)| reference::silu(*g) * u).collect()
            };
            let of_floats = || product(x.as_slice(), <[f32]>::to_vec);
            let of_bytes = || product(&reference::as_bytes(x.as_slice(), inputs), <[f32]>::to_vec);
            let mut of_tiles = product(&reference::as_bf16(x.as_slice()), reference::as_bf16_away_from_zero);
            let exact = if format == Format::Bf16 { of_floats() } else { of_bytes() };
            of_tiles[..generated * outputs].copy_from_slice(&exact[..generated * outputs]);
            for compute in computes() {
                let tiles = compute.kernels().has_bf16_tiles() && format != Format::Bf16;
                let expected = if tiles { &of_tiles } else { &exact };
                let weights =
                    if gate { gated(&compute, format, inputs, &w, &up) } else { packed(&compute, format, inputs, &w) };
                let mut y = Matrix::new();
                linear(&compute, (&x, generated), &weights, &mut y, Output::Store);
                // A weight of Q4_K that lies all but half-way between two numbers of bf16 may become the other one.
                let tolerance = if tiles && format == Format::Q4K { 2e-2 } else { 1e-3 };
                assert_close(y.as_slice(), expected, tolerance);
            }
        }
    }

    #[test]
    fn sets_with_one_vector_length_agree_bit_by_bit_on_quantized_weights(
        rows in 1usize..70, inputs in 1usize..600, outputs in 1usize..100, seed: u64,
    ) {
        let (x, w) = (matrix(rows, inputs, seed), numbers(outputs * inputs, seed ^ 1));
        for format in [Format::Q8_0, Format::Q4K] {
            let mut found: std::collections::HashMap<usize, Vec<f32>> = std::collections::HashMap::new();
            for compute in computes() {
                let mut y = Matrix::new();
                linear(&compute, (&x, x.rows()), &packed(&compute, format, inputs, &w), &mut y, Output::Store);
                let first = found.entry(compute.kernels().lanes()).or_insert_with(|| y.as_slice().to_vec());
                prop_assert!(first == y.as_slice(), "{} {format}", compute.kernels());
            }
        }
    }

    #[test]
    fn gated_products_are_right(rows in 1usize..30, inputs in 1usize..50, outputs in 1usize..70, seed: u64) {
        let (x, gate, up) =
            (matrix(rows, inputs, seed), numbers(outputs * inputs, seed ^ 1), numbers(outputs * inputs, seed ^ 2));
        let gates = reference::linear(x.as_slice(), &gate, inputs);
        let ups = reference::linear(x.as_slice(), &up, inputs);
        let expected: Vec<f64> = gates.iter().zip(ups).map(|(g, u)| reference::silu(*g) * u).collect();
        for compute in computes() {
            let mut y = Matrix::new();
            linear(&compute, (&x, x.rows()), &gated(&compute, Format::F32, inputs, &gate, &up), &mut y, Output::Store);
            assert_close(y.as_slice(), &expected, 1e-5);
        }
    }

    #[test]
    fn norms_are_right(rows in 1usize..40, cols in 1usize..300, seed: u64) {
        let (x, weight) = (matrix(rows, cols, seed), numbers(cols, seed ^ 1));
        let expected: Vec<f64> = (0..rows).flat_map(|row| reference::rms_norm(x.row(row), &weight, 1e-6)).collect();
        for compute in computes() {
            let mut out = Matrix::new();
            rms_norm(&compute, &x, &weight, 1e-6, &mut out);
            assert_close(out.as_slice(), &expected, 1e-5);
        }
    }

    /// Rotation, storing and attention together: a sequence in scattered blocks, its last tokens in one step, and each of them
    /// once more alone, which must be bitwise the same.
    #[test]
    fn attention_is_right_and_does_not_depend_on_the_tile(
        (n_kv, group) in (1usize..3, 1usize..5),
        half in 1usize..40,
        (tokens, last) in (1usize..200, 1usize..60),
        wide: bool,
        half_floats: bool,
        seed: u64,
    ) {
        let (d, last) = (2 * half, last.min(tokens));
        let heads = Heads { n_q: n_kv * group, n_kv, d };
        let (format, tolerance) = if half_floats { (KvFormat::F16, 2e-3) } else { (KvFormat::F32, 2e-4) };
        let shape = KvShape { heads, block_tokens: if wide { 64 } else { 16 }, format };
        let width = (heads.n_q + 2 * n_kv) * d;
        let (q_norm, k_norm) = (numbers(d, seed ^ 1), numbers(d, seed ^ 2));
        let blocks = tokens.div_ceil(shape.block_tokens) as u32;
        let table: Vec<BlockId> = (0..blocks).map(|block| BlockId(2 * (blocks - block))).collect();
        let positions: Vec<u32> = (0..tokens as u32).collect();
        let slot = |at: u32| {
            let size = shape.block_tokens as u32;
            table[(at / size) as usize].0 * size + at % size
        };
        let slots: Vec<u32> = positions.iter().map(|&at| slot(at)).collect();
        let raw = matrix(tokens, width, seed);
        let head = |row: usize, head: usize| &raw.row(row)[head * d..(head + 1) * d];
        let turned = |row: usize, at: usize, norm: &[f32]| -> Vec<f32> {
            let normed = reference::rms_norm(head(row, at), norm, 1e-6);
            reference::rotate(&normed, row as u32, 1e4).iter().map(|&x| x as f32).collect()
        };
        let mut expected = Vec::new();
        for row in tokens - last..tokens {
            for q_head in 0..heads.n_q {
                let kv_head = q_head / group;
                let keys: Vec<_> = (0..=row).map(|key| turned(key, heads.n_q + kv_head, &k_norm)).collect();
                let values: Vec<_> = (0..=row).map(|key| head(key, heads.n_q + n_kv + kv_head).to_vec()).collect();
                expected.extend(reference::attention(&turned(row, q_head, &q_norm), &keys, &values));
            }
        }
        for compute in computes() {
            let mut layer = shape.layer(2 * blocks as usize + 1);
            let mut rotary = Rotary::new(d, 1e4);
            rotary.reach(tokens as u32);
            let norms = Norms { query: &q_norm, key: &k_norm, eps: 1e-6 };
            let mut qkv = matrix(tokens, width, seed);
            rotate_and_store(&compute, &mut qkv, norms, &rotary, (&positions, &slots), shape, &mut layer);
            let mut out = Matrix::new();
            let together = Attend { first_row: tokens - last, rows: last, position: tokens - last, table: &table };
            attention(&compute, &qkv, &[together], shape, &layer, &mut out);
            let first = (tokens - last) * heads.n_q * d;
            assert_close(&out.as_slice()[first..], &expected, tolerance);
            for row in tokens - last..tokens {
                let mut alone = Matrix::new();
                let attend = Attend { first_row: row, rows: 1, position: row, table: &table };
                attention(&compute, &qkv, &[attend], shape, &layer, &mut alone);
                prop_assert_eq!(alone.row(row), out.row(row));
            }
        }
    }
}

#[test]
fn a_row_of_a_product_does_not_depend_on_the_others() {
    let (inputs, outputs) = (70, 45);
    let (x, w) = (matrix(50, inputs, 3), numbers(outputs * inputs, 4));
    for (compute, format) in computes().flat_map(|compute| FORMATS.map(|format| (compute.clone(), format))) {
        let packed = packed(&compute, format, inputs, &w);
        let [of_prompts, of_generated] = [0, 50].map(|generated| {
            let mut together = Matrix::new();
            linear(&compute, (&x, generated), &packed, &mut together, Output::Store);
            together
        });
        for rows in 1..30 {
            let mut part = Matrix::new();
            select_rows(&x, &(0..rows).map(|row| 49 - row).collect::<Vec<_>>(), &mut part);
            for generated in [0, rows / 3, rows] {
                let mut y = Matrix::new();
                linear(&compute, (&part, generated), &packed, &mut y, Output::Store);
                let together = |row| if row < generated { &of_generated } else { &of_prompts };
                assert!((0..rows).all(|row| y.row(row) == together(row).row(49 - row)));
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_product() {
    let (x, w) = (matrix(64, 128, 5), numbers(256 * 128, 6));
    for set in KernelSet::available() {
        let results = [1, 2, 3].map(|threads| {
            let compute = Compute::with_kernels(Some(threads), set).unwrap();
            let product = |format| {
                let mut y = Matrix::new();
                linear(&compute, (&x, 20), &packed(&compute, format, 128, &w), &mut y, Output::Store);
                y.as_slice().to_vec()
            };
            FORMATS.map(product)
        });
        assert!(results[0] == results[1] && results[0] == results[2]);
    }
}

#[test]
fn a_packed_table_gives_its_rows_back() {
    let w = numbers(37 * 21, 7);
    for compute in computes() {
        for format in FORMATS {
            let table = packed(&compute, format, 21, &w);
            let mut out = Matrix::new();
            embed(&compute, &table, &[36, 0, 5], &mut out);
            let kept = Rows::from_floats(format, 21, &w);
            assert_eq!(out.as_slice(), [36, 0, 5].map(|row| kept.floats(row)).concat());
        }
    }
}
