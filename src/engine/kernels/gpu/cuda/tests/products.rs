//! Products with packed weights.

use super::*;
use crate::engine::kernels::gpu::{Epilogue, Linear, Weights};
use crate::engine::kernels::{Format, Rows, reference};
use std::ptr;

pub(super) const FORMATS: [Weights; 4] = [Weights::Bf16, Weights::Q8_0, Weights::Q4K, Weights::F8];

/// A packed matrix, and what its weights are.
pub(super) struct Packed {
    pub(super) format: Weights,
    pub(super) inputs: usize,
    /// Gate and up together where it is gated.
    pub(super) outputs: usize,
    pub(super) weights: Memory<u8>,
    pub(super) scales: Memory<f32>,
    /// The rows as the format keeps them.
    pub(super) kept: Vec<Vec<f32>>,
}

impl Packed {
    pub(super) fn new(api: &Api, format: Weights, inputs: usize, w: &[f32], up: Option<&[f32]>) -> Self {
        let kind = match format {
            Weights::Q8_0 => Format::Q8_0,
            Weights::Q4K => Format::Q4K,
            _ => Format::Bf16,
        };
        let parts: Vec<Rows> =
            [Some(w), up].into_iter().flatten().map(|w| Rows::from_floats(kind, inputs, w)).collect();
        let rows = parts[0].outputs();
        let outputs = rows * parts.len();
        let up = parts.get(1).map_or(ptr::null(), |up| up.bytes().as_ptr());
        // SAFETY: plain numbers.
        let bytes = unsafe { (api.cuda_packed_bytes)(format as u32, inputs as u32, outputs as u32) };
        let (mut weights, mut scales) =
            (Memory::filled(bytes, 0u8), Memory::filled(outputs.next_multiple_of(16), 0.0f32));
        // SAFETY: source and target have the sizes that the header asks for.
        succeed(api, unsafe {
            (api.cuda_pack)(
                format as u32,
                parts[0].bytes().as_ptr().cast(),
                up.cast(),
                rows as u32,
                inputs as u32,
                weights.at().cast(),
                scales.at(),
            )
        });
        let rows = parts.iter().flat_map(|part| (0..rows).map(|row| part.floats(row)));
        let kept = if format == Weights::F8 { rows.map(|row| as_f8(&row)).collect() } else { rows.collect() };
        Self { format, inputs, outputs, weights, scales, kept }
    }

    /// A table of rows in bf16, not packed.
    pub(super) fn plain(inputs: usize, w: &[f32]) -> Self {
        let bytes: Vec<u8> = bits(w).into_iter().flat_map(u16::to_le_bytes).collect();
        let kept: Vec<Vec<f32>> = rounded(w).chunks(inputs).map(<[f32]>::to_vec).collect();
        let scales = Memory::of(&[]);
        Self { format: Weights::RowsBf16, inputs, outputs: kept.len(), weights: Memory::of(&bytes), scales, kept }
    }

    pub(super) fn clone_memory(&self) -> Self {
        let (weights, scales) = (Memory::of(&self.weights.get()), Memory::of(&self.scales.get()));
        Self { weights, scales, kept: Vec::new(), ..*self }
    }

    /// The product of the weights that are kept, in f64.
    fn product(&self, x: &[f32]) -> Vec<f64> {
        reference::linear(x, &self.kept.concat(), self.inputs)
    }
}

struct Product<'a> {
    rows: usize,
    x: &'a [u16],
    epilogue: Epilogue,
    bias: Option<&'a [f32]>,
    y: Vec<f32>,
    splits: u32,
    shared_limit: u32,
}

impl<'a> Product<'a> {
    fn new(x: &'a [u16], weights: &Packed, splits: u32) -> Self {
        let rows = x.len() / weights.inputs;
        let y = vec![0.0; rows * weights.outputs];
        Self { rows, x, epilogue: Epilogue::StoreF32, bias: None, y, splits, shared_limit: 227 * 1024 }
    }

    /// `y` as numbers. `orders`: in all orders, which takes three times as long.
    fn run(&self, api: &Api, weights: &Packed, orders: bool) -> Vec<f32> {
        if orders { in_every_order(|| self.once(api, weights)) } else { self.once(api, weights) }
    }

    fn once(&self, api: &Api, packed: &Packed) -> Vec<f32> {
        let mut packed = packed.clone_memory();
        let (rows, inputs, outputs) = (self.rows as u32, packed.inputs as u32, packed.outputs as u32);
        // SAFETY: plain numbers.
        let (bytes, counters) = unsafe {
            (
                (api.cuda_linear_workspace_bytes)(rows, outputs, self.splits),
                (api.cuda_linear_counters)(rows, outputs, self.splits),
            )
        };
        let (mut workspace, mut counters) = (Memory::filled(bytes, 0xffu8), Memory::filled(counters, 0u32));
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
            shared_limit: self.shared_limit,
        };
        // SAFETY: every pointer has the memory that the header asks for.
        succeed(api, unsafe { (api.cuda_linear)(&args, ptr::null_mut()) });
        assert!(counters.get().iter().all(|&count| count == 0), "counters are left as they were found");
        if is_wide { wide.get() } else { floats(&narrow.get()) }
    }
}

/// Bricks along the inputs.
fn bricks(format: Weights, inputs: usize) -> u32 {
    let width = match format {
        Weights::Bf16 => 64,
        Weights::Q4K => 256,
        _ => 128,
    };
    inputs.div_ceil(width) as u32
}

/// What is left of a row in e4m3 with one scale: three bits behind the leading one, exponents from -6, at most 448.
fn as_f8(row: &[f32]) -> Vec<f32> {
    let scale = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs())) / 448.0;
    let round = |x: f32| {
        let unit = (x.abs().log2().floor().max(-6.0) - 3.0).exp2();
        (x / unit).round_ties_even() * unit
    };
    row.iter().map(|x| if scale > 0.0 { round(x / scale) * scale } else { 0.0 }).collect()
}

