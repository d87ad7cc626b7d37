//! One token's query, key and value heads: norm, rotation, storing.

use super::norm::rms_norm;
use super::simd::{Kernel, Simd};
use crate::engine::kernels::{Heads, KvFormat, KvShape, Norms};

/// One token.
pub(in crate::engine::kernels) struct RotaryTask<'a> {
    /// Its row of q, k and v heads; queries change in place.
    pub(in crate::engine::kernels) row: *mut f32,
    pub(in crate::engine::kernels) norms: Norms<'a>,
    /// d / 2 each.
    pub(in crate::engine::kernels) cos: &'a [f32],
    pub(in crate::engine::kernels) sin: &'a [f32],
    pub(in crate::engine::kernels) slot: usize,
    pub(in crate::engine::kernels) shape: KvShape,
    /// The whole layer, in the shape's format.
    pub(in crate::engine::kernels) keys: *mut f32,
    pub(in crate::engine::kernels) values: *mut f32,
}

impl Kernel for RotaryTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Heads { n_q, n_kv, d } = self.shape.heads;
        let (block, offset) = (self.slot / self.shape.block_tokens, self.slot % self.shape.block_tokens);
        // SAFETY: the row has n_q + 2 n_kv heads, and the slot lies in the layer.
        unsafe {
            for head in 0..n_q + n_kv {
                let weight = if head < n_q { self.norms.query } else { self.norms.key };
                let x = self.row.add(head * d);
                rms_norm::<S>(x, weight, self.norms.eps, x);
                rotate::<S>(x, self.cos, self.sin);
            }
            for head in 0..n_kv {
                let key = self.row.add((n_q + head) * d);
                let stride = self.shape.block_tokens;
                let key_at = block * self.shape.key_block() + head * d * stride + offset;
                let value = self.row.add((n_q + n_kv + head) * d);
                let value_at = block * self.shape.value_block() + (head * stride + offset) * self.shape.d_padded();
                match self.shape.format {
                    KvFormat::F32 => {
                        for i in 0..d {
                            *self.keys.add(key_at + i * stride) = *key.add(i);
                        }
                        std::ptr::copy_nonoverlapping(value, self.values.add(value_at), d);
                    }
                    KvFormat::F16 => {
                        let (keys, values) = (self.keys.cast::<u16>(), self.values.cast::<u16>());
                        narrow::<S>(key, d, |i, half| *keys.add(key_at + i * stride) = half);
                        narrow::<S>(value, d, |i, half| *values.add(value_at + i) = half);
                    }
                }
            }
        }
    }
}

/// Calls `put` with the index and the f16 bits of every one of `n` numbers.
#[inline(always)]
unsafe fn narrow<S: Simd>(from: *const f32, n: usize, mut put: impl FnMut(usize, u16)) {
    const LARGEST: f32 = 65504.0;
    for at in (0..n).step_by(S::LANES) {
        let count = S::LANES.min(n - at);
        let (mut floats, mut halves) = ([0.0f32; 16], [0u16; 16]);
        // SAFETY: `from` is valid for n floats; a vector has at most 16 lanes.
        unsafe {
            std::ptr::copy_nonoverlapping(from.add(at), floats.as_mut_ptr(), count);
            let inside = S::max(S::min(S::load(floats.as_ptr()), S::splat(LARGEST)), S::splat(-LARGEST));
            S::store_f16(halves.as_mut_ptr(), inside);
        }
        for (i, &half) in halves[..count].iter().enumerate() {
            put(at + i, half);
        }
    }
}

/// Rotates the pairs `(x[i], x[i + d/2])`.
#[inline(always)]
unsafe fn rotate<S: Simd>(x: *mut f32, cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    let whole = half - half % S::LANES;
    // SAFETY: `x` is valid for 2 * half floats, `sin` for as many as `cos`.
    unsafe {
        for i in (0..whole).step_by(S::LANES) {
            let (a, b) = (S::load(x.add(i)), S::load(x.add(half + i)));
            let (c, s) = (S::load(cos.as_ptr().add(i)), S::load(sin.as_ptr().add(i)));
            S::store(x.add(i), S::sub(S::mul(a, c), S::mul(b, s)));
            S::store(x.add(half + i), S::add(S::mul(b, c), S::mul(a, s)));
        }
        for i in whole..half {
            let (a, b) = (*x.add(i), *x.add(half + i));
            *x.add(i) = a * cos[i] - b * sin[i];
            *x.add(half + i) = b * cos[i] + a * sin[i];
        }
    }
}
