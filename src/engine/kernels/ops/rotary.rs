//! What happens between the QKV product and attention: RMSNorm of every query and key head,
//! rotation by position (RoPE), and storing keys and values in the K/V pool.

use crate::kernels::cpu::compute::Compute;
use crate::kernels::cpu::rotary::{Norms, RotaryTask};
use crate::kernels::layout::matrix::{Matrix, Shared};
use crate::kernels::layout::{Heads, KvLayer, KvShape};

/// Cosines and sines by absolute position, computed when first needed. Angles are rounded to f32 as
/// Hugging Face rounds them; their cosines and sines are computed in f64. The tables of GPUs are
/// copied from here, so that a scaling of the frequencies holds on every device.
#[derive(Clone)]
pub(crate) struct Rotary {
    inverse_frequencies: Vec<f32>,
    /// Multiplies every cosine and sine; 1 where the scaling has no such factor.
    attention_factor: f32,
    /// `[position, d / 2]`, like the sines.
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rotary {
    /// Creates empty tables for heads of size `d`, without scaling.
    pub(crate) fn new(d: usize, theta: f64) -> Self {
        Self::scaled(rotary_periods(d, theta).map(|period| 1.0 / period).collect(), 1.0)
    }

    /// Makes the tables of these inverse frequencies, d / 2 of them.
    pub(crate) fn scaled(inverse_frequencies: Vec<f32>, attention_factor: f32) -> Self {
        Self { inverse_frequencies, attention_factor, cos: Vec::new(), sin: Vec::new() }
    }

    /// Extends the tables up to `position`.
    pub(crate) fn reach(&mut self, position: u32) {
        let half = self.inverse_frequencies.len();
        let known = self.cos.len() / half;
        if (position as usize) < known {
            return;
        }
        for position in known..(position as usize + 1).next_power_of_two() {
            for &frequency in &self.inverse_frequencies {
                let (sin, cos) = f64::from(position as f32 * frequency).sin_cos();
                self.cos.push(cos as f32 * self.attention_factor);
                self.sin.push(sin as f32 * self.attention_factor);
            }
        }
    }

    /// Returns the cosines and the sines of one position, d / 2 each.
    pub(crate) fn at(&self, position: u32) -> (&[f32], &[f32]) {
        let half = self.inverse_frequencies.len();
        let range = position as usize * half..(position as usize + 1) * half;
        (&self.cos[range.clone()], &self.sin[range])
    }
}

/// Returns the powers of `theta` whose inverses are the frequencies of heads of size `d`, rounded
/// as Hugging Face rounds them.
pub(crate) fn rotary_periods(d: usize, theta: f64) -> impl Iterator<Item = f32> {
    (0..d / 2).map(move |i| theta.powf(f64::from((2 * i) as f32 / d as f32)) as f32)
}

/// Norms and rotates the queries of `qkv [t, (n_q + 2 n_kv) * d]` in place; norms and rotates the
/// keys, and stores keys and values in `slots`. Without `norms` heads are rotated only. The tables
/// of `rotary` must reach every position.
pub(crate) fn rotate_and_store(
    compute: &Compute,
    qkv: &mut Matrix,
    norms: Option<Norms<'_>>,
    rotary: &Rotary,
    places: (&[u32], &[u32]),
    shape: KvShape,
    layer: &mut KvLayer,
) {
    match norms {
        Some(norms) => rotate_rows::<true>(compute, qkv, norms, rotary, places, shape, layer),
        None => rotate_rows::<false>(compute, qkv, Norms::NONE, rotary, places, shape, layer),
    }
}

/// Does the work for heads that have norms, or for heads that have none.
fn rotate_rows<const NORMED: bool>(
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
    assert!(slots.iter().all(|&slot| (slot as usize) < layer.blocks() * shape.block_tokens), "slots lie in the pool");
    let rows = slots.len();
    // Few rows per task, so that all threads have some; for prefill as many as a block has, because
    // they write to the same cache lines.
    let per_task = (rows / (4 * compute.threads())).clamp(1, shape.block_tokens);
    let tasks = rows.div_ceil(per_task);
    let qkv = Shared::new(qkv.as_mut_slice());
    let [keys, values] = layer.memory_mut().map(Shared::new);
    compute.parallel(tasks, 16 * rows * width, |task| {
        for row in task * per_task..rows.min((task + 1) * per_task) {
            let (cos, sin) = rotary.at(positions[row]);
            let (keys, values) = (keys.get().cast(), values.get().cast());
            let slot = slots[row] as usize;
            // SAFETY: every row has one task and a slot of its own, checked above.
            unsafe {
                let row = qkv.get().add(row * width);
                let task = RotaryTask::<NORMED> { row, norms, cos, sin, slot, shape, keys, values };
                compute.kernels().run(task);
            }
        }
    });
}
