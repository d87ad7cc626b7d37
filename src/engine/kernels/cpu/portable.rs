//! Plain Rust for CPUs without a kernel set of their own: 4 lanes, which compilers turn into the
//! vectors that there are. It never calls a fused multiply-add, which would be a library call on a
//! CPU without one.

use super::ints::Ints;
use super::simd::{Kernel, Simd};
use half::f16;

/// Plain Rust. With `VNNI` it multiplies bytes by the exact arithmetic of `vpdpbusd`.
#[derive(Clone, Copy)]
pub(super) struct Level<const VNNI: bool>;

/// The portable kernel set.
pub(super) type Portable = Level<false>;
/// The portable kernel set with the int8 products of AVX-VNNI: what they give, on every machine.
#[cfg(test)]
pub(super) type EmulatedVnni = Level<true>;

/// A vector of four floats.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(super) struct F4([f32; 4]);

#[inline(always)]
fn each(a: F4, b: F4, f: impl Fn(f32, f32) -> f32) -> F4 {
    F4(std::array::from_fn(|i| f(a.0[i], b.0[i])))
}

impl<const VNNI: bool> Simd for Level<VNNI> {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 4;
    const WIDE_ROWS: usize = 2;
    const INT8_TILE_ROWS: usize = 4;
    const BIAS: i32 = if VNNI { 128 } else { 0 };
    type V = F4;
    type I = Ints;

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

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> F4 {
        // SAFETY: the caller's pointer is valid for 4 numbers.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        F4(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> F4 {
        // SAFETY: the caller's pointer is valid for 4 numbers.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        F4(halves.map(|half| f16::from_bits(half).to_f32()))
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, v: F4) {
        // SAFETY: the caller's pointer is valid for 4 numbers.
        unsafe { to.cast::<[u16; 4]>().write_unaligned(v.0.map(|x| f16::from_f32(x).to_bits())) }
    }

    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> F4 {
        // SAFETY: the caller's pointer is valid for 4 bytes.
        F4(unsafe { from.cast::<[u8; 4]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> F4 {
        // SAFETY: the caller's pointer is valid for 4 bytes.
        F4(unsafe { from.cast::<[i8; 4]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn int_splat(x: i32) -> Ints {
        Ints([x; 4])
    }

    #[inline(always)]
    unsafe fn int_load(from: *const u8) -> Ints {
        // SAFETY: the caller's pointer is valid for 16 bytes.
        Ints(unsafe { from.cast::<[i32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn low_nibbles(bytes: Ints) -> Ints {
        bytes.low_nibbles()
    }

    #[inline(always)]
    unsafe fn high_nibbles(bytes: Ints) -> Ints {
        bytes.high_nibbles()
    }

    #[inline(always)]
    unsafe fn dot(acc: Ints, a: Ints, x: Ints) -> Ints {
        if VNNI { acc.add_unsigned_products(a, x) } else { acc.add_products(a, x) }
    }

    #[inline(always)]
    unsafe fn dot_nibbles(acc: Ints, a: Ints, x: Ints) -> Ints {
        if VNNI { acc.add_unsigned_products(a, x) } else { acc.add_products(a, x) }
    }

    #[inline(always)]
    unsafe fn to_float(v: Ints) -> F4 {
        F4(v.0.map(|x| x as f32))
    }
}
