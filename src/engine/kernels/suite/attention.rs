//! Checks rotation, storing and attention together.

use super::*;

/// One sequence in scattered blocks.
pub(in crate::kernels) struct Sequence {
    pub(in crate::kernels) n_q: usize,
    pub(in crate::kernels) n_kv: usize,
    pub(in crate::kernels) d: usize,
    pub(in crate::kernels) block_tokens: usize,
    pub(in crate::kernels) tokens: usize,
    /// The sequence's blocks, out of `blocks`.
    pub(in crate::kernels) table: Vec<u32>,
    pub(in crate::kernels) blocks: usize,
    /// `[tokens, (n_q + 2 n_kv) d]`, before norm and rotation.
    pub(in crate::kernels) qkv: Vec<f32>,
    pub(in crate::kernels) q_norm: Vec<f32>,
    pub(in crate::kernels) k_norm: Vec<f32>,
}

impl Sequence {
    /// The epsilon of the norms of every sequence.
    pub(in crate::kernels) const EPS: f32 = 1e-6;
    pub(in crate::kernels) const THETA: f64 = 1e4;

    /// Draws a sequence of `tokens` tokens.
    pub(in crate::kernels) fn new(rng: &mut ChaCha8Rng, shapes: &Shapes, tokens: usize) -> Self {
        let (n_kv, group) = (rng.random_range(1..3), rng.random_range(1..=shapes.most_group));
        let d = match shapes.head_sizes {
            [] => 2 * rng.random_range(1..40),
            sizes => sizes[rng.random_range(0..sizes.len())],
        };
        let block_tokens = shapes.block_tokens[rng.random_range(0..shapes.block_tokens.len())];
        Self::of(rng, (n_kv * group, n_kv, d), block_tokens, tokens)
    }

    /// Draws a sequence with these heads.
    pub(in crate::kernels) fn of(
        rng: &mut ChaCha8Rng,
        (n_q, n_kv, d): (usize, usize, usize),
        block_tokens: usize,
        tokens: usize,
    ) -> Self {
        let used = tokens.div_ceil(block_tokens);
        let table = (0..used as u32).map(|block| 2 * (used as u32 - block)).collect();
        let qkv = numbers(rng, tokens * (n_q + 2 * n_kv) * d);
        let (q_norm, k_norm) = (numbers(rng, d), numbers(rng, d));
        Self { n_q, n_kv, d, block_tokens, tokens, table, blocks: 2 * used + 1, qkv, q_norm, k_norm }
    }

    pub(in crate::kernels) fn width(&self) -> usize {
        (self.n_q + 2 * self.n_kv) * self.d
    }

    /// Returns the slot of a position: block number × tokens per block + offset in the block.
    pub(in crate::kernels) fn slot(&self, position: usize) -> usize {
        self.table[position / self.block_tokens] as usize * self.block_tokens + position % self.block_tokens
    }

    /// Returns a head of the raw numbers.
    pub(in crate::kernels) fn head(&self, row: usize, head: usize) -> &[f32] {
        &self.qkv[row * self.width() + head * self.d..][..self.d]
    }

    /// Returns a head normed and rotated by the reference.
    pub(in crate::kernels) fn turned(&self, row: usize, head: usize, norm: &[f32]) -> Vec<f64> {
        let normed = reference::rms_norm(self.head(row, head), norm, f64::from(Self::EPS));
        reference::rotate(&normed, row as u32, Self::THETA)
    }

