//! Causal attention over paged keys and values; the query heads of a group share every read of a key or value.

use super::cpu::attention::AttentionTask;
use super::matrix::{Matrix, Shared, SharedBytes};
use super::{Compute, Heads, KvLayer, KvShape};
use crate::engine::blocks::BlockId;

/// Query rows (token × head of the group) per task: as many as share keys and values that fit the first-level cache.
const TASK_ROWS: usize = 32;

/// Consecutive tokens of one sequence.
#[derive(Clone, Debug)]
pub(crate) struct Attend<'a> {
    /// The row of the first token.
    pub(crate) first_row: usize,
    /// How many.
    pub(crate) rows: usize,
    /// The position of the first token.
    pub(crate) position: usize,
    /// The blocks of the sequence, up to the last token's at least.
    pub(crate) table: &'a [BlockId],
}

/// `out [t, n_q * d]`: for every token of `attend`, attention over the keys at its own and all earlier positions. Queries are the
/// first `n_q * d` columns of `q [t, ..]`. The sum over keys runs in chunks of 64 by absolute position, so that nothing but
/// the sequence itself decides its order.
pub(crate) fn attention(
    compute: &Compute,
    q: &Matrix,
    attend: &[Attend<'_>],
    shape: KvShape,
    layer: &KvLayer,
    out: &mut Matrix,
) {
    let Heads { n_q, n_kv, d } = shape.heads;
    let tokens_per_task = (TASK_ROWS / (n_q / n_kv)).max(1);
    out.resize(q.rows(), n_q * d);
    let mut tasks = Vec::new();
    let mut cost = 0;
    for span in attend {
        assert!(span.first_row + span.rows <= q.rows(), "the tokens are in the step");
        let (used, rest) = span.table.split_at((span.position + span.rows).div_ceil(shape.block_tokens));
        assert!(
            rest.len() <= span.table.len() && used.iter().all(|block| (block.0 as usize) < layer.blocks()),
            "known blocks"
        );
        for from in (0..span.rows).step_by(tokens_per_task) {
            let tokens = (span.rows - from).min(tokens_per_task);
            cost += 2 * tokens * n_q * d * (span.position + from + tokens);
            tasks.extend((0..n_kv).map(|kv_head| (span, from, tokens, kv_head)));
        }
    }
    let (q_width, out_width) = (q.cols(), out.cols());
    let shared = Shared::new(out.as_mut_slice());
    let [keys, values] = layer.memory().map(SharedBytes);
    compute.parallel(tasks.len(), cost, |task| {
        let (span, from, tokens, kv_head) = tasks[task];
        let row = span.first_row + from;
        let task = AttentionTask {
            q: &q.as_slice()[row * q_width..(row + tokens) * q_width],
            q_width,
            tokens,
            position: span.position + from,
            kv_head,
            table: span.table,
            shape,
            keys: keys.get(),
            values: values.get(),
            // SAFETY: the row is inside `out`, which has as many rows as `q`.
            out: unsafe { shared.get().add(row * out_width) },
            out_width,
        };
        // SAFETY: tasks write disjoint rows and heads; blocks were checked above.
        unsafe { compute.kernels().run(task) }
    });
}
