//! The register tile that matrix products and attention are made of.

use super::simd::Simd;

/// Adds to `acc[r][c]` the products of `a[r]` with `b[c]` over `k` steps, in ascending order: one multiply-add chain per
/// output, which does not depend on the size of the tile. Element `a[r][i]` is `*a[r].add(i)`; the vector `b[c][i]` starts at
/// `b[c].add(i * stride)`.
///
/// # Safety
/// All those elements can be read; called inside `S::vectorize`.
#[inline(always)]
pub(super) unsafe fn accumulate<S: Simd, const R: usize, const C: usize>(
    acc: &mut [[S::V; C]; R],
    k: usize,
    a: [*const f32; R],
    b: [*const f32; C],
    stride: usize,
) {
    let mut sums = *acc;
    for i in 0..k {
        // SAFETY: the caller's.
        unsafe {
            let mut columns = [S::splat(0.0); C];
            for c in 0..C {
                columns[c] = S::load(b[c].add(i * stride));
            }
            for r in 0..R {
                let x = S::splat(*a[r].add(i));
                for c in 0..C {
                    sums[r][c] = S::fma(x, columns[c], sums[r][c]);
                }
            }
        }
    }
    *acc = sums;
}
