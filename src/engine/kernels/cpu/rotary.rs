//! One token's query, key and value heads: norm, rotation, storing.

use super::norm::rms_norm;
use super::simd::{Kernel, Simd};
use crate::engine::kernels::{Heads, KvShape, Norms};

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
    /// The whole layer.
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
                let to = self.keys.add(block * self.shape.key_block() + head * d * stride + offset);
                for i in 0..d {
                    *to.add(i * stride) = *key.add(i);
                }
                let value = self.row.add((n_q + n_kv + head) * d);
                let d_padded = self.shape.d_padded();
                let to = self.values.add(block * self.shape.value_block() + (head * stride + offset) * d_padded);
                std::ptr::copy_nonoverlapping(value, to, d);
            }
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
