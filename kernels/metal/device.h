// What the kernels share: numbers as bits, reductions, the threads of a threadgroup. bf16 numbers
// are carried as bits, so that no support of the language for them is needed; f16 numbers are the
// language's own.
//
// Every kernel has threadgroups of one dimension and whole simdgroups of 32. A thread is number
// `simd * SIMD + lane`.

#pragma once

#include <metal_stdlib>
#include "arguments.h"

// Nothing may be reordered or fused that is not written so: decoding and prefill have to give the
// same bits.
#if defined(__METAL_VERSION__) && __METAL_VERSION__ >= 320
#pragma METAL fp math_mode(safe)
#pragma METAL fp contract(off)
#endif

using namespace metal;

// Where threadgroup memory is bound. The emulation, for which `threadgroup` is an empty word, says
// so itself.
#ifndef MASPO_SHARED
#define MASPO_SHARED [[threadgroup(0)]]
#endif

constant constexpr uint SIMD = 32;

inline uint ceil_div(uint a, uint b) { return (a + b - 1) / b; }

// --- numbers -------------------------------------------------------------------------------------

inline float from_bf16(uint bits) { return as_type<float>(bits << 16); }
// The two numbers of a pair, the first in the lower half.
inline float low_bf16(uint pair) { return as_type<float>(pair << 16); }
inline float high_bf16(uint pair) { return as_type<float>(pair & 0xffff0000u); }

// Rounded to nearest even.
inline ushort to_bf16(float x) {
  uint bits = as_type<uint>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return ushort((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

inline float from_f16(uint bits) { return float(as_type<half>(ushort(bits))); }

// Number `at` of activations of a MaspoType.
inline float activation(device const uchar* from, uint type, size_t at) {
  if (type == MASPO_F32) return reinterpret_cast<device const float*>(from)[at];
  return from_bf16(reinterpret_cast<device const ushort*>(from)[at]);
}

// x / (1 + e^-x). For x below about -88, e^-x is infinite and the result 0, as it should.
inline float silu(float x) { return x / (1.0f + precise::exp2(x * -1.4426950408889634f)); }

// --- memory --------------------------------------------------------------------------------------

// One load of as many bytes as a T has, at an address that is a multiple of that. The emulation
// checks it.
template <typename T, typename From>
inline T load_whole(device const From* from) {
#ifdef MASPO_EMULATED
  check_alignment(from, sizeof(T));
#endif
  return *reinterpret_cast<device const T*>(from);
}

// Waits for all threads of the threadgroup; what they wrote to threadgroup memory before can then
// be read.
#define WAIT_FOR_ALL() threadgroup_barrier(mem_flags::mem_threadgroup)
