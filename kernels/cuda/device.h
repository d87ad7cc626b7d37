// The few instructions that the kernels are made of, for both worlds. In the device build they are
// PTX of compute capability 8.0 and later; in the emulation they do what the PTX manual says of
// them, fragment layouts included, so that the kernels themselves are the same text. Nothing in a
// kernel may depend on which world it is in.
//
// bf16 and f16 numbers are carried as bits: this needs no header of CUDA's, and the emulation none
// at all.

#pragma once

#include "maspo_cuda.h"

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#error "the kernels need compute capability 8.0 (mma.sync of bf16, cp.async)"
#endif
#else
#define MASPO_EMULATED 1
#include "emulated/emulation.h"
#endif

namespace maspo {

constexpr unsigned FULL = 0xffffffffu;
constexpr unsigned WARP = 32;
#define MASPO_INFINITY __builtin_huge_valf()

template <typename T>
constexpr __host__ __device__ T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

// All shared memory is dynamic: the emulation then knows its bounds.
template <typename T>
__device__ __forceinline__ T* shared_memory() {
#ifdef MASPO_EMULATED
  return reinterpret_cast<T*>(emulated::shared_memory());
#else
  extern __shared__ __align__(128) unsigned char maspo_shared[];
  return reinterpret_cast<T*>(maspo_shared);
#endif
}

template <typename... Parameters, typename... Arguments>
int launch(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, size_t shared_bytes, void* stream,
           Arguments... arguments) {
#ifdef MASPO_EMULATED
  (void)stream;
  return emulated::launch([&] { kernel(arguments...); }, blocks, threads, shared_bytes);
#else
  if (shared_bytes > 48 * 1024) {
    auto code = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes));
    if (code != cudaSuccess) return int(code);
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream);
  return int(cudaLaunchKernelEx(&config, kernel, arguments...));
#endif
}

// --- numbers -------------------------------------------------------------------------------------

__device__ __forceinline__ float bf16_to_float(unsigned bits) { return __uint_as_float(bits << 16); }
__device__ __forceinline__ float low_bf16(unsigned pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float high_bf16(unsigned pair) { return __uint_as_float(pair & 0xffff0000u); }

// Two floats, rounded to nearest even, the first in the lower half.
__device__ __forceinline__ unsigned pack_bf16(float low, float high) {
#ifdef MASPO_EMULATED
  auto round = [](float x) -> unsigned {
    unsigned bits = __float_as_uint(x);
    if (x != x) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
#else
  unsigned pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#endif
}

__device__ __forceinline__ float f16_to_float(unsigned bits) {
#ifdef MASPO_EMULATED
  unsigned exponent = bits >> 10 & 31, fraction = bits & 1023, sign = (bits & 0x8000) << 16;
  if (exponent == 0) {
    float x = float(fraction) * 0x1p-24f;
    return sign ? -x : x;
  }
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | fraction << 13);
  return __uint_as_float(sign | (exponent + 112) << 23 | fraction << 13);
#else
  float x;
  asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"((unsigned short)bits));
  return x;
#endif
}

// a * b + c in both halves.
__device__ __forceinline__ unsigned fma_bf16x2(unsigned a, unsigned b, unsigned c) {
#ifdef MASPO_EMULATED
  // The product and sum of three bf16 numbers are exact in f64 for the numbers that the kernels
  // use.
  auto one = [](float a, float b, float c) { return float(double(a) * b + c); };
  return pack_bf16(one(low_bf16(a), low_bf16(b), low_bf16(c)), one(high_bf16(a), high_bf16(b), high_bf16(c)));
#else
  unsigned d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#endif
}

// (a & b) | c in one instruction; the compiler makes it so, too.
__device__ __forceinline__ unsigned and_or(unsigned a, unsigned b, unsigned c) { return (a & b) | c; }

// 2^x; 0 for minus infinity.
__device__ __forceinline__ float exp2_fast(float x) {
#ifdef MASPO_EMULATED
  return std::exp2(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}

// x / (1 + e^-x). For x below about -88, e^-x is infinite and the result 0, as it should.
__device__ __forceinline__ float silu(float x) { return __fdiv_rn(x, 1.0f + exp2_fast(x * -1.4426950408889634f)); }

// --- memory --------------------------------------------------------------------------------------

// 16 bytes that another block of this launch wrote: not through the first-level cache, which is not
// kept in step with others.
__device__ __forceinline__ float4 load16_written(const float4* from) {
#ifdef MASPO_EMULATED
  check_alignment(from, 16, __LINE__);
  return *from;
#else
  return __ldcg(from);
#endif
}

__device__ __forceinline__ float2 load8_written(const float2* from) {
#ifdef MASPO_EMULATED
  check_alignment(from, 8, __LINE__);
  return *from;
#else
  return __ldcg(from);
#endif
}

// Copies 16 bytes to shared memory later: `valid` bytes from global memory, zeros for the rest.
__device__ __forceinline__ void copy16_later(void* shared, const void* global, unsigned valid = 16) {
#ifdef MASPO_EMULATED
  check_alignment(shared, 16, __LINE__);
  check_alignment(global, 16, __LINE__);
  emulated::copy_later(shared, global, 16, valid);
#else
  unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid) : "memory");
#endif
}