    /// Returns the attention of the tokens from `first` on, by the reference.
    fn exact(&self, store: Store, first: usize) -> Vec<f64> {
        let keep = |numbers: Vec<f32>| match store {
            Store::F32 | Store::F16 => numbers,
            Store::Bf16 => reference::as_bf16(&numbers),
            Store::Int8 => reference::as_int8_with_one_scale(&numbers),
        };
        let floats = |numbers: Vec<f64>| numbers.iter().map(|&x| x as f32).collect::<Vec<_>>();
        let rows = |of: &dyn Fn(usize) -> Vec<f32>| (0..self.tokens).map(of).collect::<Vec<_>>();
        let kv: Vec<_> = (self.n_q..self.n_q + self.n_kv)
            .map(|head| {
                let keys = rows(&|row| keep(floats(self.turned(row, head, &self.k_norm))));
                (keys, rows(&|row| keep(self.head(row, head + self.n_kv).to_vec())))
            })
            .collect();
        let places = (first..self.tokens).flat_map(|row| (0..self.n_q).map(move |head| (row, head)));
        places
            .flat_map(|(row, head)| {
                let (keys, values) = &kv[head / (self.n_q / self.n_kv)];
                let q = floats(self.turned(row, head, &self.q_norm));
                let q = if store == Store::Bf16 { keep(q) } else { q };
                reference::attention(&q, &keys[..=row], &values[..=row])
            })
            .collect()
    }
}

impl Store {
    /// Returns by how much rounding of keys and values may change the result.
    fn tolerance(self) -> f64 {
        match self {
            Self::F32 => 2e-4,
            Self::F16 => 2e-3,
            // The reference rounds keys and values too. What is left is the rounding of weights,
            // and rare numbers that are rounded the other way.
            Self::Bf16 | Self::Int8 => 8e-3,
        }
    }
}

/// Attention is right, and bitwise equal for prefill in any pieces and for decode.
pub(in crate::kernels) fn attention_is_right_and_one_for_all(family: &Family<'_>) {
    family.cases(7, |rng| {
        // A length around the end of a chunk or block, or any length.
        let tokens = match rng.random_range(0..8) {
            7 => rng.random_range(1..200),
            at => [1, 17, 63, 64, 65, 129, 200][at],
        };
        let sequence = Sequence::new(rng, &family.shapes, tokens);
        let first = tokens.saturating_sub(rng.random_range(1..if family.slow { 30 } else { 60 }));
        check(family, rng, &sequence, first);
    });
}

/// Attention is right for more chunks and KV splits than any kernel has in flight at once, with
/// tokens on both sides of a split's end.
pub(in crate::kernels) fn attention_goes_on_for_long_sequences(family: &Family<'_>) {
    let d = *family.shapes.head_sizes.first().unwrap_or(&20);
    let largest_block = *family.shapes.block_tokens.last().expect("there is a size");
    for (heads, block_tokens, tokens) in [((2, 1, 64), 16, 9 * 64 + 5), ((4, 2, d), largest_block, 2 * 512 + 3)] {
        let rng = &mut rng(1);
        let sequence = Sequence::of(rng, heads, block_tokens, tokens);
        check(family, rng, &sequence, sequence.tokens - 20);
    }
}

/// Sixteen is the most that any kernel takes, with the fewest tokens per tile.
pub(in crate::kernels) fn sixteen_query_heads_share_their_keys(family: &Family<'_>) {
    let rng = &mut rng(4);
    let sequence = Sequence::of(rng, (16, 1, 64), 16, 70);
    check(family, rng, &sequence, sequence.tokens - 7);
}

fn check(family: &Family<'_>, rng: &mut ChaCha8Rng, sequence: &Sequence, first: usize) {
    for &store in family.stores {
        let exact = sequence.exact(store, first);
        for subject in &family.subjects {
            let name = format!("{} {store:?}", subject.name());
            let whole = subject.attention(sequence, store, first, Way::Prefill);
            assert_close(&name, &whole, &exact, store.tolerance());
            let pieces = Way::Pieces(rng.random_range(1..10));
            assert_eq!(subject.attention(sequence, store, first, pieces), whole, "{name}: {pieces:?}");
            assert_eq!(subject.attention(sequence, store, first, Way::Decode), whole, "{name}: decoding is prefill");
        }
    }
}
