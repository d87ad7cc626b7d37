//! RMSNorm of one row. The order of the sum depends on the width alone.

use super::simd::{Kernel, Simd};

/// Normalizes one row.
pub(in crate::kernels) struct RmsNormTask<'a> {
    pub(in crate::kernels) x: &'a [f32],
    /// The weights, as many as `x` has numbers.
    pub(in crate::kernels) weight: &'a [f32],
    pub(in crate::kernels) eps: f32,
    /// The result, as long as `x`; may be `x` itself.
    pub(in crate::kernels) to: *mut f32,
}

impl Kernel for RmsNormTask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the caller's.
        unsafe { rms_norm::<S>(self.x.as_ptr(), self.weight, self.eps, self.to) }
    }
}

/// Normalises `weight.len()` floats from `x` to `to`, which may be the same place.
#[inline(always)]
pub(super) unsafe fn rms_norm<S: Simd>(x: *const f32, weight: &[f32], eps: f32, to: *mut f32) {
    let n = weight.len();
    // SAFETY: `x` and `to` are valid for n floats.
    unsafe {
        let scale = 1.0 / (sum_of_squares::<S>(x, n) / n as f32 + eps).sqrt();
        let whole = n - n % S::LANES;
        for i in (0..whole).step_by(S::LANES) {
            let value = S::mul(S::load(x.add(i)), S::splat(scale));
            S::store(to.add(i), S::mul(value, S::load(weight.as_ptr().add(i))));
        }
        for (i, weight) in weight.iter().enumerate().skip(whole) {
            *to.add(i) = *x.add(i) * scale * weight;
        }
    }
}

/// Sums in four vectors, adds those as a tree, and then adds what is left over.
#[inline(always)]
unsafe fn sum_of_squares<S: Simd>(x: *const f32, n: usize) -> f32 {
    let step = 4 * S::LANES;
    let (whole, wide) = (n - n % S::LANES, n - n % step);
    // SAFETY: `x` is valid for n floats.
    unsafe {
        let mut acc = [S::splat(0.0); 4];
        for i in (0..wide).step_by(step) {
            for (lane, sum) in acc.iter_mut().enumerate() {
                let v = S::load(x.add(i + lane * S::LANES));
                *sum = S::fma(v, v, *sum);
            }
        }
        for i in (wide..whole).step_by(S::LANES) {
            let v = S::load(x.add(i));
            acc[0] = S::fma(v, v, acc[0]);
        }
        let mut sum = S::sum(S::add(S::add(acc[0], acc[1]), S::add(acc[2], acc[3])));
        for i in whole..n {
            sum += *x.add(i) * *x.add(i);
        }
        sum
    }
}
