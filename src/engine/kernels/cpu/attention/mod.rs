//! Attention of one tile: some consecutive tokens of a sequence × the query heads of one key/value
//! head, over the keys of one or more KV splits. Online softmax runs over chunks of 64 keys. Scores
//! and weighted sums are register tiles, as in a matrix product. The partial results of several
//! splits are put together by [`CombineTask`], as in flash-decoding.
//!
//! Results are bitwise independent of the tile. Every score and every weighted sum is one
//! multiply-add chain in ascending order; chunks start at multiples of 64 and splits at multiples
//! of [`KV_SPLIT`]; a key that a row may not see has weight exactly 0, a chunk of such keys scales
//! the row by exactly 1, and a split of such keys is left out.

mod state;

use super::exp::exp;
use super::simd::{Kernel, Simd};
use super::tile::{Element, F16, Int8, accumulate};
use crate::blocks::BlockId;
use crate::kernels::layout::{Heads, KvFormat, KvShape};
use state::{State, exp_one, head_offset};
use std::cell::Cell;
use std::ops::Range;

pub(in crate::kernels) use state::{CombineTask, partial_len};

/// The number of keys per chunk; a multiple of every block size and vector.
const CHUNK: usize = 64;

/// The number of keys per KV split, the part of a sequence that one thread can take. It is constant
/// because results depend on it.
pub(in crate::kernels) const KV_SPLIT: usize = 8 * CHUNK;

/// The most blocks of a chunk.
const BLOCKS: usize = CHUNK / 16;

/// The attention of one tile.
pub(in crate::kernels) struct AttentionTask<'a> {
    /// `[tokens, q_width]`; the first columns are the query heads.
    pub(in crate::kernels) q: &'a [f32],
    pub(in crate::kernels) q_width: usize,
    pub(in crate::kernels) tokens: usize,
    /// The position of the first token.
    pub(in crate::kernels) position: usize,
    /// The KV splits to attend to.
    pub(in crate::kernels) splits: Range<usize>,
    pub(in crate::kernels) kv_head: usize,
    pub(in crate::kernels) table: &'a [BlockId],
    pub(in crate::kernels) shape: KvShape,
    /// The keys of the whole layer, in the shape's format.
    pub(in crate::kernels) keys: *const u8,
    pub(in crate::kernels) values: *const u8,
    pub(in crate::kernels) to: AttentionOutput,
}

/// Where the result goes.
#[derive(Clone, Copy)]
pub(in crate::kernels) enum AttentionOutput {
    /// The rows `[tokens, width]`, for all splits together. The task writes its heads only.
    Rows { out: *mut f32, width: usize },
    /// A partial result of [`partial_len`] floats, for one split of several.
    Partial(*mut f32),
}

thread_local! {
    /// Working memory, kept from task to task.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// The working memory of a tile of R rows (token × head), all row-major.
struct Tile<'a> {
    /// `[R, d]`, scaled by `1 / sqrt(d)`.
    q: &'a mut [f32],
    /// `[R, CHUNK]`: scores, then weights.
    weights: &'a mut [f32],
    /// The result of the keys so far.
    state: State<'a>,
    /// `[R]`: the factors of the sums so far.
    rescale: &'a mut [f32],
    /// `[d, CHUNK]` and `[CHUNK, d_padded]`: keys and values that are not f32, converted to it.
    widened: &'a mut [f32],
}

/// The keys and values of a chunk, block by block.
#[derive(Clone, Copy)]
struct Chunk<E> {
    start: usize,
    count: usize,
    keys: [*const E; BLOCKS],
    values: [*const E; BLOCKS],
    /// The scales of int8 keys and values, one per token.
    scales: Option<[[*const f32; BLOCKS]; 2]>,
    /// The keys and values that are read after these, to be prefetched when there are few rows.
    /// Such rows finish a block, which is a piece of memory of its own, before the hardware
    /// prefetcher has recognized it.
    prefetch: Option<[[*const E; BLOCKS]; 2]>,
}

impl<E> Chunk<E> {
    /// Creates a chunk of `count` keys from `start` on, whose blocks are not known yet.
    fn empty(start: usize, count: usize) -> Self {
        let nowhere = [std::ptr::null(); BLOCKS];
        Self { start, count, keys: nowhere, values: nowhere, scales: None, prefetch: None }
    }
}

