//! Matrix products with weights packed once: `y = x · Wᵀ`, alone, added to `y`, or as the gated
//! half of an MLP.

use super::activations::quantize;
#[cfg(target_arch = "x86_64")]
use super::activations::round;
use super::argmax::Best;
use super::pack::pack;
#[cfg(target_arch = "x86_64")]
use crate::kernels::cpu::amx_bf16::Bf16Task;
#[cfg(target_arch = "x86_64")]
use crate::kernels::cpu::bf16_pairs::Bf16PairsTask;
use crate::kernels::cpu::compute::{Compute, part};
use crate::kernels::cpu::destination::{Destination, Target};
use crate::kernels::cpu::int8::Int8Task;
use crate::kernels::cpu::linear::LinearTask;
use crate::kernels::cpu::set::KernelSet;
use crate::kernels::cpu::tile::{Bf16, Element, F16};
#[cfg(target_arch = "x86_64")]
use crate::kernels::layout::bf16_rows::{Bf16Rows, STRIP};
use crate::kernels::layout::int8_rows::{Int8Rows, TILE};
use crate::kernels::layout::matrix::{Matrix, Shared};
use crate::kernels::layout::panels::{Panels, PartLayout};
use crate::kernels::layout::{Format, Rows};
use std::cell::Cell;
use std::ops::Range;
use std::sync::Mutex;

/// A packed weight matrix `[n, k]` (outputs × inputs), the only copy that is kept.
pub(crate) struct Linear {
    kernels: KernelSet,
    outputs: usize,
    inputs: usize,
    panels: Panels,
    bias: Option<Vec<f32>>,
    gated: bool,
}

/// Where a product goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    /// `y = x · Wᵀ`.
    Store,
    /// `y += x · Wᵀ`, the residual stream.
    Add,
}

impl Linear {
    /// Packs matrices of one width and format below each other, so that q, k and v become one
    /// product.
    pub(crate) fn new(compute: &Compute, parts: &[&Rows], bias: Option<Vec<f32>>) -> Self {
        let (format, inputs) = (parts[0].format(), parts[0].inputs());
        assert!(parts.iter().all(|part| (part.format(), part.inputs()) == (format, inputs)), "parts are alike");
        let rows: Vec<(&Rows, usize)> =
            parts.iter().flat_map(|part| (0..part.outputs()).map(move |row| (*part, row))).collect();
        let panels = pack(compute, (format, inputs), rows.len(), |output| rows.get(output).copied());
        Self { kernels: compute.kernels(), outputs: rows.len(), inputs, panels, bias, gated: false }
    }

    /// Packs two matrices so that the product gives `silu(x · gateᵀ) * (x · upᵀ)`: the first vector
    /// of every panel is from `gate`, the second from `up`.
    pub(crate) fn gated(compute: &Compute, gate: &Rows, up: &Rows) -> Self {
        let (outputs, inputs, format) = (gate.outputs(), gate.inputs(), gate.format());
        assert_eq!((outputs, inputs, format), (up.outputs(), up.inputs(), up.format()), "gate and up are alike");
        let lanes = compute.kernels().lanes();
        let panels = pack(compute, (format, inputs), outputs.next_multiple_of(lanes) * 2, |column| {
            let (panel, lane) = (column / (2 * lanes), column % (2 * lanes));
            let part = if lane < lanes { gate } else { up };
            let output = panel * lanes + lane % lanes;
            (output < outputs).then_some((part, output))
        });
        Self { kernels: compute.kernels(), outputs, inputs, panels, bias: None, gated: true }
    }

    /// Returns the width of the input.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the bytes of the packed weights.
    pub(crate) fn bytes(&self) -> usize {
        self.panels.bytes().len()
    }

    /// Copies the weights of one output: a row of the original matrix.
    pub(crate) fn copy_row(&self, output: usize, to: &mut [f32]) {
        assert!(output < self.outputs && !self.gated, "a row of a plain matrix");
        self.panels.copy_column(output, to);
    }
}

thread_local! {
    /// int8 activations, kept from product to product.
    static INT8_ROWS: Cell<Int8Rows> = Cell::default();
}

#[cfg(target_arch = "x86_64")]
thread_local! {
    /// bf16 activations, kept from product to product.
    static BF16_ROWS: Cell<Bf16Rows> = Cell::default();
}

