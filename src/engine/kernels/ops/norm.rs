//! RMSNorm over rows, and the selection of rows.

use crate::kernels::cpu::compute::Compute;
use crate::kernels::cpu::norm::RmsNormTask;
use crate::kernels::layout::matrix::{Matrix, Shared};

/// The number of rows per task.
const ROWS: usize = 4;

/// Computes `out [t, n] = x / sqrt(mean(x²) + eps) * weight`, row by row.
pub(crate) fn rms_norm(compute: &Compute, x: &Matrix, weight: &[f32], eps: f32, out: &mut Matrix) {
    let (rows, cols) = (x.rows(), x.cols());
    assert_eq!(weight.len(), cols, "one weight per column");
    out.resize(rows, cols);
    let shared = Shared::new(out.as_mut_slice());
    compute.parallel(rows.div_ceil(ROWS), 4 * rows * cols, |task| {
        for row in task * ROWS..rows.min((task + 1) * ROWS) {
            // SAFETY: every row has one task; `out` has the shape of `x`.
            unsafe {
                let to = shared.get().add(row * cols);
                compute.kernels().run(RmsNormTask { x: x.row(row), weight, eps, to });
            }
        }
    });
}

/// Copies some rows of `x` to `out [rows, n]`.
pub(crate) fn select_rows(x: &Matrix, rows: &[usize], out: &mut Matrix) {
    out.resize(rows.len(), x.cols());
    for (to, &row) in out.as_mut_slice().chunks_exact_mut(x.cols()).zip(rows) {
        to.copy_from_slice(x.row(row));
    }
}
