//! Packing of weights into panels, on all threads.

use crate::kernels::cpu::compute::Compute;
use crate::kernels::layout::matrix::Shared;
use crate::kernels::layout::panels::Panels;
use crate::kernels::layout::{Format, Rows};

/// Packs `columns` outputs into panels. `column(i)` returns the matrix and the row of output i, or
/// `None` for padding.
pub(super) fn pack<'a>(
    compute: &Compute,
    (format, inputs): (Format, usize),
    columns: usize,
    column: impl Fn(usize) -> Option<(&'a Rows, usize)> + Sync,
) -> Panels {
    let kernels = compute.kernels();
    let kinds = (kernels.has_bf16_pairs(), kernels.has_offset_weights());
    let mut panels = Panels::zeros((format, inputs), columns, 2 * kernels.lanes(), kinds);
    let (width, size, write) = (panels.width(), panels.panel_bytes(), panels.writer());
    let count = columns.div_ceil(width);
    let shared = Shared::new(panels.as_mut_floats());
    compute.parallel(count, count * size, |panel| {
        // SAFETY: every task has a panel of its own, inside the buffer.
        let to = unsafe { std::slice::from_raw_parts_mut(shared.get().cast::<u8>().add(panel * size), size) };
        for lane in 0..width {
            if let Some((rows, row)) = column(panel * width + lane) {
                write(rows, row, to, lane);
            }
        }
    });
    panels
}
