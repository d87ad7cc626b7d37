//! Causal attention over paged keys and values; the query heads of a group share every read of a key or value.

use super::cpu::attention::{AttentionOutput, AttentionTask, CombineTask, PART, partial_len};
use super::matrix::{Buffer, Matrix, Shared, SharedBytes};
use super::{Compute, Heads, KvLayer, KvShape};
use crate::engine::blocks::BlockId;
use std::cell::Cell;
use std::ops::Range;

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
/// first `n_q * d` columns of `q [t, ..]`. The sum over keys runs in chunks of 64 and in parts of 512 by absolute position, so that
/// nothing but the sequence itself decides its order; parts are what several threads share one sequence in.
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
    let mut tiles = Vec::new();
    let (mut cost, mut partials) = (0, 0);
    for span in attend {
        assert!(span.first_row + span.rows <= q.rows(), "the tokens are in the step");
        let (used, rest) = span.table.split_at((span.position + span.rows).div_ceil(shape.block_tokens));
        assert!(
            rest.len() <= span.table.len() && used.iter().all(|block| (block.0 as usize) < layer.blocks()),
            "known blocks"
        );
        for from in (0..span.rows).step_by(tokens_per_task) {
            let tokens = (span.rows - from).min(tokens_per_task);
            let keys = span.position + from + tokens;
            cost += 2 * tokens * n_q * d * keys;
            for kv_head in 0..n_kv {
                let tile = Tile { span, from, tokens, kv_head, parts: keys.div_ceil(PART), partials };
                partials += tile.partials_len(shape);
                tiles.push(tile);
            }
        }
    }
    // With tiles enough for all threads, each is one task and reads its keys in order; else every part is.
    let together = tiles.len() >= 2 * compute.threads();
    let mut tasks: Vec<(&Tile<'_>, Range<usize>)> = Vec::new();
    for tile in &tiles {
        let parts = if together { tile.parts } else { 1 };
        tasks.extend((0..tile.parts).step_by(parts).map(|part| (tile, part..part + parts)));
    }
    let mut space = PARTIALS.take();
    space.reach(partials);
    let partials = Shared::new(space.as_mut_slice());
    let (q_width, out_width) = (q.cols(), out.cols());
    let shared = Shared::new(out.as_mut_slice());
    // SAFETY: the row is inside `out`, which has as many rows as `q`.
    let out_of = |tile: &Tile<'_>| unsafe { shared.get().add(tile.row() * out_width) };
    let [keys, values] = layer.memory().map(SharedBytes);
    let attend_to = |tile: &Tile<'_>, part: usize| {
        let row = tile.row();
        let task = AttentionTask {
            q: &q.as_slice()[row * q_width..(row + tile.tokens) * q_width],
            q_width,
            tokens: tile.tokens,
            position: tile.span.position + tile.from,
            part,
            kv_head: tile.kv_head,
            table: tile.span.table,
            shape,
            keys: keys.get(),
            values: values.get(),
            to: match tile.parts {
                1 => AttentionOutput::Rows { out: out_of(tile), width: out_width },
                // SAFETY: there is room for the parts of every tile.
                _ => AttentionOutput::Partial(unsafe {
                    partials.get().add(tile.partials + part * partial_len(tile.rows(shape), shape))
                }),
            },
        };
        // SAFETY: tasks write disjoint rows and heads, or parts of their own; blocks were checked above.
        unsafe { compute.kernels().run(task) }
    };
    let combine = |tile: &Tile<'_>| {
        // SAFETY: the parts of a tile are its own, and so are its rows and heads.
        unsafe {
            let of_tile = partials.get().add(tile.partials);
            compute.kernels().run(CombineTask {
                partials: std::slice::from_raw_parts_mut(of_tile, tile.partials_len(shape)),
                rows: tile.rows(shape),
                kv_head: tile.kv_head,
                shape,
                out: out_of(tile),
                out_width,
            });
        }
    };
    compute.parallel(tasks.len(), cost, |task| {
        let (tile, parts) = &tasks[task];
        parts.clone().for_each(|part| attend_to(tile, part));
        if together && tile.parts > 1 {
            combine(tile);
        }
    });
    if !together {
        let in_parts: Vec<&Tile<'_>> = tiles.iter().filter(|tile| tile.parts > 1).collect();
        let cost = in_parts.iter().map(|tile| tile.partials_len(shape)).sum();
        compute.parallel(in_parts.len(), cost, |task| combine(in_parts[task]));
    }
    PARTIALS.set(space);
}

thread_local! {
    /// What the parts of keys come to, kept from call to call.
    static PARTIALS: Cell<Buffer> = Cell::default();
}

/// Some consecutive tokens with the query heads of one head of keys.
struct Tile<'a> {
    span: &'a Attend<'a>,
    /// The first of the tokens, counted from that of the span.
    from: usize,
    tokens: usize,
    kv_head: usize,
    /// Parts of the keys that it sees.
    parts: usize,
    /// Where its partial results start.
    partials: usize,
}

impl Tile<'_> {
    /// The first row of the step.
    fn row(&self) -> usize {
        self.span.first_row + self.from
    }

    /// Tokens × heads.
    fn rows(&self, shape: KvShape) -> usize {
        self.tokens * (shape.heads.n_q / shape.heads.n_kv)
    }

    /// Floats of its partial results; none if one part is all.
    fn partials_len(&self, shape: KvShape) -> usize {
        if self.parts > 1 { self.parts * partial_len(self.rows(shape), shape) } else { 0 }
    }
}
