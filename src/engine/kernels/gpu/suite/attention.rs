//! Rotation and storing, and both kinds of attention over what was stored.

use super::*;
use crate::engine::kernels::gpu::{DecodeAttention, NO_SLOT, PrefillAttention, Rotate, Tile, Type};
use crate::engine::kernels::{Rotary, reference};

/// Numbers of the pool that no kernel wrote: NaN, so that reading them shows.
const UNWRITTEN: u16 = 0x7fff;

/// One sequence in scattered blocks.
struct Sequence {
    n_q: usize,
    n_kv: usize,
    d: usize,
    block_tokens: usize,
    tokens: usize,
    table: Vec<u32>,
    blocks: usize,
}

impl Sequence {
    fn new(rng: &mut ChaCha8Rng, tokens: usize) -> Self {
        let (n_kv, group) = (rng.random_range(1..3), rng.random_range(1..9));
        let d = if rng.random() { 128 } else { 64 };
        let block_tokens = [16, 32, 64][rng.random_range(0..3)];
        let used = tokens.div_ceil(block_tokens);
        let table = (0..used as u32).map(|block| 2 * (used as u32 - block)).collect();
        Self { n_q: n_kv * group, n_kv, d, block_tokens, tokens, table, blocks: 2 * used + 1 }
    }

    fn width(&self) -> usize {
        (self.n_q + 2 * self.n_kv) * self.d
    }

    fn pool(&self) -> usize {
        self.blocks * self.n_kv * self.block_tokens * self.d
    }

    fn slot(&self, position: usize) -> usize {
        self.table[position / self.block_tokens] as usize * self.block_tokens + position % self.block_tokens
    }

    /// Where the key or value of a position begins in the pool.
    fn place(&self, position: usize, head: usize) -> usize {
        let slot = self.slot(position);
        ((slot / self.block_tokens * self.n_kv + head) * self.block_tokens + slot % self.block_tokens) * self.d
    }
}

/// What rotation leaves.
#[derive(Clone, PartialEq)]
struct Stored {
    q: Vec<u16>,
    keys: Vec<u16>,
    values: Vec<u16>,
}

struct Layer {
    qkv: Vec<f32>,
    q_norm: Vec<f32>,
    k_norm: Vec<f32>,
}

fn rotate(kernels: &dyn Kernels, sequence: &Sequence, layer: &Layer, kind: Type, slots: &[u32]) -> Stored {
    let (d, rows) = (sequence.d, sequence.tokens);
    let mut rotary = Rotary::new(d, 1e4);
    rotary.reach(rows as u32);
    let angles = |part: fn(&Rotary, u32) -> &[f32]| {
        (0..rows as u32).flat_map(|at| part(&rotary, at).to_vec()).collect::<Vec<_>>()
    };
    let (cos, sin) = (angles(|rotary, at| rotary.at(at).0), angles(|rotary, at| rotary.at(at).1));
    let positions: Vec<u32> = (0..rows as u32).collect();
    in_every_order(kernels, || {
        let (mut wide, mut narrow) = (Memory::of(&layer.qkv), Memory::of(&bits(&layer.qkv)));
        let (mut q_norm, mut k_norm) = (Memory::of(&layer.q_norm), Memory::of(&layer.k_norm));
        let (mut cos, mut sin) = (Memory::of(&cos), Memory::of(&sin));
        let (mut positions, mut slots) = (Memory::of(&positions), Memory::of(slots));
        let mut q = Memory::filled(rows * sequence.n_q * d, UNWRITTEN);
        let (mut keys, mut values) =
            (Memory::filled(sequence.pool(), UNWRITTEN), Memory::filled(sequence.pool(), UNWRITTEN));
        let args = Rotate {
            qkv: if kind == Type::F32 { wide.at().cast() } else { narrow.at().cast() },
            q_norm: q_norm.at(),
            k_norm: k_norm.at(),
            cos: cos.at(),
            sin: sin.at(),
            positions: positions.at(),
            slots: slots.at(),
            q: q.at(),
            keys: keys.at(),
            values: values.at(),
            rows: rows as u32,
            n_q: sequence.n_q as u32,
            n_kv: sequence.n_kv as u32,
            d: d as u32,
            block_tokens: sequence.block_tokens as u32,
            qkv_type: kind,
            eps: 1e-6,
        };
        run(kernels, &Launch::Rotate(args));
        Stored { q: q.get(), keys: keys.get(), values: values.get() }
    })
}

fn layer(rng: &mut ChaCha8Rng, sequence: &Sequence) -> Layer {
    let qkv = numbers(rng, sequence.tokens * sequence.width());
    Layer { qkv, q_norm: numbers(rng, sequence.d), k_norm: numbers(rng, sequence.d) }
}

fn slots(sequence: &Sequence) -> Vec<u32> {
    (0..sequence.tokens).map(|position| sequence.slot(position) as u32).collect()
}

