//! Causal attention over paged keys and values. The query heads of a group share every read of a
//! key or value.

use crate::blocks::BlockId;
use crate::kernels::cpu::attention::{AttentionOutput, AttentionTask, CombineTask, KV_SPLIT, partial_len};
use crate::kernels::cpu::compute::Compute;
use crate::kernels::layout::matrix::{Buffer, Matrix, Shared, SharedBytes};
use crate::kernels::layout::{Heads, KvLayer, KvShape};
use std::cell::Cell;
use std::ops::Range;

/// Query rows (token × head of the group) per task: as many as share keys and values that fit the
/// L1 cache.
const TASK_ROWS: usize = 32;

/// Consecutive tokens of one sequence that attend to it.
#[derive(Clone, Debug)]
pub(crate) struct Attend<'a> {
    /// The row of the first token in the step.
    pub(crate) first_row: usize,
    /// The number of tokens.
    pub(crate) rows: usize,
    /// The position of the first token.
    pub(crate) position: usize,
    /// The sequence's blocks, at least up to the last of the tokens.
    pub(crate) table: &'a [BlockId],
}

/// Computes `out [t, n_q * d]`: for every token of `attend`, attention over the keys at its own and
/// all earlier positions. The queries are the first `n_q * d` columns of `q [t, ..]`.
///
/// The sum over keys runs in chunks of 64 and KV splits of 512 at absolute positions (as in
/// flash-decoding), so that its order depends on the sequence alone. Threads can share one sequence
/// by its splits.
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
            let keys = span.position + from + tokens;
            cost += 2 * tokens * n_q * d * keys;
            let tile = |kv_head| Tile { span, from, tokens, kv_head, splits: keys.div_ceil(KV_SPLIT), partials: None };
            tiles.extend((0..n_kv).map(tile));
        }
    }
    let room = plan_partials(&mut tiles, compute.threads(), shape);
    let mut tasks: Vec<(&Tile<'_>, Range<usize>)> = Vec::new();
    for tile in &tiles {
        let splits = if tile.partials.is_some() { 1 } else { tile.splits };
        tasks.extend((0..tile.splits).step_by(splits).map(|split| (tile, split..split + splits)));
    }
    let mut space = PARTIALS.take();
    space.reach(room);
    let partials = Shared::new(space.as_mut_slice());
    let (q_width, out_width) = (q.cols(), out.cols());
    let shared = Shared::new(out.as_mut_slice());
    // SAFETY: the row is inside `out`, which has as many rows as `q`.
    let out_of = |tile: &Tile<'_>| unsafe { shared.get().add(tile.row() * out_width) };
    let [keys, values] = layer.memory().map(SharedBytes);
    compute.parallel(tasks.len(), cost, |task| {
        let (tile, splits) = &tasks[task];
        let row = tile.row();
        let task = AttentionTask {
            q: &q.as_slice()[row * q_width..(row + tile.tokens) * q_width],
            q_width,
            tokens: tile.tokens,
            position: tile.span.position + tile.from,
            splits: splits.clone(),
            kv_head: tile.kv_head,
            table: tile.span.table,
            shape,
            keys: keys.get(),
            values: values.get(),
            to: match tile.partials {
                None => AttentionOutput::Rows { out: out_of(tile), width: out_width },
                // SAFETY: there is room for the splits of every tile that has some.
                Some(at) => AttentionOutput::Partial(unsafe {
                    partials.get().add(at + splits.start * partial_len(tile.rows(shape), shape))
                }),
            },
        };
        // SAFETY: tasks write disjoint rows and heads, or splits of their own; blocks were checked
        // above.
        unsafe { compute.kernels().run(task) }
    });
    let split_tiles: Vec<(&Tile<'_>, usize)> = tiles.iter().filter_map(|tile| Some((tile, tile.partials?))).collect();
    compute.parallel(split_tiles.len(), room, |task| {
        let (tile, at) = split_tiles[task];
        let rows = tile.rows(shape);
        // SAFETY: the splits of a tile are its own, and so are its rows and heads.
        unsafe {
            let of_tile =
                std::slice::from_raw_parts_mut(partials.get().add(at), tile.splits * partial_len(rows, shape));
            let (out, kv_head) = (out_of(tile), tile.kv_head);
            compute.kernels().run(CombineTask { partials: of_tile, rows, kv_head, shape, out, out_width });
        }
    });
    PARTIALS.set(space);
}

thread_local! {
    /// The partial results of KV splits, kept from call to call.
    static PARTIALS: Cell<Buffer> = Cell::default();
}

/// Decides which tiles are divided among threads by their KV splits: those that would be more than
/// half a thread's share of all work. Gives each of their splits room for a partial result, and
/// returns the room in floats. There are few such tiles, so they take little memory.
fn plan_partials(tiles: &mut [Tile<'_>], threads: usize, shape: KvShape) -> usize {
    let all: usize = tiles.iter().map(|tile| tile.splits).sum();
    let mut room = 0;
    for tile in tiles.iter_mut().filter(|tile| threads > 1 && tile.splits > 1 && tile.splits * 2 * threads > all) {
        tile.partials = Some(room);
        room += tile.splits * partial_len(tile.rows(shape), shape);
    }
    room
}

/// Some consecutive tokens with the query heads of one key/value head.
struct Tile<'a> {
    span: &'a Attend<'a>,
    /// The first of the tokens, counted from the span's first.
    from: usize,
    tokens: usize,
    kv_head: usize,
    /// The number of KV splits that the tile attends to.
    splits: usize,
    /// The offset of its partial results, in floats, if every split is a task of its own.
    partials: Option<usize>,
}

impl Tile<'_> {
    /// Returns the tile's first row in the step.
    fn row(&self) -> usize {
        self.span.first_row + self.from
    }

    /// Returns the number of query rows, tokens × heads.
    fn rows(&self, shape: KvShape) -> usize {
        self.tokens * (shape.heads.n_q / shape.heads.n_kv)
    }
}
