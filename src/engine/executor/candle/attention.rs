//! Attention over paged keys and values. Spans with equally many rows are computed together: their
//! keys and values are gathered, padded to the longest, and what a row must not see is masked. So
//! all decode rows of a step are one product, and every chunk of a prompt is one.

use super::cache::Cache;
use crate::kernels::{Attend, Heads};
use candle_core::{Device, Result, Tensor};
use std::collections::BTreeMap;

/// The most numbers that are gathered and computed at once, unless a single row needs more: 256 MiB
/// of keys, values and scores.
pub(super) const MOST_NUMBERS: usize = 1 << 26;

/// Pieces of spans with `rows` rows each, which attend to at most `keys` keys.
struct Group {
    pieces: usize,
    rows: usize,
    keys: usize,
    /// `[pieces * rows]`: the rows of the queries.
    queries: Tensor,
    /// `[pieces * keys]`: where the keys and values are.
    slots: Tensor,
    /// `[1, pieces, 1, rows, keys]`: 0 for a key that is seen, and negative infinity for any other;
    /// `None` where all are seen.
    mask: Option<Tensor>,
}

/// The attention of all rows of a step, made once for all layers.
pub(super) struct Attention {
    groups: Vec<Group>,
    /// Where the groups' results hold each row; `None` where they are in order.
    order: Option<Tensor>,
    heads: Heads,
}

impl Attention {
    /// Groups the rows of `spans`, which are numbered from 0 without a gap, so that at most
    /// `most_numbers` are computed at once.
    pub(super) fn new(
        spans: &[Attend<'_>],
        heads: Heads,
        (block_tokens, most_numbers): (usize, usize),
        device: &Device,
    ) -> Result<Self> {
        let mut by_rows: BTreeMap<usize, Vec<Attend<'_>>> = BTreeMap::new();
        for piece in spans.iter().flat_map(|span| pieces(span, heads, most_numbers)) {
            by_rows.entry(piece.rows).or_default().push(piece);
        }
        let (mut groups, mut computed) = (Vec::new(), Vec::new());
        for mut pieces in by_rows.into_values() {
            pieces.sort_by_key(keys);
            let mut rest = &pieces[..];
            while !rest.is_empty() {
                let fits = |count: usize| count * numbers(&rest[count - 1], heads) <= most_numbers;
                let count = (2..=rest.len()).take_while(|count| fits(*count)).last().unwrap_or(1);
                let (together, others) = rest.split_at(count);
                computed.extend(together.iter().flat_map(|piece| piece.first_row..piece.first_row + piece.rows));
                groups.push(Group::new(together, block_tokens, device)?);
                rest = others;
            }
        }
        let in_order = computed.iter().enumerate().all(|(place, row)| place == *row);
        let mut order = vec![0u32; computed.len()];
        computed.iter().zip(0..).for_each(|(row, place)| order[*row] = place);
        let order = if in_order { None } else { Some(Tensor::new(order, device)?) };
        Ok(Self { groups, order, heads })
    }

    /// Attends for the queries `[t, n_q, d]`, and returns `[t, n_q * d]`.
    pub(super) fn forward(&self, queries: &Tensor, cache: &Cache, layer: usize) -> Result<Tensor> {
        let scaled = (queries * (self.heads.d as f64).sqrt().recip())?;
        let outputs = self.groups.iter().map(|group| group.forward(&scaled, self.heads, cache, layer));
        let outputs = Tensor::cat(&outputs.collect::<Result<Vec<_>>>()?, 0)?;
        match &self.order {
            Some(order) => outputs.index_select(order, 0),
            None => Ok(outputs),
        }
    }
}

impl Group {
    fn new(pieces: &[Attend<'_>], block_tokens: usize, device: &Device) -> Result<Self> {
        let (rows, most) = (pieces[0].rows, keys(&pieces[pieces.len() - 1]));
        let (mut queries, mut slots, mut mask) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            queries.extend((piece.first_row..piece.first_row + rows).map(|row| row as u32));
            let keys = keys(piece);
            // What is padded reads the sequence's own first token, and is masked.
            let slot = |position: usize| {
                piece.table[position / block_tokens].0 * block_tokens as u32 + (position % block_tokens) as u32
            };
            slots.extend((0..most).map(|position| slot(if position < keys { position } else { 0 })));
            for row in 0..rows {
                let seen = piece.position + row + 1;
                mask.extend((0..most).map(|position| if position < seen { 0f32 } else { f32::NEG_INFINITY }));
            }
        }
        let count = pieces.len();
        let mask = if mask.iter().all(|number| *number == 0.0) {
            None
        } else {
            Some(Tensor::from_vec(mask, (1, count, 1, rows, most), device)?)
        };
        let (queries, slots) = (Tensor::new(queries, device)?, Tensor::new(slots, device)?);
        Ok(Self { pieces: count, rows, keys: most, queries, slots, mask })
    }

    /// Returns `[pieces * rows, n_q * d]`.
    fn forward(&self, queries: &Tensor, heads: Heads, cache: &Cache, layer: usize) -> Result<Tensor> {
        let Heads { n_q, n_kv, d } = heads;
        let (b, r, l, group) = (self.pieces, self.rows, self.keys, n_q / n_kv);
        let queries = queries.index_select(&self.queries, 0)?.reshape((b, r, n_kv, group, d))?;
        let queries = queries.permute((2, 0, 3, 1, 4))?.contiguous()?.reshape((n_kv * b, group * r, d))?;
        let [keys, values] = cache.gather(layer, &self.slots)?;
        let (keys, values) = (keys.reshape((n_kv * b, l, d))?, values.reshape((n_kv * b, l, d))?);
        let scores = queries.matmul(&keys.t()?)?;
        let scores = match &self.mask {
            Some(mask) => scores.reshape((n_kv, b, group, r, l))?.broadcast_add(mask)?,
            None => scores,
        };
        let weights = candle_nn::ops::softmax_last_dim(&scores)?.reshape((n_kv * b, group * r, l))?;
        let outputs = weights.matmul(&values)?.reshape((n_kv, b, group, r, d))?;
        outputs.permute((1, 3, 0, 2, 4))?.contiguous()?.reshape((b * r, n_q * d))
    }
}

/// Returns the number of keys that the last row of a piece sees.
fn keys(piece: &Attend<'_>) -> usize {
    piece.position + piece.rows
}

/// Returns how many numbers are gathered and computed for a piece.
fn numbers(piece: &Attend<'_>, heads: Heads) -> usize {
    keys(piece) * (2 * heads.n_kv * heads.d + heads.n_q * piece.rows)
}

/// Cuts a span into pieces whose scores are few enough.
fn pieces<'a>(span: &Attend<'a>, heads: Heads, most_numbers: usize) -> Vec<Attend<'a>> {
    let most = (most_numbers / (heads.n_q * keys(span))).max(1);
    let piece = |from: usize| Attend {
        first_row: span.first_row + from,
        rows: most.min(span.rows - from),
        position: span.position + from,
        table: span.table,
    };
    (0..span.rows).step_by(most).map(piece).collect()
}
