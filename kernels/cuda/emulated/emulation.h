// CUDA's words for what fibers.h does, as far as the kernels use them. A partial mask is a fault.

#pragma once

#include "fibers.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

namespace emulated {

inline void whole_warp(unsigned mask, int line) {
  if (mask != 0xffffffffu) fault("a collective of a part of a warp is not emulated", line);
}

}  // namespace emulated

#define threadIdx (emulated::place.thread)
#define blockIdx (emulated::place.block)
#define blockDim (emulated::place.threads)
#define gridDim (emulated::place.blocks)

inline void __syncthreads(int line = __builtin_LINE()) { emulated::block_barrier(line); }
inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
  emulated::whole_warp(mask, line);
  emulated::warp_collective(nullptr, [](void* const*) {}, line);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int = 32, int line = __builtin_LINE()) {
  emulated::whole_warp(mask, line);
  return emulated::from_lane(value, emulated::lane() ^ unsigned(lanes), line);
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int from, int = 32, int line = __builtin_LINE()) {
  emulated::whole_warp(mask, line);
  return emulated::from_lane(value, unsigned(from) % 32, line);
}
inline void __threadfence() {}
inline unsigned atomicAdd(unsigned* to, unsigned value) {
  unsigned before = *to;
  *to = before + value;
  return before;
}
inline float __uint_as_float(unsigned bits) { float x; std::memcpy(&x, &bits, 4); return x; }
inline unsigned __float_as_uint(float x) { unsigned bits; std::memcpy(&bits, &x, 4); return bits; }
using std::fmaf;
using std::fmaxf;
inline unsigned min(unsigned a, unsigned b) { return b < a ? b : a; }
inline unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
