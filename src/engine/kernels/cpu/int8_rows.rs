//! Quantizes activations to int8: 32 at a time, with one scale.

use super::simd::{Kernel, Simd};
use crate::kernels::layout::int8_rows::{BLOCK, TILE};

/// Quantizes one row. What is written for block b lies `b * TILE` blocks after the pointers.
pub(in crate::kernels) struct QuantizeTask<'a> {
    pub(in crate::kernels) x: &'a [f32],
    /// The number of blocks to write, at least as many as `x` fills.
    pub(in crate::kernels) blocks: usize,
    pub(in crate::kernels) bytes: *mut [i8; BLOCK],
    pub(in crate::kernels) scales: *mut f32,
    /// `-BIAS` times the sum of each block's int8 numbers.
    pub(in crate::kernels) biases: *mut i32,
    /// `-scale` times that sum.
    pub(in crate::kernels) shifts: *mut f32,
}

/// Adding this to a number below 2^22 leaves the nearest whole number in the lower bits.
const MAGIC: f32 = 12_582_912.0;

/// Returns the scale of int8 numbers whose largest magnitude stands for `largest`, and its inverse.
#[inline(always)]
pub(super) fn int8_scale(largest: f32) -> (f32, f32) {
    (largest / 127.0, if largest > 0.0 { 127.0 / largest } else { 0.0 })
}

/// Returns numbers whose lowest byte is the whole number nearest to `v * inverse`.
#[inline(always)]
pub(super) unsafe fn to_int8<S: Simd>(v: S::V, inverse: f32) -> S::V {
    // SAFETY: the caller's.
    unsafe { S::add(S::mul(v, S::splat(inverse)), S::splat(MAGIC)) }
}

impl Kernel for QuantizeTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let end = self.x.len();
        let mut padded = [0.0f32; BLOCK];
        for block in 0..self.blocks {
            let from = &self.x[end.min(block * BLOCK)..end.min((block + 1) * BLOCK)];
            let x = from.as_array::<BLOCK>().unwrap_or_else(|| {
                padded.fill(0.0);
                padded[..from.len()].copy_from_slice(from);
                &padded
            });
            // SAFETY: the caller's; every vector lies in the block.
            unsafe {
                let mut sizes = S::splat(0.0);
                for i in (0..BLOCK).step_by(S::LANES) {
                    let v = S::load(x.as_ptr().add(i));
                    // In this order of arguments, a number wins over NaN.
                    sizes = S::max(S::max(v, S::sub(S::splat(0.0), v)), sizes);
                }
                let (scale, inverse) = int8_scale(S::largest(sizes));
                // On the stack first: otherwise the sum below would wait for the stores to memory.
                let mut bytes = [0i8; BLOCK];
                for i in (0..BLOCK).step_by(S::LANES) {
                    let v = to_int8::<S>(S::load(x.as_ptr().add(i)), inverse);
                    S::store_low_bytes(bytes.as_mut_ptr().add(i).cast(), v);
                }
                let sum = bytes.iter().map(|&byte| i32::from(byte)).sum::<i32>();
                *self.bytes.add(block * TILE) = bytes;
                *self.scales.add(block * TILE) = scale;
                *self.biases.add(block * TILE) = -S::BIAS * sum;
                *self.shifts.add(block * TILE) = -scale * sum as f32;
            }
        }
    }
}
