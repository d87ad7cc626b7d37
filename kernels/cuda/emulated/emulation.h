// What a kernel needs of CUDA, on a CPU: one fiber per CUDA thread, one block after the other. It is for checking kernels where
// there is no GPU, never for running them in earnest.
//
// Fibers run one at a time, in an order that `maspo_emulation_order` sets; a fiber runs until it ends or reaches a barrier or a
// warp collective. So a result that depends on the order betrays a missing barrier: the tests run every operation in several
// orders and want equal bits. Dynamic shared memory is filled with NaN before every block and has guards on both sides.
//
// Faults that are found and end the launch with MASPO_FAULT and a text: a barrier or collective that not all threads reach, or
// that they reach at different lines; writing outside of the shared memory that was asked for; a partial mask; an 8-byte or
// 16-byte access of shared memory by the helpers of device.h that is not aligned.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

namespace emulated {

constexpr unsigned WARP = 32;

// Where the running fiber is.
struct Place {
  dim3 thread, block, threads, blocks;
};
extern thread_local Place place;

// Waits for all threads of the block.
void block_barrier(int line);

// Waits for the warp; the last lane to come calls `all(inputs of the 32 lanes)`, which may write through them.
void warp_collective(void* mine, void (*all)(void* const lanes[WARP]), int line);

// The lane's asynchronous copies: carried out when they are waited for and not earlier, or (descending order) at once.
void copy_later(void* to, const void* from, unsigned bytes, unsigned valid);
void end_copy_group();
void wait_for_copies(unsigned groups_left);

unsigned char* shared_memory();

// Ends the launch with an error.
[[noreturn]] void fault(const char* what, int line);

int run(void (*thread)(void*), void* closure, dim3 blocks, dim3 threads, size_t shared_bytes);

template <typename Kernel>
int launch(Kernel&& kernel, dim3 blocks, dim3 threads, size_t shared_bytes) {
  using Closure = std::remove_reference_t<Kernel>;
  return run([](void* closure) { (*static_cast<Closure*>(closure))(); }, &kernel, blocks, threads, shared_bytes);
}

// The value of another lane, chosen by each lane.
template <typename T>
T from_lane(T value, unsigned lane, int line) {
  struct Slot { T value, got; unsigned lane; } slot{value, value, lane};
  warp_collective(&slot, [](void* const lanes[WARP]) {
    for (unsigned i = 0; i < WARP; i++) {
      auto* to = static_cast<Slot*>(lanes[i]);
      to->got = to->lane < WARP ? static_cast<Slot*>(lanes[to->lane])->value : to->value;
    }
  }, line);
  return slot.got;
}

inline unsigned lane() { return place.thread.x % WARP; }

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
