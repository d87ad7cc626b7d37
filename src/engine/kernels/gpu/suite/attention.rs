//! Rotation and storing, and both kinds of attention over what was stored.

use super::*;
use crate::engine::kernels::Rotary;
use crate::engine::kernels::gpu::{DecodeAttention, NO_SLOT, PrefillAttention, Rotate, Tile, Type};
use crate::engine::kernels::suite::{Sequence, Shapes};

/// Numbers of the pool that no kernel wrote: NaN, so that reading them shows.
pub(super) const UNWRITTEN: u16 = 0x7fff;

/// Numbers in the pool of keys, or of values.
fn pool(of: &Sequence) -> usize {
    of.blocks * of.n_kv * of.block_tokens * of.d
}

/// Where the key or value of a position begins in the pool.
fn place(of: &Sequence, position: usize, head: usize) -> usize {
    let slot = of.slot(position);
    ((slot / of.block_tokens * of.n_kv + head) * of.block_tokens + slot % of.block_tokens) * of.d
}

/// What rotation leaves.
#[derive(Clone, PartialEq)]
pub(super) struct Stored {
    q: Vec<u16>,
    keys: Vec<u16>,
    values: Vec<u16>,
}

pub(super) fn rotate(kernels: &dyn Kernels, sequence: &Sequence, kind: Type, slots: &[u32]) -> Stored {
    let (d, rows) = (sequence.d, sequence.tokens);
    let mut rotary = Rotary::new(d, Sequence::THETA);
    rotary.reach(rows as u32);
    let angles = |part: fn(&Rotary, u32) -> &[f32]| {
        (0..rows as u32).flat_map(|at| part(&rotary, at).to_vec()).collect::<Vec<_>>()
    };
    let (cos, sin) = (angles(|rotary, at| rotary.at(at).0), angles(|rotary, at| rotary.at(at).1));
    let positions: Vec<u32> = (0..rows as u32).collect();
    in_every_order(kernels, || {
        let (mut wide, mut narrow) = (Memory::of(&sequence.qkv), Memory::of(&bits(&sequence.qkv)));
        let (mut q_norm, mut k_norm) = (Memory::of(&sequence.q_norm), Memory::of(&sequence.k_norm));
        let (mut cos, mut sin) = (Memory::of(&cos), Memory::of(&sin));
        let (mut positions, mut slots) = (Memory::of(&positions), Memory::of(slots));
        let mut q = Memory::filled(rows * sequence.n_q * d, UNWRITTEN);
        let (mut keys, mut values) =
            (Memory::filled(pool(sequence), UNWRITTEN), Memory::filled(pool(sequence), UNWRITTEN));
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
            eps: Sequence::EPS,
        };
        run(kernels, &Launch::Rotate(args));
        Stored { q: q.get(), keys: keys.get(), values: values.get() }
    })
}

pub(super) fn slots(sequence: &Sequence) -> Vec<u32> {
    (0..sequence.tokens).map(|position| sequence.slot(position) as u32).collect()
}

/// The shapes that GPU kernels are made for.
pub(super) const SHAPES: Shapes =
    Shapes { inputs: 8, head_sizes: &[64, 128], block_tokens: &[16, 32, 64], most_group: 16, most_rows: 30 };

pub(in crate::engine::kernels::gpu) fn heads_are_normed_rotated_and_stored(kernels: &dyn Kernels) {
    cases(6, |rng| {
        let tokens = rng.random_range(1..40);
        let mut sequence = Sequence::new(rng, &SHAPES, tokens);
        let Sequence { n_q, n_kv, d, .. } = sequence;
        let mut slots = slots(&sequence);
        let unstored = rng.random_range(0..tokens);
        slots[unstored] = NO_SLOT;
        for kind in [Type::F32, Type::Bf16] {
            if kind == Type::Bf16 {
                sequence.qkv = rounded(&sequence.qkv);
            }
            let stored = rotate(kernels, &sequence, kind, &slots);
            let turned = |row: usize, head: usize, norm: &[f32]| sequence.turned(row, head, norm);
            let mut written = 0;
            for row in 0..tokens {
                for i in 0..n_q {
                    let found = floats(&stored.q[(row * n_q + i) * d..][..d]);
                    assert_close("query", &found, &turned(row, i, &sequence.q_norm), BF16);
                }
                for i in 0..n_kv {
                    let place = place(&sequence, row, i);
                    if row == unstored {
                        assert!(stored.keys[place..][..d].iter().all(|&x| x == UNWRITTEN));
                        continue;
                    }
                    let key = floats(&stored.keys[place..][..d]);
                    assert_close("key", &key, &turned(row, n_q + i, &sequence.k_norm), BF16);
                    assert_eq!(stored.values[place..][..d], bits(sequence.head(row, n_q + n_kv + i)));
                    written += d;
                }
            }
            assert_eq!(stored.keys.iter().filter(|&&x| x != UNWRITTEN).count(), written);
        }
    });
}

/// `out` of the last token of each of these lengths, in one launch; a length of 0 stands for a
/// filling row.
pub(super) fn decode(
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
    // Two tables, one behind the other, of which every other row takes the second: where a table
    // begins is a value, too.
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
pub(super) fn prefill(
    kernels: &dyn Kernels,
    sequence: &Sequence,
    stored: &Stored,
    first: usize,
    tile_tokens: usize,
) -> Vec<u16> {
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

/// For kernels that leave out what a row does not see, rather than weigh it with 0: also a later
/// token of the same tile may be anything.
pub(in crate::engine::kernels::gpu) fn a_token_that_is_no_number_spoils_no_earlier_row(kernels: &dyn Kernels) {
    let sequence = Sequence::of(&mut rng(2), (3, 1, 64), 16, 70);
    let stored = rotate(kernels, &sequence, Type::F32, &slots(&sequence));
    let (clean, mut spoilt) = (prefill(kernels, &sequence, &stored, 60, 10), stored);
    let last = place(&sequence, 69, 0);
    spoilt.keys[last..last + sequence.d].fill(UNWRITTEN);
    spoilt.values[last..last + sequence.d].fill(UNWRITTEN);
    let found = prefill(kernels, &sequence, &spoilt, 60, 10);
    let row = 69 * sequence.n_q * sequence.d;
    assert!(found[..row] == clean[..row]);
    assert!(floats(&found[row..]).iter().all(|x| x.is_nan()), "its own row says so");
}
