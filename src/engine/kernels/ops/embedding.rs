//! Token ids to rows of the embedding table.

use super::linear::Linear;
use crate::kernels::cpu::compute::Compute;
use crate::kernels::layout::matrix::{Matrix, Shared};

/// Copies the rows of `tokens` from the table to `out [t, hidden]`. The table may be the packed LM
/// head, so that a tied table is kept once.
pub(crate) fn embed(compute: &Compute, table: &Linear, tokens: &[u32], out: &mut Matrix) {
    let hidden = table.inputs();
    out.resize(tokens.len(), hidden);
    let shared = Shared::new(out.as_mut_slice());
    compute.parallel(tokens.len(), tokens.len() * hidden, |t| {
        // SAFETY: every task has a row of its own, inside `out`.
        let row = unsafe { std::slice::from_raw_parts_mut(shared.get().add(t * hidden), hidden) };
        table.copy_row(tokens[t] as usize, row);
    });
}
