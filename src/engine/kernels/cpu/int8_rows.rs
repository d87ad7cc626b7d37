//! Activations to signed bytes: 32 at a time, with one scale.

use super::simd::{Kernel, Simd};
use crate::engine::kernels::int8_rows::BLOCK;

/// One row.
pub(in crate::engine::kernels) struct QuantizeTask<'a> {
    pub(in crate::engine::kernels) x: &'a [f32],
    /// As many as `x`, rounded up to whole blocks.
    pub(in crate::engine::kernels) bytes: &'a mut [i8],
    /// One per block.
    pub(in crate::engine::kernels) scales: &'a mut [f32],
    /// One per block: the sum of its bytes.
    pub(in crate::engine::kernels) sums: &'a mut [i32],
}

/// Adding this to a number below 2^22 leaves the nearest whole number in the lower bits.
const MAGIC: f32 = 12_582_912.0;

impl Kernel for QuantizeTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let blocks = self.bytes.as_chunks_mut::<BLOCK>().0.iter_mut().zip(self.scales).zip(self.sums);
        for (at, ((bytes, scale), sum)) in blocks.enumerate() {
            let mut x = [0.0f32; BLOCK];
            let end = self.x.len();
            let from = &self.x[end.min(at * BLOCK)..end.min((at + 1) * BLOCK)];
            x[..from.len()].copy_from_slice(from);
            // Sixteen running maxima, so that the compiler may use vectors.
            let mut largest = [0.0f32; 16];
            for i in 0..BLOCK {
                let size = x[i].abs();
                largest[i % 16] = if size > largest[i % 16] { size } else { largest[i % 16] };
            }
            let largest = largest.into_iter().fold(0.0, f32::max);
            *scale = largest / 127.0;
            let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
            let mut total = 0;
            for i in 0..BLOCK {
                bytes[i] = ((x[i] * inverse + MAGIC).to_bits() as u8).cast_signed();
                total += i32::from(bytes[i]);
            }
            *sum = total;
        }
    }
}
