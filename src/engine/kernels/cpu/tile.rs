//! The register tile of float products and of attention.

use super::simd::Simd;

/// A number format that a tile can read a vector of.
pub(in crate::kernels) trait Element: Copy {
    /// Reads `LANES` numbers.
    ///
    /// # Safety
    /// The numbers must be readable; to be called inside `S::vectorize`.
    unsafe fn load<S: Simd>(from: *const Self) -> S::V;
}

impl Element for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const f32) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::load(from) }
    }
}

/// The bits of a bf16 number.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::kernels) struct Bf16(u16);

impl Element for Bf16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Bf16) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::load_bf16(from.cast()) }
    }
}

/// The bits of an f16 number.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::kernels) struct F16(u16);

impl Element for F16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const F16) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::load_f16(from.cast()) }
    }
}

/// An int8 number.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::kernels) struct Int8(i8);

impl Element for Int8 {
    #[inline(always)]
    unsafe fn load<S: Simd>(from: *const Int8) -> S::V {
        // SAFETY: the caller's.
        unsafe { S::load_i8(from.cast()) }
    }
}

/// Adds to `acc[r][c]` the products of `a[r]` with `b[c]` over `k` steps in ascending order: one
/// multiply-add chain per output, which does not depend on the size of the tile. Element `a[r][i]`
/// is `*a[r].add(i)`, and the vector `b[c][i]` starts at `b[c].add(i * stride)`. Where `prefetch`
/// is given, it is prefetched into the L2 cache, as it will be read later in place of `b`.
///
/// # Safety
/// All elements but those of `prefetch` must be readable; to be called inside `S::vectorize`.
#[inline(always)]
pub(super) unsafe fn accumulate<S: Simd, E: Element, const R: usize, const C: usize>(
    acc: &mut [[S::V; C]; R],
    k: usize,
    a: [*const f32; R],
    b: [*const E; C],
    stride: usize,
    prefetch: Option<[*const E; C]>,
) {
    let mut sums = *acc;
    for i in 0..k {
        // SAFETY: the caller's.
        unsafe {
            let mut columns = [S::splat(0.0); C];
            for c in 0..C {
                columns[c] = E::load::<S>(b[c].add(i * stride));
                if let Some(prefetch) = prefetch {
                    S::prefetch_l2(prefetch[c].wrapping_add(i * stride).cast());
                }
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