pub(in crate::engine::kernels::gpu) fn heads_are_normed_rotated_and_stored(kernels: &dyn Kernels) {
    cases(6, |rng| {
        let tokens = rng.random_range(1..40);
        let sequence = Sequence::new(rng, tokens);
        let Sequence { n_q, n_kv, d, .. } = sequence;
        let layer = layer(rng, &sequence);
        let mut slots = slots(&sequence);
        let unstored = rng.random_range(0..tokens);
        slots[unstored] = NO_SLOT;
        for kind in [Type::F32, Type::Bf16] {
            let raw = if kind == Type::F32 { layer.qkv.clone() } else { rounded(&layer.qkv) };
            let head = |row: usize, head: usize| &raw[row * sequence.width() + head * d..][..d];
            let turned = |row: usize, at: usize, norm: &[f32]| {
                reference::rotate(&reference::rms_norm(head(row, at), norm, 1e-6), row as u32, 1e4)
            };
            let stored = rotate(kernels, &sequence, &layer, kind, &slots);
            let mut written = 0;
            for row in 0..tokens {
                for i in 0..n_q {
                    let found = floats(&stored.q[(row * n_q + i) * d..][..d]);
                    assert_close(&found, &turned(row, i, &layer.q_norm), BF16);
                }
                for i in 0..n_kv {
                    let place = sequence.place(row, i);
                    if row == unstored {
                        assert!(stored.keys[place..][..d].iter().all(|&x| x == UNWRITTEN));
                        continue;
                    }
                    assert_close(&floats(&stored.keys[place..][..d]), &turned(row, n_q + i, &layer.k_norm), BF16);
                    assert_eq!(stored.values[place..][..d], bits(head(row, n_q + n_kv + i)));
                    written += d;
                }
            }
            assert_eq!(stored.keys.iter().filter(|&&x| x != UNWRITTEN).count(), written);
        }
    });
}

/// `out` of the rows at `positions`, in one launch; a length of 0 stands for a filling row.
fn decode(
    kernels: &dyn Kernels,
    sequence: &Sequence,
    stored: &Stored,
    lengths: &[usize],
    spread: u32,
    orders: bool,
) -> Vec<u16> {
    let width = sequence.n_q * sequence.d;
    let q: Vec<u16> =
        lengths.iter().flat_map(|&length| stored.q[length.saturating_sub(1) * width..][..width].to_vec()).collect();
    let (rows, n_q, n_kv) = (lengths.len() as u32, sequence.n_q as u32, sequence.n_kv as u32);
    // Two tables, one behind the other, of which every other row takes the second: where a table begins is a value, too.
    let tables = [&sequence.table[..], &sequence.table[..]].concat();
    let starts: Vec<u32> = (0..rows).map(|row| row % 2 * sequence.table.len() as u32).collect();
    let lengths: Vec<u32> = lengths.iter().map(|&length| length as u32).collect();
    let max_length = sequence.tokens as u32 + 70;
    let once = || {
        let sizes = (rows as usize, n_q as usize, sequence.d, max_length as usize);
        let bytes = kernels.rules().decode_attention_bytes(sizes.0, sizes.1, sizes.2, sizes.3);
        let (mut workspace, mut counters) =
            (Memory::filled(bytes, 0xffu8), Memory::filled((rows * n_kv) as usize, 0u32));
        let (mut q, mut keys, mut values) = (Memory::of(&q), Memory::of(&stored.keys), Memory::of(&stored.values));
        let (mut lengths, mut starts, mut tables) = (Memory::of(&lengths), Memory::of(&starts), Memory::of(&tables));
        let mut out = Memory::filled(rows as usize * width, UNWRITTEN);
        let args = DecodeAttention {
            q: q.at(),
            keys: keys.at(),
            values: values.at(),
            lengths: lengths.at(),
            table_starts: starts.at(),
            tables: tables.at(),
            out: out.at(),
            workspace: workspace.at().cast(),
            counters: counters.at(),
            rows,
            n_q,
            n_kv,
            d: sequence.d as u32,
            block_tokens: sequence.block_tokens as u32,
            max_length,
            spread,
        };
        run(kernels, &Launch::DecodeAttention(args));
        assert!(counters.get().iter().all(|&count| count == 0), "counters are left as they were found");
        out.get()
    };
    if orders { in_every_order(kernels, once) } else { once() }
}

