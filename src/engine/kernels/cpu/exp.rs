//! The exponential function. Its result is equal in every lane and every batch, `exp(0) = 1` and
//! `exp(-inf) = 0` are exact (masked keys must leave no trace), and the relative error is below
//! 2e-7 elsewhere.

use super::simd::Simd;

/// Returns `e^x` for `x` up to 88. Anything below -87.7 gives 0.
#[inline(always)]
pub(super) unsafe fn exp<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        let x = S::min(S::max(x, S::splat(-88.0)), S::splat(88.0));
        // Adding and subtracting 1.5 * 2^23 rounds to the nearest whole number.
        let magic = S::splat(12_582_912.0);
        let n = S::sub(S::add(S::mul(x, S::splat(std::f32::consts::LOG2_E)), magic), magic);
        // ln 2 in two pieces: the first has few enough bits that its product with n is exact.
        let r = S::fma(n, S::splat(-0.693_359_4), x);
        let r = S::fma(n, S::splat(2.121_944_4e-4), r);
        // e^r on [-ln2/2, ln2/2] = 1 + r + r² p(r); coefficients as in Cephes' expf.
        let mut p = S::splat(1.987_569_2e-4);
        for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_3e-1] {
            p = S::fma(p, r, S::splat(coefficient));
        }
        let p = S::fma(S::mul(r, r), p, S::add(r, S::splat(1.0)));
        S::mul(p, S::pow2(n))
    }
}

/// Returns `x / (1 + e^-x)`.
#[inline(always)]
pub(super) unsafe fn silu<S: Simd>(x: S::V) -> S::V {
    // SAFETY: the caller's.
    unsafe {
        let one = S::splat(1.0);
        S::div(x, S::add(one, exp::<S>(S::sub(S::splat(0.0), x))))
    }
}