impl Kernel for AttentionTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Heads { d, .. } = self.shape.heads;
        let rows = self.tokens * self.group();
        let d_padded = self.shape.d_padded();
        // Taken out and put back, because a closure around the work would not be compiled for this
        // instruction set.
        let mut scratch = SCRATCH.take();
        let few = rows <= S::WIDE_ROWS;
        let narrow = self.shape.format != KvFormat::F32;
        let widened = if narrow && !few { CHUNK * (d + d_padded) } else { 0 };
        let partial = partial_len(rows, self.shape);
        let before = if self.splits.len() > 1 { partial } else { 0 };
        let wanted = rows * (d + CHUNK + 1) + partial + widened + before;
        if scratch.len() < wanted {
            scratch.resize(wanted, 0.0);
        }
        let (q, rest) = scratch.split_at_mut(rows * d);
        let (weights, rest) = rest.split_at_mut(rows * CHUNK);
        let (state, rest) = rest.split_at_mut(partial);
        let (rescale, rest) = rest.split_at_mut(rows);
        let (before, widened) = rest.split_at_mut(before);
        let state = State::new(state, rows, d_padded);
        let mut tile = Tile { q, weights, state, rescale, widened };
        self.read_queries(&mut tile);
        for split in self.splits.clone() {
            // SAFETY: the caller's.
            unsafe { self.attend_to_split::<S>(&mut tile, split, few) }
            if self.splits.len() > 1 {
                let mut before = State::new(before, rows, d_padded);
                if split == self.splits.start {
                    before.copy(&tile.state);
                } else {
                    // SAFETY: the caller's.
                    unsafe { before.fold::<S>(&tile.state) }
                }
            }
        }
        let state = if self.splits.len() > 1 { State::new(before, rows, d_padded) } else { tile.state };
        match self.to {
            // SAFETY: the caller's.
            AttentionOutput::Rows { out, width } => unsafe { state.write(self.shape.heads, self.kv_head, out, width) },
            // SAFETY: the caller's.
            AttentionOutput::Partial(to) => unsafe {
                State::new(std::slice::from_raw_parts_mut(to, partial), rows, d_padded).copy(&state);
            },
        }
        SCRATCH.set(scratch);
    }
}

impl AttentionTask<'_> {
    /// Computes a tile's state after the keys of one split alone.
    #[inline(always)]
    unsafe fn attend_to_split<S: Simd>(&self, tile: &mut Tile<'_>, split: usize, few: bool) {
        tile.state.clear();
        let keys = self.position + self.tokens;
        for start in (split * KV_SPLIT..keys.min((split + 1) * KV_SPLIT)).step_by(CHUNK) {
            // SAFETY: the caller's; the table covers all keys.
            unsafe {
                match self.shape.format {
                    KvFormat::F32 => self.attend::<S, f32>(tile, &self.chunk(start, keys)),
                    KvFormat::F16 => self.attend_to_narrow::<S, F16>(tile, start, keys, few),
                    KvFormat::Int8 => self.attend_to_narrow::<S, Int8>(tile, start, keys, few),
                }
            }
        }
    }

    /// Attends to a chunk of keys and values that are not f32. Few rows, which read every key once,
    /// read them as they are; for many rows they are converted to f32 first.
    #[inline(always)]
    unsafe fn attend_to_narrow<S: Simd, E: Element>(&self, tile: &mut Tile<'_>, start: usize, keys: usize, few: bool) {
        // SAFETY: the caller's.
        unsafe {
            let mut chunk = self.chunk::<E>(start, keys);
            if few {
                chunk.prefetch = Some(self.prefetch_targets(&chunk, keys));
                self.attend::<S, E>(tile, &chunk);
            } else {
                let chunk = self.widened::<S, E>(tile, &chunk);
                self.attend::<S, f32>(tile, &chunk);
            }
        }
    }
}

/// Returns the most rows of a register tile with C vectors of columns.
const fn tile_rows<S: Simd, const C: usize>() -> usize {
    if C == 4 { S::WIDE_ROWS } else { S::TALL_ROWS }
}

/// Splits `rows` into blocks of nearly equal height, at most [`tile_rows`], and runs a method on
/// each.
macro_rules! by_height {
    ($self:ident . $method:ident ( $tile:ident, $first:ident $(, $argument:expr)* ) over $rows:expr) => {{
        let blocks = $rows.div_ceil(tile_rows::<S, C>());
        for block in 0..blocks {
            let $first = $rows * block / blocks;
            match $rows * (block + 1) / blocks - $first {
                1 => $self.$method::<S, E, C, 1>($tile, $first $(, $argument)*),
                2 => $self.$method::<S, E, C, 2>($tile, $first $(, $argument)*),
                3 if tile_rows::<S, C>() >= 3 => $self.$method::<S, E, C, 3>($tile, $first $(, $argument)*),
                4 if tile_rows::<S, C>() >= 4 => $self.$method::<S, E, C, 4>($tile, $first $(, $argument)*),
                5 if tile_rows::<S, C>() >= 5 => $self.$method::<S, E, C, 5>($tile, $first $(, $argument)*),
                6 if tile_rows::<S, C>() >= 6 => $self.$method::<S, E, C, 6>($tile, $first $(, $argument)*),
                _ => unreachable!("a tile is at most as high as there are registers for"),
            }
        }
    }};
}