__device__ __forceinline__ void end_copy_group() {
#ifdef MASPO_EMULATED
  emulated::end_copy_group();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most LEFT of the thread's latest groups are under way. Other threads see the bytes
// after a barrier.
template <unsigned LEFT>
__device__ __forceinline__ void wait_for_copies() {
#ifdef MASPO_EMULATED
  emulated::wait_for_copies(LEFT);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

// Whether this block is the last of `count` to come here; the others' earlier writes to global
// memory can then be read. All threads of the block call it. `flag` is shared memory. The counter
// is zero again afterwards.
__device__ __forceinline__ bool last_of(unsigned* counter, unsigned count, unsigned* flag) {
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    bool last = atomicAdd(counter, 1u) == count - 1;
    if (last) *counter = 0;
    *flag = last;
  }
  __syncthreads();
  __threadfence();
  return *flag != 0;
}

// --- tensor cores --------------------------------------------------------------------------------
// With g = lane / 4 and t = lane % 4, a lane holds of
//   A [16, 16]  a[0]: row g, columns 2t and 2t + 1; a[1]: row g + 8; a[2], a[3]: the same rows,
//               columns 2t + 8 and 2t + 9;
//   B [16, 8]   b[0]: rows 2t and 2t + 1 of column g; b[1]: rows 2t + 8 and 2t + 9;
//   D [16, 8]   d[0], d[1]: row g, columns 2t and 2t + 1; d[2], d[3]: row g + 8.

// d += A B. The order in which the hardware adds up is not documented; it is the same for every row
// and column.
__device__ __forceinline__ void mma(float (&d)[4], unsigned a0, unsigned a1, unsigned a2, unsigned a3, unsigned b0,
                                    unsigned b1) {
#ifdef MASPO_EMULATED
  struct Slot {
    unsigned a[4], b[2];
    float* d;
  } slot{{a0, a1, a2, a3}, {b0, b1}, d};
  emulated::warp_collective(&slot, [](void* const lanes[WARP]) {
    float a[16][16], b[8][16];
    for (unsigned lane = 0; lane < WARP; lane++) {
      const auto& from = *static_cast<const Slot*>(lanes[lane]);
      unsigned g = lane / 4, t = lane % 4;
      for (unsigned i = 0; i < 4; i++) {
        unsigned row = g + i % 2 * 8, column = 2 * t + i / 2 * 8;
        a[row][column] = low_bf16(from.a[i]);
        a[row][column + 1] = high_bf16(from.a[i]);
      }
      for (unsigned i = 0; i < 2; i++) {
        b[g][2 * t + i * 8] = low_bf16(from.b[i]);
        b[g][2 * t + i * 8 + 1] = high_bf16(from.b[i]);
      }
    }
    for (unsigned lane = 0; lane < WARP; lane++) {
      float* to = static_cast<Slot*>(lanes[lane])->d;
      for (unsigned i = 0; i < 4; i++) {
        const float *row = a[lane / 4 + i / 2 * 8], *column = b[lane % 4 * 2 + i % 2];
        float sum = to[i];
        for (unsigned k = 0; k < 16; k++) sum += row[k] * column[k];
        to[i] = sum;
      }
    }
  }, __LINE__);
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// Four 8x8 matrices of 16-bit numbers from shared memory: lane i names row i % 8 of matrix i / 8
// (16 bytes). Of matrix j a lane gets row g, columns 2t and 2t + 1; TRANSPOSED: column g, rows 2t
// and 2t + 1.
template <bool TRANSPOSED>
__device__ __forceinline__ void load_matrices(unsigned (&to)[4], const void* row) {
#ifdef MASPO_EMULATED
  check_alignment(row, 16, __LINE__);
  struct Slot {
    const unsigned short* row;
    unsigned* to;
  } slot{static_cast<const unsigned short*>(row), to};
  emulated::warp_collective(&slot, [](void* const lanes[WARP]) {
    for (unsigned lane = 0; lane < WARP; lane++) {
      unsigned g = lane / 4, t = lane % 4;
      for (unsigned j = 0; j < 4; j++) {
        auto at = [&](unsigned row, unsigned column) -> unsigned {
          return static_cast<Slot*>(lanes[j * 8 + row])->row[column];
        };
        static_cast<Slot*>(lanes[lane])->to[j] =
            TRANSPOSED ? at(2 * t, g) | at(2 * t + 1, g) << 16 : at(g, 2 * t) | at(g, 2 * t + 1) << 16;
      }
    }
  }, __LINE__);
#else
  unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if (TRANSPOSED) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(from) : "memory");
  }
#endif
}

// --- reductions: butterflies, so that every lane ends with the same bits -------------------------

__device__ __forceinline__ float warp_sum(float x) {
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(FULL, x, lanes);
  return x;
}

}  // namespace maspo
