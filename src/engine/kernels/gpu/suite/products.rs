//! Products with packed weights.

use super::*;
use crate::kernels::gpu::{Epilogue, Linear, Weights};
use crate::kernels::suite::Packing;
use crate::kernels::{Format, Rows, reference};
use std::ptr;

/// A packed matrix.
pub(super) struct Packed {
    pub(super) format: Weights,
    pub(super) inputs: usize,
    /// Gate and up together where it is gated.
    pub(super) outputs: usize,
    pub(super) weights: Memory<u8>,
    pub(super) scales: Memory<f32>,
}

/// As launches name it.
pub(in crate::kernels::gpu) fn weights(packing: Packing) -> Weights {
    match packing {
        Packing::Of(Format::F32 | Format::F16) => unreachable!("no GPU has weights in f32 or f16"),
        Packing::Of(Format::Bf16) => Weights::Bf16,
        Packing::Of(Format::Q8_0) => Weights::Q8_0,
        Packing::Of(Format::Q4K) => Weights::Q4K,
        Packing::F8 => Weights::F8,
    }
}

impl Packed {
    pub(super) fn new(kernels: &dyn Kernels, packing: Packing, inputs: usize, w: &[f32], up: Option<&[f32]>) -> Self {
        let format = weights(packing);
        let parts: Vec<Rows> = [Some(w), up].into_iter().flatten().map(|w| packing.rows(inputs, w)).collect();
        let outputs = parts[0].outputs() * parts.len();
        let bytes = kernels.rules().packed_bytes(format, inputs, outputs);
        let (mut weights, mut scales) = (vec![0u8; bytes], vec![0.0f32; outputs.next_multiple_of(16)]);
        kernels.pack(format, &parts[0], parts.get(1), &mut weights, &mut scales);
        Self { format, inputs, outputs, weights: Memory::of(&weights), scales: Memory::of(&scales) }
    }

    /// A table of rows in bf16, not packed.
    pub(super) fn plain(inputs: usize, w: &[f32]) -> Self {
        let bytes: Vec<u8> = bits(w).into_iter().flat_map(u16::to_le_bytes).collect();
        let (weights, scales) = (Memory::of(&bytes), Memory::of(&[]));
        Self { format: Weights::RowsBf16, inputs, outputs: w.len() / inputs, weights, scales }
    }

    pub(super) fn clone_memory(&self) -> Self {
        Self { weights: Memory::of(&self.weights.get()), scales: Memory::of(&self.scales.get()), ..*self }
    }
}

/// A launch of a product.
pub(super) struct Multiply<'a> {
    rows: usize,
    x: &'a [u16],
    pub(super) epilogue: Epilogue,
    pub(super) bias: Option<&'a [f32]>,
    pub(super) y: Vec<f32>,
    splits: u32,
    /// Where it is to be less than what the kernels have.
    shared_limit: Option<u32>,
}

impl<'a> Multiply<'a> {
    pub(super) fn new(x: &'a [u16], weights: &Packed, splits: u32) -> Self {
        let rows = x.len() / weights.inputs;
        let y = vec![0.0; rows * weights.outputs];
        Self { rows, x, epilogue: Epilogue::StoreF32, bias: None, y, splits, shared_limit: None }
    }

    /// `y` as numbers. `orders`: in all orders, which takes three times as long.
    pub(super) fn run(&self, kernels: &dyn Kernels, weights: &Packed, orders: bool) -> Vec<f32> {
        if orders { in_every_order(kernels, || self.once(kernels, weights)) } else { self.once(kernels, weights) }
    }

    fn once(&self, kernels: &dyn Kernels, packed: &Packed) -> Vec<f32> {
        let mut packed = packed.clone_memory();
        let (rows, inputs, outputs) = (self.rows as u32, packed.inputs as u32, packed.outputs as u32);
        let needs = kernels.rules().linear_needs(self.rows, packed.outputs, self.splits);
        let (mut workspace, mut counters) =
            (Memory::filled(needs.workspace_bytes, 0xffu8), Memory::filled(needs.counters, 0u32));
        let (mut x, mut bias) = (Memory::of(self.x), Memory::of(self.bias.unwrap_or(&[])));
        let (mut wide, mut narrow) = (Memory::of(&self.y), Memory::of(&bits(&self.y)));
        let is_wide = matches!(self.epilogue, Epilogue::StoreF32 | Epilogue::AddF32);
        let args = Linear {
            x: x.at(),
            weights: packed.weights.at().cast(),
            row_scales: packed.scales.at(),
            bias: if self.bias.is_some() { bias.at() } else { ptr::null() },
            y: if is_wide { wide.at().cast() } else { narrow.at().cast() },
            workspace: workspace.at().cast(),
            counters: counters.at(),
            rows,
            inputs,
            outputs,
            x_stride: inputs,
            y_stride: if self.epilogue == Epilogue::Gated { outputs / 2 } else { outputs },
            format: packed.format,
            epilogue: self.epilogue,
            splits: self.splits,
            shared_limit: self.shared_limit.unwrap_or(kernels.shared_limit()),
        };
        run(kernels, &Launch::Linear(args));
        assert!(counters.get().iter().all(|&count| count == 0), "counters are left as they were found");
        if is_wide { wide.get() } else { floats(&narrow.get()) }
    }
}

