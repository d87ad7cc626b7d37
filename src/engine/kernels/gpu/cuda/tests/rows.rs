//! The kernels that work on rows one by one: embedding, norm, silu, argmax.

use super::products::{FORMATS, Packed};
use super::*;
use crate::engine::kernels::gpu::cuda::BAD_SHAPE;
use crate::engine::kernels::gpu::{AddNorm, Argmax, Embed, Silu, Type, Weights};
use crate::engine::kernels::reference;
use std::ptr;

fn embed(api: &Api, table: &mut Packed, tokens: &[u32], bf16: bool) -> Vec<f32> {
    let tokens = Memory::of(tokens);
    let rows = tokens.get().len();
    in_every_order(|| {
        let (mut wide, mut narrow) =
            (Memory::filled(rows * table.inputs, f32::NAN), Memory::filled(rows * table.inputs, 0u16));
        let mut table = table.clone_memory();
        let mut tokens = Memory::of(&tokens.get());
        let args = Embed {
            table: table.weights.at().cast(),
            row_scales: table.scales.at(),
            tokens: tokens.at(),
            out: if bf16 { narrow.at().cast() } else { wide.at().cast() },
            rows: rows as u32,
            hidden: table.inputs as u32,
            vocabulary: table.outputs as u32,
            format: table.format,
            out_type: if bf16 { Type::Bf16 } else { Type::F32 },
        };
        // SAFETY: every pointer has the memory that the header asks for.
        succeed(api, unsafe { (api.cuda_embed)(&args, ptr::null_mut()) });
        if bf16 { floats(&narrow.get()) } else { wide.get() }
    })
}

#[test]
fn a_packed_table_gives_its_rows_back() {
    cases(4, |api, rng| {
        let (outputs, inputs) = (rng.random_range(1..60), 8 * rng.random_range(1..70));
        let w = numbers(rng, outputs * inputs);
        let tokens: Vec<u32> = (0..5).map(|_| rng.random_range(0..outputs as u32)).collect();
        for format in FORMATS {
            let mut table = Packed::new(api, format, inputs, &w, None);
            let expected: Vec<f32> = tokens.iter().flat_map(|&token| table.kept[token as usize].clone()).collect();
            if format != Weights::F8 {
                assert_eq!(embed(api, &mut table, &tokens, false), expected, "{format:?}");
                assert_eq!(embed(api, &mut table, &tokens, true), rounded(&expected));
            } else {
                assert_eq!(embed(api, &mut table, &tokens, false).len(), expected.len());
            }
            assert!(embed(api, &mut table, &[outputs as u32], false).iter().all(|&x| x == 0.0), "an unknown token");
        }
        let mut table = Packed::plain(inputs, &w);
        let expected: Vec<f32> = tokens.iter().flat_map(|&token| table.kept[token as usize].clone()).collect();
        assert_eq!(embed(api, &mut table, &tokens, false), expected);
    });
}

/// e4m3 has no type in Rust: its rows are near the numbers that they were made of.
#[test]
fn a_table_of_f8_is_near_what_it_was() {
    cases(2, |api, rng| {
        let (outputs, inputs) = (21, 136);
        let w = numbers(rng, outputs * inputs);
        let mut table = Packed::new(api, Weights::F8, inputs, &w, None);
        let tokens: Vec<u32> = (0..outputs as u32).collect();
        let found = embed(api, &mut table, &tokens, false);
        let exact: Vec<f64> = rounded(&w).into_iter().map(f64::from).collect();
        for (row, (found, exact)) in found.chunks(inputs).zip(exact.chunks(inputs)).enumerate() {
            let smallest = exact.iter().fold(0.0f64, |largest, x| largest.max(x.abs())) / 448.0 / 512.0;
            for (&a, &b) in found.iter().zip(exact) {
                assert!((f64::from(a) - b).abs() <= b.abs() / 16.0 + smallest, "{a} for {b} in row {row}");
            }
        }
    });
}

struct Normed {
    x: Vec<f32>,
    out: Vec<u16>,
}

fn add_norm(api: &Api, x: &[f32], addend: Option<(&[f32], Type)>, weight: &[f32], pick: Option<&[u32]>) -> Normed {
    let n = weight.len();
    let rows = pick.map_or(x.len() / n, <[u32]>::len);
    let (x, out) = in_every_order(|| {
        let (mut x, mut weight) = (Memory::of(x), Memory::of(weight));
        let mut wide = Memory::of(addend.map_or(&[][..], |(numbers, _)| numbers));
        let mut narrow = Memory::of(&bits(&wide.get()));
        let mut picked = Memory::of(pick.unwrap_or(&[]));
        let mut out = Memory::filled(rows * n, 0u16);
        let args = AddNorm {
            x: x.at(),
            addend: match addend {
                None => ptr::null(),
                Some((_, Type::F32)) => wide.at().cast(),
                Some((_, Type::Bf16)) => narrow.at().cast(),
            },
            weight: weight.at(),
            out: out.at(),
            pick: if pick.is_some() { picked.at() } else { ptr::null() },
            rows: rows as u32,
            n: n as u32,
            addend_type: addend.map_or(Type::F32, |(_, kind)| kind),
            eps: 1e-6,
        };
        // SAFETY: every pointer has the memory that the header asks for.
        succeed(api, unsafe { (api.cuda_add_norm)(&args, ptr::null_mut()) });
        (x.get(), out.get())
    });
    Normed { x, out }
}

