//! The kernels that work on rows one by one: embedding, norm, choice of tokens.

use super::products::Packed;
use super::*;
use crate::engine::kernels::gpu::{AddNorm, Argmax, Embed, Type};
use crate::engine::kernels::reference;
use crate::engine::kernels::suite::Packing;
use std::ptr;

pub(super) fn embed(kernels: &dyn Kernels, table: &mut Packed, tokens: &[u32], bf16: bool) -> Vec<f32> {
    let tokens = Memory::of(tokens);
    let rows = tokens.get().len();
    in_every_order(kernels, || {
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
        run(kernels, &Launch::Embed(args));
        if bf16 { floats(&narrow.get()) } else { wide.get() }
    })
}

/// As bf16, out of rows that are not packed, and where there is no such token.
pub(in crate::engine::kernels::gpu) fn tables_are_read_in_other_ways(kernels: &dyn Kernels) {
    cases(4, |rng| {
        let (outputs, inputs) = (rng.random_range(1..60), 8 * rng.random_range(1..70));
        let w = numbers(rng, outputs * inputs);
        let tokens: Vec<u32> = (0..5).map(|_| rng.random_range(0..outputs as u32)).collect();
        for &packing in kernels.packings() {
            let mut table = Packed::new(kernels, packing, inputs, &w, None);
            let found = embed(kernels, &mut table, &tokens, false);
            assert_eq!(embed(kernels, &mut table, &tokens, true), rounded(&found), "{packing:?}");
            assert!(embed(kernels, &mut table, &[outputs as u32], false).iter().all(|&x| x == 0.0), "an unknown token");
        }
        let kept = rounded(&w);
        let expected: Vec<f32> =
            tokens.iter().flat_map(|&token| &kept[token as usize * inputs..][..inputs]).copied().collect();
        assert_eq!(embed(kernels, &mut Packed::plain(inputs, &w), &tokens, false), expected);
    });
}

/// For kernels that have e4m3, which has no type in Rust: its rows are near the numbers that they
/// were made of.
pub(in crate::engine::kernels::gpu) fn a_table_of_f8_is_near_what_it_was(kernels: &dyn Kernels) {
    cases(2, |rng| {
        let (outputs, inputs) = (21, 136);
        let w = numbers(rng, outputs * inputs);
        let mut table = Packed::new(kernels, Packing::F8, inputs, &w, None);
        let tokens: Vec<u32> = (0..outputs as u32).collect();
        let found = embed(kernels, &mut table, &tokens, false);
        let exact: Vec<f64> = rounded(&w).into_iter().map(f64::from).collect();
        for (row, (found, exact)) in found.chunks(inputs).zip(exact.chunks(inputs)).enumerate() {
            let smallest = exact.iter().fold(0.0f64, |largest, x| largest.max(x.abs())) / 448.0 / 512.0;
            for (&a, &b) in found.iter().zip(exact) {
                assert!((f64::from(a) - b).abs() <= b.abs() / 16.0 + smallest, "{a} for {b} in row {row}");
            }
        }
    });
}

pub(super) struct Normed {
    x: Vec<f32>,
    pub(super) out: Vec<u16>,
}

pub(super) fn add_norm(
    kernels: &dyn Kernels,
    x: &[f32],
    addend: Option<(&[f32], Type)>,
    weight: &[f32],
    pick: Option<&[u32]>,
) -> Normed {
    let n = weight.len();
    let rows = pick.map_or(x.len() / n, <[u32]>::len);
    let (x, out) = in_every_order(kernels, || {
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
        run(kernels, &Launch::AddNorm(args));
        (x.get(), out.get())
    });
    Normed { x, out }
}

pub(in crate::engine::kernels::gpu) fn sums_are_added_and_rows_picked(kernels: &dyn Kernels) {
    cases(6, |rng| {
        let (rows, n) = (rng.random_range(1..4), 4 * rng.random_range(1..1100));
        let (x, addend, weight) = (numbers(rng, rows * n), numbers(rng, rows * n), numbers(rng, n));
        for kind in [Type::F32, Type::Bf16] {
            let added = if kind == Type::F32 { addend.clone() } else { rounded(&addend) };
            let sum: Vec<f32> = x.iter().zip(&added).map(|(a, b)| a + b).collect();
            let expected: Vec<f64> = sum.chunks(n).flat_map(|row| reference::rms_norm(row, &weight, 1e-6)).collect();
            let found = add_norm(kernels, &x, Some((&addend[..], kind)), &weight, None);
            assert_eq!(found.x, sum);
            assert_close("sums", &floats(&found.out), &expected, BF16);
        }
        let last = rows as u32 - 1;
        let picked = add_norm(kernels, &x, None, &weight, Some(&[last, 0, last]));
        let whole = add_norm(kernels, &x, None, &weight, None);
        let row = |row: u32| whole.out[row as usize * n..][..n].to_vec();
        assert_eq!(picked.out, [row(last), row(0), row(last)].concat());
    });
}

/// As wide as a hidden state may be, and wider than a block of the embedding takes at once.
pub(in crate::engine::kernels::gpu) fn the_widest_rows_are_read_and_normed(kernels: &dyn Kernels) {
    let (rng, n) = (&mut rng(7), 8192);
    let (x, addend, weight) = (numbers(rng, 2 * n), numbers(rng, 2 * n), numbers(rng, n));
    let sum: Vec<f32> = x.iter().zip(&addend).map(|(a, b)| a + b).collect();
    let expected: Vec<f64> = sum.chunks(n).flat_map(|row| reference::rms_norm(row, &weight, 1e-6)).collect();
    let found = add_norm(kernels, &x, Some((&addend[..], Type::F32)), &weight, None);
    assert_eq!(found.x, sum);
    assert_close("sums", &floats(&found.out), &expected, BF16);
    let w = numbers(rng, 3 * n);
    for &packing in kernels.packings().iter().filter(|packing| **packing != Packing::F8) {
        let mut table = Packed::new(kernels, packing, n, &w, None);
        assert_eq!(embed(kernels, &mut table, &[2, 0], false), {
            let kept = packing.keep(n, &w);
            [&kept[2 * n..], &kept[..n]].concat()
        });
    }
}

/// By row, the token and the bits of its logit.
pub(super) fn argmax(kernels: &dyn Kernels, logits: &[f32], rows: usize) -> Vec<(u32, u32)> {
    in_every_order(kernels, || {
        let mut logits = Memory::of(logits);
        let (mut tokens, mut largest) = (Memory::filled(rows, u32::MAX), Memory::filled(rows, f32::NAN));
        let mut workspace = Memory::filled(kernels.rules().argmax_bytes(rows), 0xffu8);
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
        run(kernels, &Launch::Argmax(args));
        assert!(counters.get().iter().all(|&count| count == 0), "counters are left as they were found");
        tokens.get().into_iter().zip(largest.get().into_iter().map(f32::to_bits)).collect()
    })
}
