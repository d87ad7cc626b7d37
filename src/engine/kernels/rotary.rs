//! What happens between the QKV product and attention: RMSNorm of every query and key head, rotation by position, and the
//! way of keys and values into the K/V pool.

use super::Compute;
use super::cpu::rotary::RotaryTask;
use super::matrix::{Buffer, Matrix, Shared};

/// The heads of an attention layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) n_q: usize,
    /// Key/value heads.
    pub(crate) n_kv: usize,
    /// Head size.
    pub(crate) d: usize,
}

/// The numbers that keys and values are kept in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KvFormat {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; what is beyond their range becomes the largest of them.
    F16,
}

impl KvFormat {
    /// Bytes of a number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// How one layer's keys and values lie in memory. Keys: `[block, n_kv, d, block_tokens]`, so that the scores of neighbouring
/// keys are one vector. Values: `[block, n_kv, block_tokens, d_padded]`, so that the sum over keys is one, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KvShape {
    /// The model's heads.
    pub(crate) heads: Heads,
    /// Tokens per block; a multiple of 16 that divides 64.
    pub(crate) block_tokens: usize,
    /// What they are kept in.
    pub(crate) format: KvFormat,
}

impl KvShape {
    /// Head size rounded up to whole vectors of every kernel set.
    pub(crate) fn d_padded(&self) -> usize {
        self.heads.d.next_multiple_of(16)
    }

    /// Numbers of one block's keys.
    pub(crate) fn key_block(&self) -> usize {
        self.heads.n_kv * self.heads.d * self.block_tokens
    }

    /// Numbers of one block's values.
    pub(crate) fn value_block(&self) -> usize {
        self.heads.n_kv * self.block_tokens * self.d_padded()
    }

    /// Room for `blocks` blocks, all zero.
    pub(crate) fn layer(&self, blocks: usize) -> KvLayer {
        let room = |numbers: usize| Buffer::zeros(blocks * numbers * self.format.bytes() / size_of::<f32>());
        KvLayer { keys: room(self.key_block()), values: room(self.value_block()), blocks }
    }
}

/// One layer's keys and values, as [`KvShape`] says.
pub(crate) struct KvLayer {
    keys: Buffer,
    values: Buffer,
    blocks: usize,
}

impl KvLayer {
    /// How many blocks it has room for.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Keys and values, for those who know the shape.
    pub(super) fn memory(&self) -> [*const u8; 2] {
        [&self.keys, &self.values].map(|buffer| buffer.as_bytes().as_ptr())
    }
}

/// Cosines and sines by absolute position, made when first needed. Angles are rounded to f32 as Hugging Face rounds them; their
/// cosines and sines are exact.
#[derive(Clone)]
pub(crate) struct Rotary {
    inverse_frequencies: Vec<f32>,
    /// `[position, d / 2]` each.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    /// For heads of size `d`.
    pub(crate) fn new(d: usize, theta: f64) -> Self {
        let frequency = |i: usize| 1.0 / theta.powf(f64::from((2 * i) as f32 / d as f32)) as f32;
        Self { inverse_frequencies: (0..d / 2).map(frequency).collect(), cos: Vec::new(), sin: Vec::new() }
    }

    /// Makes the tables reach `position`.
    pub(crate) fn reach(&mut self, position: u32) {
        let half = self.inverse_frequencies.len();
        let known = self.cos.len() / half;
        if (position as usize) < known {
            return;
        }
        for position in known..(position as usize + 1).next_power_of_two() {
            for &frequency in &self.inverse_frequencies {
                let (sin, cos) = f64::from(position as f32 * frequency).sin_cos();
                self.cos.push(cos as f32);
                self.sin.push(sin as f32);
            }
        }
    }

    /// Cosines and sines of one position, d / 2 each.
    pub(crate) fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let half = self.inverse_frequencies.len();
        let range = position as usize * half..(position as usize + 1) * half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

/// The per-head norms of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Norms<'a> {
    /// Weights of the query norm, d of them.
    pub(crate) query: &'a [f32],
    /// Weights of the key norm, d of them.
    pub(crate) key: &'a [f32],
    /// Added to the mean square.
    pub(crate) eps: f32,
}

/// Takes `qkv [t, (n_q + 2 n_kv) * d]`: norms and rotates the queries in place, and the keys on their way to `slots`; copies the
/// values there. `rotary` reaches every position.
pub(crate) fn rotate_and_store(
    compute: &Compute,
    qkv: &mut Matrix,
    norms: Norms<'_>,
    rotary: &Rotary,
    (positions, slots): (&[u32], &[u32]),
    shape: KvShape,
    layer: &mut KvLayer,
) {
    let Heads { n_q, n_kv, d } = shape.heads;
    let width = (n_q + 2 * n_kv) * d;
    assert_eq!((qkv.rows(), qkv.cols()), (slots.len(), width), "one slot per row of q, k and v");
    assert!(slots.iter().all(|&slot| (slot as usize) < layer.blocks * shape.block_tokens), "slots lie in the pool");
    let rows = slots.len();
    // Few rows so that all threads have some; of a prompt as many as a block has, since they write to the same cache lines.
    let per_task = (rows / (4 * compute.threads())).clamp(1, shape.block_tokens);
    let tasks = rows.div_ceil(per_task);
    let qkv = Shared::new(qkv.as_mut_slice());
    let (keys, values) = (Shared::new(layer.keys.as_mut_slice()), Shared::new(layer.values.as_mut_slice()));
    compute.parallel(tasks, 16 * rows * width, |task| {
        for row in task * per_task..rows.min((task + 1) * per_task) {
            let (cos, sin) = rotary.at(positions[row]);
            let (keys, values) = (keys.get(), values.get());
            let slot = slots[row] as usize;
            // SAFETY: every row has one task and a slot of its own, checked above.
            unsafe {
                let row = qkv.get().add(row * width);
                compute.kernels().run(RotaryTask { row, norms, cos, sin, slot, shape, keys, values });
            }
        }
    });
}
