//! Rounds activations to bf16.

use super::simd::{Kernel, Simd};
use crate::kernels::layout::{bf16_rows::STRIP, int8_rows::BLOCK};

/// Rounds one row. Block b is written `b * STRIP` blocks after the pointer.
pub(in crate::kernels) struct RoundTask<'a> {
    pub(in crate::kernels) x: &'a [f32],
    /// The number of blocks to write, at least as many as `x` fills.
    pub(in crate::kernels) blocks: usize,
    pub(in crate::kernels) to: *mut [u16; BLOCK],
}

impl Kernel for RoundTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (whole, rest) = self.x.as_chunks::<BLOCK>();
        for block in 0..self.blocks {
            // SAFETY: the caller's.
            let to = unsafe { &mut *self.to.add(block * STRIP) };
            match whole.get(block) {
                Some(x) => round(x, to),
                None => {
                    let mut padded = [0.0; BLOCK];
                    if block == whole.len() {
                        padded[..rest.len()].copy_from_slice(rest);
                    }
                    round(&padded, to);
                }
            }
        }
    }
}

/// Rounds to the nearest bf16, ties to even.
#[inline(always)]
fn round(x: &[f32; BLOCK], to: &mut [u16; BLOCK]) {
    for (x, to) in x.iter().zip(to) {
        let bits = x.to_bits();
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        *to = if x.is_nan() { 0x7fc0 } else { nearest as u16 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_the_nearest() {
        let mut x = [0.0; BLOCK];
        let some = [1.0, -1.5, 3.3, 1.003_906_2, 1.011_718_8, 1e-40, f32::MAX, f32::INFINITY, f32::NAN];
        x[..some.len()].copy_from_slice(&some);
        let mut to = [1; BLOCK];
        round(&x, &mut to);
        for (x, to) in x.iter().zip(to) {
            let (expected, found) = (half::bf16::from_f32(*x), half::bf16::from_bits(to));
            assert!(expected == found || x.is_nan() && found.is_nan(), "{x}: {found} for {expected}");
        }
    }
}