/// Computes the product of `x [t, inputs]` with packed weights into `y [t, outputs]`. The first
/// `decode_rows` rows of `x` are decode rows, and the others are prefill rows. Every output is one
/// multiply-add chain over the inputs (or over blocks of inputs) in ascending order, whatever t is.
///
/// For bf16 weights the activations are rounded to bf16 where the kernel set multiplies bf16. For
/// Q8_0 and Q4_K weights the activations are rounded to int8, 32 numbers with one scale, so that
/// the weights are read as they are stored: few rows wait for nothing but that. If the set has bf16
/// tiles, prefill rows and quantized weights become bf16 instead, because many rows share the work
/// of converting the weights.
pub(crate) fn linear(
    compute: &Compute,
    (x, decode_rows): (&Matrix, usize),
    weights: &Linear,
    y: &mut Matrix,
    output: Output,
) {
    assert!(decode_rows <= x.rows(), "the decode rows are among the rows");
    assert_eq!((x.cols(), compute.kernels()), (weights.inputs, weights.kernels), "weights were packed for this");
    match output {
        Output::Store => y.resize(x.rows(), weights.outputs),
        Output::Add => assert_eq!((y.rows(), y.cols()), (x.rows(), weights.outputs), "the sum has one shape"),
    }
    let target = match (weights.gated, output) {
        (true, _) => Target::Gated,
        (false, Output::Store) => Target::Store,
        (false, Output::Add) => Target::Add,
    };
    let y = y.as_mut_slice();
    let mut product = |rows: Range<usize>, kernel| {
        let y = Shared::new(&mut y[rows.start * weights.outputs..]);
        Product { compute, weights, first: rows.start, rows: rows.len(), y, target }.run(x, kernel);
    };
    let format = weights.panels.format();
    let [decode, prefill] = RowKind::ALL.map(|kind| product_kernel(format, compute.kernels(), kind));
    let all = 0..x.rows();
    let parts = if decode == prefill {
        [(all.clone(), decode), (all.end..all.end, prefill)]
    } else {
        [(0..decode_rows, decode), (decode_rows..all.end, prefill)]
    };
    for (rows, kernel) in parts.into_iter().filter(|(rows, _)| !rows.is_empty()) {
        product(rows, kernel);
    }
}

/// The kinds of rows, in the order in which a step lists them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RowKind {
    /// Decode rows, tokens that were generated or drafted: few rows, which wait for the weights to
    /// be read.
    Decode,
    /// Prefill rows, tokens of prompts: many rows, which share the work of converting weights.
    Prefill,
}

impl RowKind {
    const ALL: [Self; 2] = [Self::Decode, Self::Prefill];
}

/// The kernels of a product, by the numbers that they multiply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProductKernel {
    /// f32 weights with f32 activations.
    F32,
    /// f16 weights, widened.
    F16,
    /// bf16 weights, widened.
    Bf16,
    /// Quantized weights as int8 with activations quantized to int8.
    Int8(PartLayout),
    /// bf16 weights in pairs of inputs with activations rounded to bf16.
    #[cfg(target_arch = "x86_64")]
    Bf16Pairs,
    /// Weights as bf16 (quantized ones converted) on tiles with activations rounded to bf16.
    #[cfg(target_arch = "x86_64")]
    Bf16Tiles(Option<PartLayout>),
}

/// Returns a product's kernel: the first line of the table that fits. The kind of the rows follows
/// from their own request, so the choice never depends on the batch. How a kernel's tiles look in
/// each set is said by the constants of [`Simd`](crate::kernels::cpu::simd::Simd).
#[rustfmt::skip]
fn product_kernel(format: Format, set: KernelSet, kind: RowKind) -> ProductKernel {
    let tiles = set.has_bf16_tiles() && kind == RowKind::Prefill;
    let pairs = set.has_bf16_pairs();
    match (format, tiles, pairs) {
        // weights, bf16 tiles for these rows, bf16 pairs
        #[cfg(target_arch = "x86_64")]
        (Format::Bf16, true, _)     => ProductKernel::Bf16Tiles(None),
        #[cfg(target_arch = "x86_64")]
        (Format::Q8_0, true, _)     => ProductKernel::Bf16Tiles(Some(PartLayout::Q8_0)),
        #[cfg(target_arch = "x86_64")]
        (Format::Q4K,  true, _)     => ProductKernel::Bf16Tiles(Some(PartLayout::Q4K)),
        #[cfg(target_arch = "x86_64")]
        (Format::Bf16, false, true) => ProductKernel::Bf16Pairs,
        (Format::F32,  _, _)        => ProductKernel::F32,
        (Format::F16,  _, _)        => ProductKernel::F16,
        (Format::Bf16, _, _)        => ProductKernel::Bf16,
        (Format::Q8_0, _, _)        => ProductKernel::Int8(PartLayout::Q8_0),
        (Format::Q4K,  _, _)        => ProductKernel::Int8(PartLayout::Q4K),
    }
}

/// Computes the product of `x [t, inputs]` with the LM head into `logits [t, v]`, with all rows as
/// decode rows. Returns the output with the largest logit of every row. Of equal logits the lowest
/// output wins, and NaN never does.
pub(crate) fn linear_argmax(compute: &Compute, x: &Matrix, head: &Linear, logits: &mut Matrix) -> Vec<u32> {
    linear(compute, (x, x.rows()), head, logits, Output::Store);
    let (rows, pieces) = (logits.rows(), compute.threads());
    let mut best = vec![Best::NONE; rows * pieces];
    let found = Mutex::new(&mut best);
    compute.parallel(rows * pieces, rows * head.outputs, |task| {
        let range = part(head.outputs, pieces, task % pieces);
        let of_piece = Best::of(compute.kernels(), &logits.row(task / pieces)[range.clone()], range.start);
        found.lock().expect("no task panics")[task] = of_piece;
    });
    best.chunks_exact(pieces).map(|pieces| pieces.iter().fold(Best::NONE, |a, b| a.or(*b)).output).collect()
}

