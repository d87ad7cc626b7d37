//! AVX-512: 16 lanes, 32 registers. There are four levels: plain, with VNNI (four int8 products per
//! lane in one instruction), with products of bf16 pairs, and with AMX. The code in this file gives
//! the same results in all of them.

use super::simd::{Kernel, Simd};
use std::arch::x86_64::*;

/// AVX-512 with the extensions of its level.
#[derive(Clone, Copy)]
pub(super) struct Level<const LEVEL: u8>;

/// AVX-512 alone.
pub(super) type Avx512 = Level<0>;
/// AVX-512 with VNNI.
pub(super) type Avx512Vnni = Level<1>;
/// AVX-512 with VNNI and bf16 dot products.
pub(super) type Avx512Bf16 = Level<2>;
/// AVX-512 with VNNI, bf16 dot products and AMX.
pub(super) type Avx512Amx = Level<3>;

// SAFETY of every block below: the caller has the instructions of the level, and its pointers are
// valid for 16 floats.
impl<const LEVEL: u8> Simd for Level<LEVEL> {
    const LANES: usize = 16;
    const TILE_ROWS: usize = 12;
    const WIDE_ROWS: usize = 6;
    const INT8_TILE_ROWS: usize = 5;
    const INT8_TILES: bool = LEVEL >= 3;
    const BIAS: i32 = if LEVEL >= 1 { 128 } else { 0 };
    type V = __m512;
    type I = __m512i;

    #[inline]
    unsafe fn vectorize<K: Kernel>(kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c")]
        unsafe fn plain<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: the caller's.
            unsafe { kernel.run::<Level<0>>() }
        }
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx2,fma,f16c")]
        unsafe fn vnni<K: Kernel, const LEVEL: u8>(kernel: K) -> K::Output {
            // SAFETY: the caller's.
            unsafe { kernel.run::<Level<LEVEL>>() }
        }
        #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx512bf16,avx2,fma,f16c")]
        unsafe fn bf16<K: Kernel>(kernel: K) -> K::Output {
            // SAFETY: the caller's.
            unsafe { kernel.run::<Level<2>>() }
        }
        // SAFETY: the caller's.
        unsafe {
            match LEVEL {
                0 => plain(kernel),
                2 => bf16(kernel),
                _ => vnni::<K, LEVEL>(kernel),
            }
        }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        // SAFETY: see above.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn div(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn max(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn min(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn pow2(n: __m512) -> __m512 {
        // SAFETY: see above.
        unsafe {
            let exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(exponent))
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> __m512 {
        // SAFETY: see above.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u16) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }

    #[inline(always)]
    unsafe fn store_f16(to: *mut u16, v: __m512) {
        // SAFETY: see above.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)) }
    }

    #[inline(always)]
    unsafe fn load_u8(from: *const u8) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(from.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_low_bytes(to: *mut u8, v: __m512) {
        // SAFETY: see above.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_castps_si512(v))) }
    }

    #[inline(always)]
    unsafe fn largest(v: __m512) -> f32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_max_ps(v) }
    }

    #[inline(always)]
    unsafe fn prefetch_l1(from: *const u8) {
        // SAFETY: a hint; it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn prefetch_l2(from: *const u8) {
        // SAFETY: a hint; it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn int_splat(x: i32) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_set1_epi32(x) }
    }

    #[inline(always)]
    unsafe fn int_load(from: *const u8) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn low_nibbles(bytes: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(bytes, _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn high_nibbles(bytes: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    unsafe fn dot(acc: __m512i, a: __m512i, x: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe {
            if LEVEL >= 1 {
                return _mm512_dpbusd_epi32(acc, _mm512_xor_si512(a, _mm512_set1_epi8(-128)), x);
            }
            // The sign moves from one factor to the other, and the sums of two products fit 16
            // bits.
            let x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(a), _mm512_setzero_si512(), x);
            let pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(a), x);
            _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)))
        }
    }

    #[inline(always)]
    unsafe fn dot_nibbles(acc: __m512i, a: __m512i, x: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe {
            if LEVEL >= 1 {
                return _mm512_dpbusd_epi32(acc, a, x);
            }
            _mm512_add_epi16(acc, _mm512_maddubs_epi16(a, x))
        }
    }

    #[inline(always)]
    unsafe fn nibble_sums(acc: __m512i) -> __m512i {
        // SAFETY: see above.
        unsafe { if LEVEL >= 1 { acc } else { _mm512_madd_epi16(acc, _mm512_set1_epi16(1)) } }
    }

    #[inline(always)]
    unsafe fn to_float(v: __m512i) -> __m512 {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi32_ps(v) }
    }
}
