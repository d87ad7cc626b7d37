//! Norms, rotates and stores one token's query, key and value heads.

use super::int8_rows::{int8_scale, to_int8};
use super::norm::rms_norm;
use super::simd::{Kernel, Simd};
use crate::kernels::layout::{Heads, KvFormat, KvShape};

/// The per-head norms of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Norms<'a> {
    /// Weights of the query norm, d of them.
    pub(crate) query: &'a [f32],
    /// Weights of the key norm, d of them.
    pub(crate) key: &'a [f32],
    /// Added to the mean square of a head.
    pub(crate) eps: f32,
}

impl Norms<'_> {
    /// Stands for no norms.
    pub(in crate::kernels) const NONE: Self = Self { query: &[], key: &[], eps: 0.0 };
}

/// Processes one token. Where heads are not `NORMED`, the norms are not read.
pub(in crate::kernels) struct RotaryTask<'a, const NORMED: bool> {
    /// The token's row of q, k and v heads; queries change in place.
    pub(in crate::kernels) row: *mut f32,
    pub(in crate::kernels) norms: Norms<'a>,
    /// The cosines of the token's position, d / 2 of them, as many as sines.
    pub(in crate::kernels) cos: &'a [f32],
    pub(in crate::kernels) sin: &'a [f32],
    pub(in crate::kernels) slot: usize,
    pub(in crate::kernels) shape: KvShape,
    /// The keys of the whole layer, in the shape's format.
    pub(in crate::kernels) keys: *mut u8,
    pub(in crate::kernels) values: *mut u8,
}

impl<const NORMED: bool> Kernel for RotaryTask<'_, NORMED> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Heads { n_q, n_kv, d } = self.shape.heads;
        let (block, offset) = (self.slot / self.shape.block_tokens, self.slot % self.shape.block_tokens);
        // SAFETY: the row has n_q + 2 n_kv heads, and the slot lies in the layer.
        unsafe {
            for head in 0..n_q + n_kv {
                let x = self.row.add(head * d);
                if NORMED {
                    let weight = if head < n_q { self.norms.query } else { self.norms.key };
                    rms_norm::<S>(x, weight, self.norms.eps, x);
                }
                rotate::<S>(x, self.cos, self.sin);
            }
            for head in 0..n_kv {
                let key = self.row.add((n_q + head) * d);
                let value = self.row.add((n_q + n_kv + head) * d);
                let keys = self.keys.add(self.shape.keys_at(block, head));
                let values = self.values.add(self.shape.values_at(block, head));
                // The numbers of a key lie a block apart, those of a value side by side.
                let (stride, first) = (self.shape.block_tokens, offset * self.shape.d_padded());
                match self.shape.format {
                    KvFormat::F32 => {
                        let (keys, values) = (keys.cast::<f32>(), values.cast::<f32>());
                        for i in 0..d {
                            *keys.add(offset + i * stride) = *key.add(i);
                        }
                        std::ptr::copy_nonoverlapping(value, values.add(first), d);
                    }
                    KvFormat::F16 => {
                        let (keys, values) = (keys.cast::<u16>(), values.cast::<u16>());
                        narrow::<S>(key, d, |i, half| *keys.add(offset + i * stride) = half);
                        narrow::<S>(value, d, |i, half| *values.add(first + i) = half);
                    }
                    KvFormat::Int8 => {
                        let scales = [
                            keys.add(self.shape.key_numbers()).cast::<f32>().add(offset),
                            values.add(self.shape.value_numbers()).cast::<f32>().add(offset),
                        ];
                        *scales[0] = quantize::<S>(key, d, |i, byte| *keys.add(offset + i * stride) = byte);
                        *scales[1] = quantize::<S>(value, d, |i, byte| *values.add(first + i) = byte);
                    }
                }
            }
        }
    }
}

/// The largest number that keys and values may have: f16's.
const LARGEST: f32 = 65504.0;

/// Returns a vector of the numbers from `at` on, no larger than [`LARGEST`] and zero beyond the
/// last of `n`.
#[inline(always)]
unsafe fn within_range<S: Simd>(from: *const f32, at: usize, n: usize) -> S::V {
    let mut floats = [0.0f32; 16];
    // SAFETY: `from` is valid for n floats; a vector has at most 16 lanes.
    unsafe {
        std::ptr::copy_nonoverlapping(from.add(at), floats.as_mut_ptr(), S::LANES.min(n - at));
        S::max(S::min(S::load(floats.as_ptr()), S::splat(LARGEST)), S::splat(-LARGEST))
    }
}

/// Calls `put` with the index and the f16 bits of every one of `n` numbers.
#[inline(always)]
unsafe fn narrow<S: Simd>(from: *const f32, n: usize, mut put: impl FnMut(usize, u16)) {
    for at in (0..n).step_by(S::LANES) {
        let mut halves = [0u16; 16];
        // SAFETY: the caller's; a vector has at most 16 lanes.
        unsafe { S::store_f16(halves.as_mut_ptr(), within_range::<S>(from, at, n)) };
        for (i, &half) in halves[..S::LANES.min(n - at)].iter().enumerate() {
            put(at + i, half);
        }
    }
}

/// Calls `put` with the index and the int8 bits of every one of `n` numbers, and returns their
/// scale.
#[inline(always)]
unsafe fn quantize<S: Simd>(from: *const f32, n: usize, mut put: impl FnMut(usize, u8)) -> f32 {
    // SAFETY: the caller's; a vector has at most 16 lanes.
    unsafe {
        let mut sizes = S::splat(0.0);
        for at in (0..n).step_by(S::LANES) {
            let v = within_range::<S>(from, at, n);
            sizes = S::max(S::max(v, S::sub(S::splat(0.0), v)), sizes);
        }
        let largest = S::largest(sizes);
        let (scale, inverse) = int8_scale(largest);
        for at in (0..n).step_by(S::LANES) {
            let mut bytes = [0u8; 16];
            S::store_low_bytes(bytes.as_mut_ptr(), to_int8::<S>(within_range::<S>(from, at, n), inverse));
            for (i, &byte) in bytes[..S::LANES.min(n - at)].iter().enumerate() {
                put(at + i, byte);
            }
        }
        scale
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