/// Bricks along the inputs, in CUDA's packing.
pub(in crate::kernels::gpu) fn bricks(format: Weights, inputs: usize) -> u32 {
    let width = match format {
        Weights::Bf16 => 64,
        Weights::Q4K => 256,
        _ => 128,
    };
    inputs.div_ceil(width) as u32
}

/// With a bias, onto what is there, and in bf16: the same numbers to the last bit.
pub(in crate::kernels::gpu) fn products_end_in_every_way(kernels: &dyn Kernels) {
    cases(4, |rng| {
        let (rows, outputs, inputs) = (rng.random_range(1..30), rng.random_range(1..150), 8 * rng.random_range(1..80));
        let (x, w, bias) = (numbers(rng, rows * inputs), numbers(rng, outputs * inputs), numbers(rng, outputs));
        for &packing in kernels.packings() {
            let weights = Packed::new(kernels, packing, inputs, &w, None);
            let x = bits(&x);
            let mut product = Multiply::new(&x, &weights, rng.random_range(1..=bricks(weights.format, inputs).min(5)));
            let found = product.run(kernels, &weights, true);
            product.bias = Some(&bias);
            product.epilogue = Epilogue::AddF32;
            product.y = numbers(rng, rows * outputs);
            let biased = |i: usize| found[i] + bias[i % outputs];
            let expected: Vec<f32> = (0..rows * outputs).map(|i| product.y[i] + biased(i)).collect();
            assert_eq!(product.run(kernels, &weights, false), expected);
            product.epilogue = Epilogue::StoreBf16;
            let expected = rounded(&(0..rows * outputs).map(biased).collect::<Vec<_>>());
            assert_eq!(product.run(kernels, &weights, false), expected);
        }
    });
}

/// More rows than a device with less shared memory takes at once, in two parts of the inputs.
pub(in crate::kernels::gpu) fn passes_and_splits_change_no_row(kernels: &dyn Kernels) {
    let rng = &mut rng(0);
    let (rows, outputs, inputs) = (89, 40, 512);
    let (x, w) = (bits(&numbers(rng, rows * inputs)), numbers(rng, outputs * inputs));
    for &packing in kernels.packings() {
        let weights = Packed::new(kernels, packing, inputs, &w, None);
        let mut whole = Multiply::new(&x, &weights, 2);
        let together = whole.run(kernels, &weights, false);
        whole.shared_limit = Some(99 * 1024);
        assert!(whole.run(kernels, &weights, false) == together, "two passes");
        for count in [1, 8, 9, 17, 25, 40, 41, 80] {
            let found = Multiply::new(&x[..count * inputs], &weights, 2).run(kernels, &weights, false);
            assert!(found == together[..count * outputs], "{count} rows of {packing:?}");
        }
    }
}

/// Runs a product of so many rows that it takes `tiles[0]` tiles of them, of outputs that fill
/// `tiles[1]` blocks, in `tiles[2]` parts of the inputs.
pub(in crate::kernels::gpu) fn a_product_of_many_tiles(kernels: &dyn Kernels, tiles: [u32; 3]) {
    let rng = &mut rng(3);
    let (rows, outputs, inputs) = (80 * tiles[0] as usize - 7, 128 * tiles[1] as usize - 5, 256);
    let (x, w) = (bits(&numbers(rng, rows * inputs)), numbers(rng, outputs * inputs));
    let weights = Packed::new(kernels, Packing::Of(Format::Bf16), inputs, &w, None);
    Multiply::new(&x, &weights, tiles[2]).run(kernels, &weights, false);
}

/// So many inputs that a block takes every place of its ring of bricks several times, whatever the
/// packing and the number of rows; whole, and in two parts.
pub(in crate::kernels::gpu) fn rings_of_bricks_are_filled_again(kernels: &dyn Kernels) {
    let rng = &mut rng(6);
    let (most_rows, outputs, inputs) = (80, 20, 2120);
    let (x, w) = (numbers(rng, most_rows * inputs), numbers(rng, outputs * inputs));
    let (x, exact_x) = (bits(&x), rounded(&x));
    for &packing in kernels.packings() {
        let weights = Packed::new(kernels, packing, inputs, &w, None);
        let exact = reference::linear(&exact_x, &packing.keep(inputs, &w), inputs);
        for rows in [1, 8, 16, 24, 40, 80] {
            for splits in [1, 2] {
                let product = Multiply::new(&x[..rows * inputs], &weights, splits);
                let found = product.run(kernels, &weights, rows <= 16 && splits == 1);
                assert_close(&format!("{rows} rows of {packing:?}"), &found, &exact[..rows * outputs], 1e-4);
            }
        }
    }
}