/// `out` of all rows of the sequence; those before `first` are not computed.
fn prefill(kernels: &dyn Kernels, sequence: &Sequence, stored: &Stored, first: usize, tile_tokens: usize) -> Vec<u16> {
    let tiles: Vec<Tile> = (first..sequence.tokens)
        .step_by(tile_tokens)
        .map(|at| Tile {
            first_row: at as u32,
            tokens: tile_tokens.min(sequence.tokens - at) as u32,
            position: at as u32,
            table_start: 0,
        })
        .collect();
    in_every_order(kernels, || {
        let (mut q, mut keys, mut values) =
            (Memory::of(&stored.q), Memory::of(&stored.keys), Memory::of(&stored.values));
        let (mut tiles, mut tables) = (Memory::of(&tiles), Memory::of(&sequence.table));
        let mut out = Memory::filled(stored.q.len(), UNWRITTEN);
        let args = PrefillAttention {
            q: q.at(),
            keys: keys.at(),
            values: values.at(),
            tile_count: sequence.tokens.saturating_sub(first).div_ceil(tile_tokens) as u32,
            tiles: tiles.at(),
            tables: tables.at(),
            out: out.at(),
            n_q: sequence.n_q as u32,
            n_kv: sequence.n_kv as u32,
            d: sequence.d as u32,
            block_tokens: sequence.block_tokens as u32,
        };
        run(kernels, &Launch::PrefillAttention(args));
        out.get()
    })
}

/// Attention is right, and the same bit by bit for prefill, decoding, every spread, and every company.
pub(in crate::engine::kernels::gpu) fn attention_is_right_and_one_for_all(kernels: &dyn Kernels) {
    cases(7, |rng| {
        let tokens = [1, 17, 63, 64, 65, 129, 200][rng.random_range(0..7)];
        let sequence = Sequence::new(rng, tokens);
        check_attention(kernels, rng, &sequence);
    });
}

/// The same of more chunks of keys than any kernel has under way at once.
pub(in crate::engine::kernels::gpu) fn attention_goes_on_for_long_sequences(kernels: &dyn Kernels) {
    let small = Sequence::new(&mut rng(0), 9 * 64 + 5);
    check_attention(kernels, &mut rng(1), &Sequence { n_q: 2, n_kv: 1, d: 64, ..small });
}

fn check_attention(kernels: &dyn Kernels, rng: &mut ChaCha8Rng, sequence: &Sequence) {
    let tokens = sequence.tokens;
    let Sequence { n_q, n_kv, d, .. } = *sequence;
    let layer = layer(rng, sequence);
    let stored = rotate(kernels, sequence, &layer, Type::F32, &slots(sequence));
    let width = n_q * d;
    let first = tokens.saturating_sub(rng.random_range(1..30));
    let most = kernels.rules().tile_tokens(n_q, n_kv);
    assert_eq!(most, 64 / (n_q / n_kv));
    let whole = prefill(kernels, sequence, &stored, first, most);
    assert!(whole[..first * width].iter().all(|&x| x == UNWRITTEN));
    for row in first..tokens {
        for head in 0..n_q {
            let kept = |pool: &[u16]| -> Vec<Vec<f32>> {
                (0..=row).map(|key| floats(&pool[sequence.place(key, head / (n_q / n_kv))..][..d])).collect()
            };
            let at = row * width + head * d;
            let q = floats(&stored.q[at..][..d]);
            let expected = reference::attention(&q, &kept(&stored.keys), &kept(&stored.values));
            assert_close(&floats(&whole[at..][..d]), &expected, 2.0 * BF16);
        }
    }
    let other = prefill(kernels, sequence, &stored, first, most.div_ceil(3));
    assert!(other == whole, "other tiles");
    let lengths: Vec<usize> = (first + 1..=tokens).rev().take(5).collect();
    let row = |length: usize| whole[(length - 1) * width..][..width].to_vec();
    let together = decode(kernels, sequence, &stored, &lengths, 1, true);
    assert!(together == lengths.iter().flat_map(|&length| row(length)).collect::<Vec<_>>(), "decoding is prefill");
    for spread in 2..4 {
        assert!(decode(kernels, sequence, &stored, &lengths, spread, false) == together, "spread over {spread} blocks");
    }
    let filled = decode(kernels, sequence, &stored, &[0, tokens, 0], 2, false);
    assert_eq!(filled[width..2 * width], row(tokens));
    assert!(filled[..width].iter().chain(&filled[2 * width..]).all(|&x| x == 0), "filling rows get zeros");
}

/// For kernels that leave out what a row does not see, rather than weigh it with 0: also a later token of the same tile may be anything.
pub(in crate::engine::kernels::gpu) fn a_token_that_is_no_number_spoils_no_earlier_row(kernels: &dyn Kernels) {
    let small = Sequence::new(&mut rng(0), 70);
    let sequence = Sequence { n_q: 3, n_kv: 1, d: 64, ..small };
    let layer = layer(&mut rng(2), &sequence);
    let stored = rotate(kernels, &sequence, &layer, Type::F32, &slots(&sequence));
    let (clean, mut spoilt) = (prefill(kernels, &sequence, &stored, 60, 10), stored);
    let last = sequence.place(69, 0);
    spoilt.keys[last..last + sequence.d].fill(UNWRITTEN);
    spoilt.values[last..last + sequence.d].fill(UNWRITTEN);
    let found = prefill(kernels, &sequence, &spoilt, 60, 10);
    let row = 69 * sequence.n_q * sequence.d;
    assert!(found[..row] == clean[..row]);
    assert!(floats(&found[row..]).iter().all(|x| x.is_nan()), "its own row says so");
}
