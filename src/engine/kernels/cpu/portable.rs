//! Plain Rust, for CPUs without a set of their own: 4 lanes, which compilers turn into whatever vectors there are. It never
//! calls a fused multiply-add, which would be a library call on a CPU without one.

use super::simd::{Kernel, Simd};

/// The set.
#[derive(Clone, Copy)]
pub(super) struct Portable;

/// Four floats.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct F4([f32; 4]);

#[inline(always)]
fn each(a: F4, b: F4, f: impl Fn(f32, f32) -> f32) -> F4 {
    F4(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

impl Simd for Portable {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 4;
    const WIDE_ROWS: usize = 2;
    type V = F4;

    #[inline]
    unsafe fn vectorize<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller's.
        unsafe { kernel.run::<Self>() }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> F4 {
        F4([x; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> F4 {
        // SAFETY: the caller's pointer is valid for 4 floats.
        F4(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: F4) {
        // SAFETY: the caller's pointer is valid for 4 floats.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(v.0) }
    }

    #[inline(always)]
    unsafe fn add(a: F4, b: F4) -> F4 {
        each(a, b, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(a: F4, b: F4) -> F4 {
        each(a, b, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(a: F4, b: F4) -> F4 {
        each(a, b, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn div(a: F4, b: F4) -> F4 {
        each(a, b, |a, b| a / b)
    }

    #[inline(always)]
    unsafe fn fma(a: F4, b: F4, c: F4) -> F4 {
        F4(std::array::from_fn(|i| a.0[i] * b.0[i] + c.0[i]))
    }

    #[inline(always)]
    unsafe fn max(a: F4, b: F4) -> F4 {
        each(a, b, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(a: F4, b: F4) -> F4 {
        each(a, b, |a, b| if a < b { a } else { b })
    }

    #[inline(always)]
    unsafe fn pow2(n: F4) -> F4 {
        F4(n.0.map(|n| f32::from_bits(((n as i32 + 127) << 23) as u32)))
    }
}