#[test]
fn sums_and_norms_are_right() {
    cases(6, |api, rng| {
        let (rows, n) = (rng.random_range(1..4), 4 * rng.random_range(1..1100));
        let (x, addend, weight) = (numbers(rng, rows * n), numbers(rng, rows * n), numbers(rng, n));
        for kind in [None, Some(Type::F32), Some(Type::Bf16)] {
            let added = match kind {
                None => vec![0.0; rows * n],
                Some(Type::F32) => addend.clone(),
                Some(Type::Bf16) => rounded(&addend),
            };
            let sum: Vec<f32> = x.iter().zip(&added).map(|(a, b)| a + b).collect();
            let expected: Vec<f64> = sum.chunks(n).flat_map(|row| reference::rms_norm(row, &weight, 1e-6)).collect();
            let found = add_norm(api, &x, kind.map(|kind| (&addend[..], kind)), &weight, None);
            assert_eq!(found.x, sum);
            assert_close(&floats(&found.out), &expected, BF16);
        }
        let last = rows as u32 - 1;
        let picked = add_norm(api, &x, None, &weight, Some(&[last, 0, last]));
        let whole = add_norm(api, &x, None, &weight, None);
        let row = |row: u32| whole.out[row as usize * n..][..n].to_vec();
        assert_eq!(picked.out, [row(last), row(0), row(last)].concat());
    });
}

#[test]
fn gates_are_right() {
    cases(4, |api, rng| {
        let (rows, n) = (rng.random_range(1..4), 8 * rng.random_range(1..300));
        let mut gate_up: Vec<f32> = numbers(rng, rows * 2 * n).iter().map(|x| 8.0 * x).collect();
        gate_up[0] = -1e4;
        for kind in [Type::F32, Type::Bf16] {
            let kept = if kind == Type::F32 { gate_up.clone() } else { rounded(&gate_up) };
            let expected: Vec<f64> = kept
                .chunks(2 * n)
                .flat_map(|row| (0..n).map(|i| reference::silu(f64::from(row[i])) * f64::from(row[n + i])))
                .collect();
            let found = in_every_order(|| {
                let (mut wide, mut narrow) = (Memory::of(&gate_up), Memory::of(&bits(&gate_up)));
                let mut out = Memory::filled(rows * n, 0u16);
                let gate_up = if kind == Type::F32 { wide.at().cast() } else { narrow.at().cast() };
                let args = Silu { gate_up, out: out.at(), rows: rows as u32, n: n as u32, r#type: kind };
                // SAFETY: every pointer has the memory that the header asks for.
                succeed(api, unsafe { (api.cuda_silu)(&args, ptr::null_mut()) });
                out.get()
            });
            assert_close(&floats(&found), &expected, BF16);
        }
    });
}

fn argmax(api: &Api, logits: &[f32], rows: usize) -> Vec<(u32, u32)> {
    in_every_order(|| {
        let mut logits = Memory::of(logits);
        let (mut tokens, mut largest) = (Memory::filled(rows, u32::MAX), Memory::filled(rows, f32::NAN));
        // SAFETY: plain numbers.
        let mut workspace = Memory::filled(unsafe { (api.cuda_argmax_workspace_bytes)(rows as u32) }, 0xffu8);
        let mut counters = Memory::filled(rows, 0u32);
        let args = Argmax {
            logits: logits.at(),
            tokens: tokens.at(),
            largest: largest.at(),
            workspace: workspace.at().cast(),
            counters: counters.at(),
            rows: rows as u32,
            vocabulary: (logits.get().len() / rows) as u32,
        };
        // SAFETY: every pointer has the memory that the header asks for.
        succeed(api, unsafe { (api.cuda_argmax)(&args, ptr::null_mut()) });
        assert!(counters.get().iter().all(|&count| count == 0), "counters are left as they were found");
        tokens.get().into_iter().zip(largest.get().into_iter().map(f32::to_bits)).collect()
    })
}

#[test]
fn the_largest_logit_is_found_and_the_lowest_of_equals() {
    cases(8, |api, rng| {
        let (rows, v) = (rng.random_range(1..4), rng.random_range(1..9000));
        let mut logits = numbers(rng, rows * v);
        for _ in 0..6 {
            // Some equal maxima, some that are no numbers.
            let at = rng.random_range(0..rows * v);
            logits[at] = 2.0;
            let at = rng.random_range(0..rows * v);
            logits[at] = f32::NAN;
        }
        let best = |row: &[f32]| {
            let none = (0, f32::NEG_INFINITY);
            let better = |best: (u32, f32), (i, &x): (usize, &f32)| if x > best.1 { (i as u32, x) } else { best };
            let (token, logit) = row.iter().enumerate().fold(none, better);
            (token, logit.to_bits())
        };
        assert_eq!(argmax(api, &logits, rows), logits.chunks(v).map(best).collect::<Vec<_>>());
    });
}

#[test]
fn rows_without_a_number_give_token_0() {
    let Some(api) = kernels() else { return };
    let none = (0, f32::NEG_INFINITY.to_bits());
    assert_eq!(argmax(api, &[f32::NAN; 300], 1), [none]);
    assert_eq!(argmax(api, &[f32::NEG_INFINITY; 70], 2), [none; 2]);
    assert_eq!(argmax(api, &[f32::NAN, -3.0, f32::NAN], 1), [(1, (-3.0f32).to_bits())]);
    assert_eq!(argmax(api, &[f32::INFINITY; 5000], 1), [(0, f32::INFINITY.to_bits())]);
}

#[test]
fn shapes_that_are_not_supported_are_refused() {
    let Some(api) = kernels() else { return };
    let args = Silu { gate_up: ptr::null(), out: ptr::null_mut(), rows: 1, n: 12, r#type: Type::F32 };
    // SAFETY: it is refused before anything is read.
    assert_eq!(unsafe { (api.cuda_silu)(&args, ptr::null_mut()) }, BAD_SHAPE);
}