/// The product of some rows of one kind, in any format.
struct Product<'a> {
    compute: &'a Compute,
    weights: &'a Linear,
    /// The first of the rows, in `x`.
    first: usize,
    rows: usize,
    /// The outputs of the first row.
    y: Shared,
    target: Target,
}

impl Product<'_> {
    fn run(&self, x: &Matrix, kernel: ProductKernel) {
        match kernel {
            ProductKernel::F32 => self.run_floats::<f32>(x),
            ProductKernel::F16 => self.run_floats::<F16>(x),
            ProductKernel::Bf16 => self.run_floats::<Bf16>(x),
            ProductKernel::Int8(layout) => self.run_int8(x, layout),
            #[cfg(target_arch = "x86_64")]
            ProductKernel::Bf16Pairs => self.run_bf16_pairs(x),
            #[cfg(target_arch = "x86_64")]
            ProductKernel::Bf16Tiles(layout) => self.run_bf16_tiles(x, layout),
        }
    }

    fn run_floats<E: Element>(&self, x: &Matrix) {
        self.split(1, |rows, range| {
            let panels = self.weights.panels.bytes().as_ptr().cast::<E>();
            let to = self.destination();
            let task = LinearTask {
                x: &x.as_slice()[self.first * self.weights.inputs..],
                rows,
                inputs: self.weights.inputs,
                panels,
                range,
                to,
            };
            // SAFETY: tasks cover disjoint rectangles of `y`, and `task` describes memory of the
            // right shape.
            unsafe { self.compute.kernels().run(task) }
        });
    }

    fn run_int8(&self, x: &Matrix, layout: PartLayout) {
        let mut activations = INT8_ROWS.take();
        quantize(self.compute, x, self.rows(), self.weights.panels.blocks(), &mut activations);
        self.split(TILE, |rows, range| {
            let panels = self.weights.panels.bytes();
            let task = Int8Task { x: &activations, rows, panels, layout, range, to: self.destination() };
            // SAFETY: as above.
            unsafe { self.compute.kernels().run_int8(task) }
        });
        INT8_ROWS.set(activations);
    }

    #[cfg(target_arch = "x86_64")]
    fn run_bf16_pairs(&self, x: &Matrix) {
        let mut numbers = BF16_ROWS.take();
        round(self.compute, x, self.rows(), self.weights.panels.blocks(), &mut numbers);
        self.split(1, |rows, range| {
            let panels = self.weights.panels.bytes();
            let task = Bf16PairsTask { x: &numbers, rows, panels, range, to: self.destination() };
            // SAFETY: as above.
            unsafe { self.compute.kernels().run_bf16_pairs(task) }
        });
        BF16_ROWS.set(numbers);
    }

    #[cfg(target_arch = "x86_64")]
    fn run_bf16_tiles(&self, x: &Matrix, layout: Option<PartLayout>) {
        let mut numbers = BF16_ROWS.take();
        round(self.compute, x, self.rows(), self.weights.panels.blocks(), &mut numbers);
        self.split(STRIP, |rows, range| {
            let panels = self.weights.panels.bytes();
            let task = Bf16Task { x: &numbers, rows, panels, layout, range, to: self.destination() };
            // SAFETY: as above.
            unsafe { self.compute.kernels().run_bf16_tiles(task) }
        });
        BF16_ROWS.set(numbers);
    }

    /// Returns the rows as a range of `x`.
    fn rows(&self) -> Range<usize> {
        self.first..self.first + self.rows
    }

    fn destination(&self) -> Destination<'_> {
        let (outputs, bias) = (self.weights.outputs, self.weights.bias.as_deref());
        Destination { y: self.y.get(), outputs, bias, target: self.target }
    }

    /// Calls `task` with ranges of rows, which start at multiples of `step`, and of panels, so that
    /// every pair of a row and a panel is covered once.
    fn split(&self, step: usize, task: impl Fn(Range<usize>, Range<usize>) + Sync + Send) {
        let lanes = self.compute.kernels().lanes();
        let per_panel = if self.weights.gated { lanes } else { 2 * lanes };
        let panels = self.weights.outputs.div_ceil(per_panel);
        // Several tasks per thread even out what else the machine does. Rows are split where there
        // are few panels.
        let wanted = 4 * self.compute.threads();
        let panel_tasks = panels.min(wanted);
        let row_tasks = wanted.div_ceil(panel_tasks.max(1)).min(self.rows.div_ceil(24)).max(1);
        let cost = self.rows * self.weights.panels.weights();
        self.compute.parallel(panel_tasks * row_tasks, cost, |index| {
            let steps = part(self.rows.div_ceil(step), row_tasks, index / panel_tasks);
            let rows = steps.start * step..self.rows.min(steps.end * step);
            task(rows, part(panels, panel_tasks, index % panel_tasks));
        });
    }
}