impl AttentionTask<'_> {
    fn group(&self) -> usize {
        self.shape.heads.n_q / self.shape.heads.n_kv
    }

    #[inline(always)]
    fn read_queries(&self, tile: &mut Tile<'_>) {
        let d = self.shape.heads.d;
        let scale = 1.0 / (d as f32).sqrt();
        for (row, to) in tile.q.chunks_exact_mut(d).enumerate() {
            let from = head_offset(self.shape.heads, self.kv_head, row, self.q_width);
            for (to, from) in to.iter_mut().zip(&self.q[from..from + d]) {
                *to = from * scale;
            }
        }
    }

    /// Finds the blocks of the chunk that starts at `start`, of `keys` keys in all.
    #[inline(always)]
    unsafe fn chunk<E: Element>(&self, start: usize, keys: usize) -> Chunk<E> {
        let shape = self.shape;
        let mut chunk = Chunk::empty(start, CHUNK.min(keys - start));
        let (mut key_scales, mut value_scales) = ([std::ptr::null(); BLOCKS], [std::ptr::null(); BLOCKS]);
        for at in 0..chunk.count.div_ceil(shape.block_tokens) {
            let block = self.table[start / shape.block_tokens + at].0 as usize;
            // SAFETY: the block is in the layer.
            unsafe {
                let keys = self.keys.add(shape.keys_at(block, self.kv_head));
                let values = self.values.add(shape.values_at(block, self.kv_head));
                (chunk.keys[at], chunk.values[at]) = (keys.cast(), values.cast());
                key_scales[at] = keys.add(shape.key_numbers() * shape.format.bytes()).cast();
                value_scales[at] = values.add(shape.value_numbers() * shape.format.bytes()).cast();
            }
        }
        chunk.scales = (shape.format.scale_bytes() > 0).then_some([key_scales, value_scales]);
        chunk
    }

    /// Returns the keys and values that are read after this chunk: those of the next chunk, or of
    /// the first chunk of the next head. Missing blocks are replaced by this chunk's.
    #[inline(always)]
    unsafe fn prefetch_targets<E: Element>(&self, chunk: &Chunk<E>, keys: usize) -> [[*const E; BLOCKS]; 2] {
        let shape = self.shape;
        let next_start = chunk.start + CHUNK;
        let (start, heads) = if next_start < keys { (next_start, 0) } else { (0, 1) };
        let mut prefetch = [chunk.keys, chunk.values];
        if self.kv_head + heads < shape.heads.n_kv {
            // SAFETY: the caller's.
            let next = unsafe { self.chunk::<E>(start, keys) };
            let blocks = next.count.div_ceil(shape.block_tokens);
            for (to, from) in prefetch[0].iter_mut().zip(next.keys).take(blocks) {
                *to = from.wrapping_byte_add(heads * shape.key_head_bytes());
            }
            for (to, from) in prefetch[1].iter_mut().zip(next.values).take(blocks) {
                *to = from.wrapping_byte_add(heads * shape.value_head_bytes());
            }
        }
        prefetch
    }

    /// Converts a chunk's keys and values to f32 in the tile's memory. Scales stay where they are.
    #[inline(always)]
    unsafe fn widened<S: Simd, E: Element>(&self, tile: &mut Tile<'_>, narrow: &Chunk<E>) -> Chunk<f32> {
        let mut chunk = Chunk { scales: narrow.scales, ..Chunk::empty(narrow.start, narrow.count) };
        let (keys, values) = (self.shape.key_numbers(), self.shape.value_numbers());
        let to = tile.widened.as_mut_ptr();
        for at in 0..chunk.count.div_ceil(self.shape.block_tokens) {
            // SAFETY: a chunk's blocks fit the memory.
            unsafe {
                let to_keys = to.add(at * keys);
                let to_values = to.add(CHUNK * self.shape.heads.d + at * values);
                widen::<S, E>(narrow.keys[at], keys, to_keys);
                widen::<S, E>(narrow.values[at], values, to_values);
                (chunk.keys[at], chunk.values[at]) = (to_keys.cast_const(), to_values.cast_const());
            }
        }
        chunk
    }

    /// Attends to a chunk: adds its keys and values to the tile's state.
    #[inline(always)]
    unsafe fn attend<S: Simd, E: Element>(&self, tile: &mut Tile<'_>, chunk: &Chunk<E>) {
        // SAFETY: the caller's.
        unsafe {
            if S::TALL_ROWS > 0 && tile.state.largest.len() > S::WIDE_ROWS {
                self.score::<S, E, 2>(tile, chunk);
                self.softmax::<S, E>(tile, chunk);
                self.sum_values::<S, E, 2>(tile, chunk);
            } else {
                self.score::<S, E, 4>(tile, chunk);
                self.softmax::<S, E>(tile, chunk);
                self.sum_values::<S, E, 4>(tile, chunk);
            }
        }
    }

    /// Computes the scores of the chunk's keys, and of whatever else is in their vectors.
    #[inline(always)]
    unsafe fn score<S: Simd, E: Element, const C: usize>(&self, tile: &mut Tile<'_>, chunk: &Chunk<E>) {
        let rows = tile.state.largest.len();
        let block_tokens = self.shape.block_tokens;
        for from in (0..chunk.count).step_by(C * S::LANES) {
            // C vectors of keys. Beyond the last one they repeat the first, and those scores are
            // ignored.
            let places: [usize; C] =
                std::array::from_fn(|v| if from + v * S::LANES < chunk.count { from + v * S::LANES } else { from });
            let vectors =
                |keys: &[*const E; BLOCKS]| places.map(|key| keys[key / block_tokens].wrapping_add(key % block_tokens));
            let (keys, prefetch) = (vectors(&chunk.keys), chunk.prefetch.map(|[keys, _]| vectors(&keys)));
            // SAFETY: the caller's.
            unsafe {
                by_height!(self.score_rows(tile, first, from, keys, prefetch) over rows);
                if let Some([scales, _]) = chunk.scales {
                    self.scale_scores::<S>(tile, from..(from + C * S::LANES).min(chunk.count), &scales);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn score_rows<S: Simd, E: Element, const C: usize, const R: usize>(
        &self,
        tile: &mut Tile<'_>,
        first: usize,
        from: usize,
        keys: [*const E; C],
        prefetch: Option<[*const E; C]>,
    ) {
        let d = self.shape.heads.d;
        // SAFETY: the rows are inside the tile; CHUNK is a multiple of C vectors or of the one that
        // is used.
        unsafe {
            let q: [*const f32; R] = std::array::from_fn(|r| tile.q.as_ptr().add((first + r) * d));
            let mut acc = [[S::splat(0.0); C]; R];
            accumulate::<S, E, R, C>(&mut acc, d, q, keys, self.shape.block_tokens, prefetch);
            for (r, scores) in acc.iter().enumerate() {
                let to = tile.weights.as_mut_ptr().add((first + r) * CHUNK + from);
                for (v, &score) in scores.iter().enumerate() {
                    S::store(to.add(v * S::LANES), score);
                }
            }
        }
    }

    /// Multiplies the scores of some keys by the keys' scales.
    #[inline(always)]
    unsafe fn scale_scores<S: Simd>(&self, tile: &mut Tile<'_>, keys: Range<usize>, scales: &[*const f32; BLOCKS]) {
        for key in keys.step_by(S::LANES) {
            // SAFETY: vectors do not go beyond a block, nor beyond the tile.
            unsafe {
                let scale = S::load(scales[key / self.shape.block_tokens].add(key % self.shape.block_tokens));
                for row in tile.weights.chunks_exact_mut(CHUNK) {
                    let score = row.as_mut_ptr().add(key);
                    S::store(score, S::mul(S::load(score), scale));
                }
            }
        }
    }

    /// Turns scores into weights: masks what a row may not see, and updates its largest score and
    /// its total. Weights are multiplied by the scales of their values, if those have any.
    #[inline(always)]
    unsafe fn softmax<S: Simd, E: Element>(&self, tile: &mut Tile<'_>, chunk: &Chunk<E>) {
        let Chunk { start, count, .. } = *chunk;
        let (group, block_tokens) = (self.group(), self.shape.block_tokens);
        let width = count.next_multiple_of(S::LANES);
        for (row, weights) in tile.weights.chunks_exact_mut(CHUNK).enumerate() {
            let seen = (self.position + row / group + 1).saturating_sub(start).min(count);
            weights[seen..width].fill(f32::NEG_INFINITY);
            let weights = weights.as_mut_ptr();
            // SAFETY: `width` is at most CHUNK.
            unsafe {
                let mut largest = S::splat(tile.state.largest[row]);
                for i in (0..width).step_by(S::LANES) {
                    largest = S::max(largest, S::load(weights.add(i)));
                }
                let largest = S::largest(largest);
                // A row that has seen no key yet has weights of 0, whatever is subtracted from
                // minus infinity.
                let subtracted = S::splat(if largest == f32::NEG_INFINITY { 0.0 } else { largest });
                let mut total = S::splat(0.0);
                for i in (0..width).step_by(S::LANES) {
                    let weight = exp::<S>(S::sub(S::load(weights.add(i)), subtracted));
                    let of_value = match &chunk.scales {
                        Some([_, scales]) => S::mul(weight, S::load(scales[i / block_tokens].add(i % block_tokens))),
                        None => weight,
                    };
                    S::store(weights.add(i), of_value);
                    total = S::add(total, weight);
                }
                // After the first chunks the largest score rarely changes, and e^0 is exactly 1.
                let stays = largest.to_bits() == tile.state.largest[row].to_bits();
                let rescale = if stays { 1.0 } else { exp_one::<S>(tile.state.largest[row] - largest) };
                tile.state.largest[row] = largest;
                tile.rescale[row] = rescale;
                tile.state.total[row] = tile.state.total[row] * rescale + S::sum(total);
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_values<S: Simd, E: Element, const C: usize>(&self, tile: &mut Tile<'_>, chunk: &Chunk<E>) {
        let rows = tile.state.largest.len();
        // SAFETY: the caller's.
        unsafe { by_height!(self.sum_rows(tile, first, chunk) over rows) }
    }

    #[inline(always)]
    unsafe fn sum_rows<S: Simd, E: Element, const C: usize, const R: usize>(
        &self,
        tile: &mut Tile<'_>,
        first: usize,
        chunk: &Chunk<E>,
    ) {
        let vectors = self.shape.d_padded() / S::LANES;
        let mut v = 0;
        while v < vectors {
            // SAFETY: the vectors lie in the padded head.
            unsafe {
                if C == 4 && vectors - v >= 4 {
                    self.sum_block::<S, E, R, 4>(tile, first, chunk, v);
                    v += 4;
                } else if vectors - v >= 2 {
                    self.sum_block::<S, E, R, 2>(tile, first, chunk, v);
                    v += 2;
                } else {
                    self.sum_block::<S, E, R, 1>(tile, first, chunk, v);
                    v += 1;
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_block<S: Simd, E: Element, const R: usize, const C: usize>(
        &self,
        tile: &mut Tile<'_>,
        first: usize,
        chunk: &Chunk<E>,
        vector: usize,
    ) {
        let (d_padded, block_tokens) = (self.shape.d_padded(), self.shape.block_tokens);
        // SAFETY: rows, keys and vectors lie in the tile and in the layer.
        unsafe {
            let sums: [*mut f32; R] =
                std::array::from_fn(|r| tile.state.sums.as_mut_ptr().add((first + r) * d_padded + vector * S::LANES));
            let mut acc = [[S::splat(0.0); C]; R];
            for (r, acc) in acc.iter_mut().enumerate() {
                for (c, acc) in acc.iter_mut().enumerate() {
                    *acc = S::mul(S::load(sums[r].add(c * S::LANES)), S::splat(tile.rescale[first + r]));
                }
            }
            for from in (0..chunk.count).step_by(block_tokens) {
                let weights = std::array::from_fn(|r| tile.weights.as_ptr().add((first + r) * CHUNK + from));
                let block = from / block_tokens;
                let vectors = |values: *const E| std::array::from_fn(|c| values.wrapping_add((vector + c) * S::LANES));
                let (values, prefetch) =
                    (vectors(chunk.values[block]), chunk.prefetch.map(|[_, values]| vectors(values[block])));
                let count = block_tokens.min(chunk.count - from);
                accumulate::<S, E, R, C>(&mut acc, count, weights, values, d_padded, prefetch);
            }
            for (r, acc) in acc.iter().enumerate() {
                for (c, &acc) in acc.iter().enumerate() {
                    S::store(sums[r].add(c * S::LANES), acc);
                }
            }
        }
    }
}

/// Converts `n` numbers to floats; n is a multiple of 16.
#[inline(always)]
unsafe fn widen<S: Simd, E: Element>(from: *const E, n: usize, to: *mut f32) {
    for i in (0..n).step_by(S::LANES) {
        // SAFETY: the caller's.
        unsafe { S::store(to.add(i), E::load::<S>(from.add(i))) };
    }
}