/// A number of F8 half-way between two others may be rounded either way.
fn tolerance(format: Weights) -> f64 {
    if format == Weights::F8 { 0.05 } else { 1e-4 }
}

#[test]
fn products_are_right() {
    cases(4, |api, rng| {
        let (rows, outputs, inputs) = (rng.random_range(1..30), rng.random_range(1..150), 8 * rng.random_range(1..80));
        let (x, w, bias) = (numbers(rng, rows * inputs), numbers(rng, outputs * inputs), numbers(rng, outputs));
        for format in FORMATS {
            let weights = Packed::new(api, format, inputs, &w, None);
            let splits = rng.random_range(1..=bricks(format, inputs).min(5));
            let x = bits(&x);
            let mut product = Product::new(&x, &weights, splits);
            let exact = weights.product(&floats(&x));
            let found = product.run(api, &weights, true);
            assert_close(&found, &exact, tolerance(format));
            product.bias = Some(&bias);
            product.epilogue = Epilogue::AddF32;
            product.y = numbers(rng, rows * outputs);
            let biased = |i: usize| found[i] + bias[i % outputs];
            let expected: Vec<f32> = (0..rows * outputs).map(|i| product.y[i] + biased(i)).collect();
            assert_eq!(product.run(api, &weights, false), expected);
            product.epilogue = Epilogue::StoreBf16;
            assert_eq!(
                product.run(api, &weights, false),
                rounded(&(0..rows * outputs).map(biased).collect::<Vec<_>>())
            );
        }
    });
}

#[test]
fn gated_products_are_right() {
    cases(3, |api, rng| {
        let (rows, mlp, inputs) = (rng.random_range(1..20), rng.random_range(1..90), 8 * rng.random_range(1..60));
        let (x, gate, up) = (numbers(rng, rows * inputs), numbers(rng, mlp * inputs), numbers(rng, mlp * inputs));
        let x = bits(&x);
        for format in FORMATS {
            let weights = Packed::new(api, format, inputs, &gate, Some(&up));
            let splits = bricks(format, inputs).min(2);
            let both = weights.product(&floats(&x));
            let expected: Vec<f64> =
                both.chunks(2 * mlp).flat_map(|row| (0..mlp).map(|i| reference::silu(row[i]) * row[mlp + i])).collect();
            let mut product = Product::new(&x, &weights, splits);
            product.epilogue = Epilogue::Gated;
            product.y.truncate(rows * mlp);
            let close = tolerance(format).max(BF16);
            assert_close(&product.run(api, &weights, false), &expected, close);
        }
    });
}

/// Every size of the tiles of rows, the passes behind them, and the device with less shared memory.
#[test]
fn a_row_of_a_product_does_not_depend_on_the_others() {
    cases(1, |api, rng| {
        let (rows, outputs, inputs) = (89, 40, 512);
        let (x, w) = (bits(&numbers(rng, rows * inputs)), numbers(rng, outputs * inputs));
        for format in FORMATS {
            let weights = Packed::new(api, format, inputs, &w, None);
            let mut whole = Product::new(&x, &weights, 2);
            let together = whole.run(api, &weights, false);
            whole.shared_limit = 99 * 1024;
            assert!(whole.run(api, &weights, false) == together, "two passes");
            for count in [1, 8, 9, 17, 25, 40, 41, 80] {
                let rows: Vec<usize> = (0..count).map(|row| 88 - row).collect();
                let part: Vec<u16> = rows.iter().flat_map(|&row| x[row * inputs..][..inputs].to_vec()).collect();
                let found = Product::new(&part, &weights, 2).run(api, &weights, false);
                let expected: Vec<f32> =
                    rows.iter().flat_map(|&row| together[row * outputs..][..outputs].to_vec()).collect();
                assert!(found == expected, "{count} rows of {format:?}");
            }
        }
    });
}

#[test]
fn a_row_that_is_no_number_spoils_no_other() {
    let Some(api) = kernels() else { return };
    let mut rng = rng(9);
    let (outputs, inputs) = (20, 256);
    let (mut x, w) = (bits(&numbers(&mut rng, 3 * inputs)), numbers(&mut rng, outputs * inputs));
    for format in FORMATS {
        let weights = Packed::new(api, format, inputs, &w, None);
        let clean = Product::new(&x, &weights, 1).run(api, &weights, false);
        let before = x[inputs + 5];
        x[inputs + 5] = bf16::NAN.to_bits();
        let found = Product::new(&x, &weights, 1).run(api, &weights, false);
        x[inputs + 5] = before;
        assert!(found[outputs..2 * outputs].iter().all(|y| y.is_nan()));
        assert_eq!((&found[..outputs], &found[2 * outputs..]), (&clean[..outputs], &clean[2 * outputs..]));
    }
}

#[test]
fn splits_fill_a_device_and_depend_on_the_matrix_alone() {
    let Some(api) = kernels() else { return };
    // SAFETY: plain numbers.
    let splits = |inputs, outputs, sms| unsafe { (api.cuda_linear_splits)(Weights::Q8_0 as u32, inputs, outputs, sms) };
    for (inputs, outputs) in [(4096, 6144), (4096, 4096), (4096, 24576), (12288, 4096), (4096, 151_936), (64, 100)] {
        let found = splits(inputs, outputs, 132);
        assert!((1..=16).contains(&found) && found <= bricks(Weights::Q8_0, inputs as usize));
    }
    assert!(splits(12288, 4096, 132) > 1 && splits(4096, 151_936, 132) == 1);
}
