//! Matrix products with weights packed once: `y = x · Wᵀ`, alone, added to `y`, or as the gated half of an MLP.

use super::cpu::linear::{LinearTask, Target};
use super::matrix::{Buffer, Matrix, Shared};
use super::{Compute, KernelSet};

/// A weight matrix `[n, k]` (outputs × inputs) packed into panels of two vectors of outputs: panel `p` holds, for each input
/// `i`, the weights of its outputs side by side. It is the only copy kept.
pub(crate) struct Linear {
    kernels: KernelSet,
    outputs: usize,
    inputs: usize,
    panels: Buffer,
    bias: Option<Vec<f32>>,
    gated: bool,
}

/// What becomes of a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    /// `y = x · Wᵀ`.
    Store,
    /// `y += x · Wᵀ`: the residual stream.
    Add,
}

impl Linear {
    /// Packs matrices of `inputs` columns, row-major, one below the other: q, k and v become one product.
    pub(crate) fn new(compute: &Compute, inputs: usize, parts: &[&[f32]], bias: Option<Vec<f32>>) -> Self {
        let rows: Vec<&[f32]> = parts.iter().flat_map(|part| part.chunks_exact(inputs)).collect();
        let outputs = rows.len();
        let panels = pack(compute, inputs, outputs, |output| rows.get(output).copied());
        Self { kernels: compute.kernels(), outputs, inputs, panels, bias, gated: false }
    }

    /// Packs two matrices so that the product gives `silu(x · gateᵀ) * (x · upᵀ)`: in every panel the first vector is of
    /// `gate`, the second of `up`.
    pub(crate) fn gated(compute: &Compute, inputs: usize, gate: &[f32], up: &[f32]) -> Self {
        let outputs = gate.len() / inputs;
        assert_eq!(gate.len(), up.len(), "gate and up have one shape");
        let lanes = compute.kernels().lanes();
        let panels = pack(compute, inputs, outputs.next_multiple_of(lanes) * 2, |column| {
            let (panel, lane) = (column / (2 * lanes), column % (2 * lanes));
            let part = if lane < lanes { gate } else { up };
            let output = panel * lanes + lane % lanes;
            part.get(output * inputs..(output + 1) * inputs)
        });
        Self { kernels: compute.kernels(), outputs, inputs, panels, bias: None, gated: true }
    }

    /// Width of the input.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Copies the weights of one output: a row of the original matrix.
    pub(crate) fn copy_row(&self, output: usize, to: &mut [f32]) {
        assert!(output < self.outputs && !self.gated, "a row of a plain matrix");
        let width = 2 * self.kernels.lanes();
        let panel = &self.panels.as_slice()[output / width * width * self.inputs..];
        for (value, weights) in to.iter_mut().zip(panel.chunks_exact(width)) {
            *value = weights[output % width];
        }
    }
}

/// Panels of two vectors: `column(j)` is the row of weights of packed column `j`, `None` for padding.
fn pack<'a>(
    compute: &Compute,
    inputs: usize,
    columns: usize,
    column: impl Fn(usize) -> Option<&'a [f32]> + Sync,
) -> Buffer {
    let width = 2 * compute.kernels().lanes();
    let panels = columns.div_ceil(width);
    let mut packed = Buffer::zeros(panels * inputs * width);
    let shared = Shared::new(packed.as_mut_slice());
    compute.parallel(panels, panels * inputs * width, |panel| {
        // SAFETY: every task has a panel of its own, inside the buffer.
        let panel_data =
            unsafe { std::slice::from_raw_parts_mut(shared.get().add(panel * inputs * width), inputs * width) };
        for lane in 0..width {
            if let Some(weights) = column(panel * width + lane) {
                for (input, &weight) in weights.iter().enumerate() {
                    panel_data[input * width + lane] = weight;
                }
            }
        }
    });
    packed
}

/// The product of `x [t, inputs]` with packed weights into `y [t, outputs]`. Every output is one multiply-add chain over the
/// inputs in ascending order, whatever t is.
pub(crate) fn linear(compute: &Compute, x: &Matrix, weights: &Linear, y: &mut Matrix, output: Output) {
    assert_eq!((x.cols(), compute.kernels()), (weights.inputs, weights.kernels), "weights were packed for this");
    match output {
        Output::Store => y.resize(x.rows(), weights.outputs),
        Output::Add => assert_eq!((y.rows(), y.cols()), (x.rows(), weights.outputs), "the sum has one shape"),
    }
    let lanes = compute.kernels().lanes();
    let per_panel = if weights.gated { lanes } else { 2 * lanes };
    let panels = weights.outputs.div_ceil(per_panel);
    let rows = x.rows();
    // Several tasks per thread even out whatever else the machine does; rows are split when there are few panels.
    let wanted = 4 * compute.threads();
    let panel_tasks = panels.min(wanted);
    let row_tasks = wanted.div_ceil(panel_tasks.max(1)).min(rows.div_ceil(24)).max(1);
    let shared = Shared::new(y.as_mut_slice());
    let cost = rows * weights.panels.as_slice().len();
    compute.parallel(panel_tasks * row_tasks, cost, |task| {
        let (panel_task, row_task) = (task % panel_tasks, task / panel_tasks);
        let part = LinearTask {
            x: x.as_slice(),
            rows: split(rows, row_tasks, row_task),
            inputs: weights.inputs,
            panels: weights.panels.as_slice(),
            range: split(panels, panel_tasks, panel_task),
            bias: weights.bias.as_deref(),
            y: shared.get(),
            outputs: weights.outputs,
            target: match (weights.gated, output) {
                (true, _) => Target::Gated,
                (false, Output::Store) => Target::Store,
                (false, Output::Add) => Target::Add,
            },
        };
        // SAFETY: tasks cover disjoint rectangles of `y`, and `part` describes memory of the right shape.
        unsafe { compute.kernels().run(part) }
    });
}

/// The `index`-th of `parts` nearly equal parts of `0..count`.
fn split(count: usize, parts: usize, index: usize) -> std::ops::Range<usize> {
    count * index / parts..count * (index + 1) / parts
}
