//! NEON: 4 lanes, 32 registers. Every AArch64 CPU has it. Integer code is plain Rust, which the
//! compiler vectorizes.

use super::ints::Ints;
use super::simd::{Kernel, Simd};
use half::f16;
use std::arch::aarch64::*;

/// The kernel set of AArch64.
#[derive(Clone, Copy)]
pub(super) struct Neon;

// SAFETY of every block below: AArch64 has NEON, and the caller's pointers are valid for 4 floats.
impl Simd for Neon {
    const LANES: usize = 4;
    const TILE_ROWS: usize = 12;
    const WIDE_ROWS: usize = 6;
    const INT8_TILE_ROWS: usize = 5;
    const BIAS: i32 = 0;
    type V = float32x4_t;
    type I = Ints;

    #[inline]
    unsafe fn vectorize<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: the caller's.
        unsafe { kernel.run::<Self>() }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: float32x4_t) {
        // SAFETY: see above.
        unsafe { vst1q_f32(to, v) }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    unsafe fn max(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vmaxq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe { vminq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn pow2(n: float32x4_t) -> float32x4_t {
        // SAFETY: see above.
        unsafe {
            let exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
            vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> float32x4_t {
        // SAFETY: the caller's pointer is valid for 4 numbers.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        four(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> float32x4_t {
        // SAFETY: the caller's pointer is valid for 4 numbers.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        four(halves.map(|half| f16::from_bits(half).to_f32()))
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, v: float32x4_t) {
        let mut floats = [0.0f32; 4];
        // SAFETY: both pointers are valid for 4 numbers.
        unsafe {
            vst1q_f32(floats.as_mut_ptr(), v);
            to.cast::<[u16; 4]>().write_unaligned(floats.map(|x| f16::from_f32(x).to_bits()));
        }
    }

    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> float32x4_t {
        // SAFETY: the caller's pointer is valid for 4 bytes.
        four(unsafe { from.cast::<[u8; 4]>().read_unaligned() }.map(f32::from))
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> float32x4_t {
        // SAFETY: the caller's pointer is valid for 4 bytes.
        four(unsafe { from.cast::<[i8; 4]>().read_unaligned() }.map(f32::from))
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
        acc.add_products(a, x)
    }

    #[inline(always)]
    unsafe fn dot_nibbles(acc: Ints, a: Ints, x: Ints) -> Ints {
        acc.add_products(a, x)
    }

    #[inline(always)]
    unsafe fn to_float(v: Ints) -> float32x4_t {
        four(v.0.map(|x| x as f32))
    }
}

/// Returns a vector of four floats.
#[inline(always)]
fn four(lanes: [f32; 4]) -> float32x4_t {
    // SAFETY: AArch64 has NEON, and the array is four floats long.
    unsafe { vld1q_f32(lanes.as_ptr()) }
}
