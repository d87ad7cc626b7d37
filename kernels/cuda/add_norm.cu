// The residual stream and RMSNorm in one pass: x += addend, out = x / sqrt(mean(x^2) + eps) *
// weight. x and all sums are f32, `out` is bf16 and rounded once, after the weight.
//
// Launch: one block of 512 threads a row, since the rows of a decode step are few and the time is
// that of one row: every thread holds up to four times four numbers, so a row is read once. The
// order of the sum depends on n alone.

#include "device.h"

namespace maspo {

constexpr unsigned NORM_THREADS = 512, NORM_PARTS = 4;

struct NormShared {
  float sums[NORM_THREADS / WARP];
};

static __global__ void __launch_bounds__(NORM_THREADS) add_norm_kernel(MaspoAddNorm a) {
  auto& shared = *shared_memory<NormShared>();
  unsigned row = blockIdx.x, from = a.pick ? a.pick[row] : row;
  float4* x = reinterpret_cast<float4*>(a.x + size_t(from) * a.n);
  float4 held[NORM_PARTS];
  float sum = 0;
#pragma unroll
  for (unsigned i = 0; i < NORM_PARTS; i++) {
    unsigned at = i * NORM_THREADS + threadIdx.x;
    if (at * 4 >= a.n) break;
    float4 v = x[at];
    if (a.addend) {
      size_t offset = size_t(row) * a.n + at * 4;
      if (a.addend_type == MASPO_F32) {
        float4 b = *reinterpret_cast<const float4*>(static_cast<const float*>(a.addend) + offset);
        v.x += b.x, v.y += b.y, v.z += b.z, v.w += b.w;
      } else {
        uint2 b = *reinterpret_cast<const uint2*>(static_cast<const uint16_t*>(a.addend) + offset);
        v.x += low_bf16(b.x), v.y += high_bf16(b.x), v.z += low_bf16(b.y), v.w += high_bf16(b.y);
      }
      x[at] = v;
    }
    held[i] = v;
    sum = fmaf(v.x, v.x, sum), sum = fmaf(v.y, v.y, sum), sum = fmaf(v.z, v.z, sum), sum = fmaf(v.w, v.w, sum);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % WARP == 0) shared.sums[threadIdx.x / WARP] = sum;
  __syncthreads();
  sum = 0;
#pragma unroll
  for (float part : shared.sums) sum += part;
  float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(sum, float(a.n)), a.eps)));
#pragma unroll
  for (unsigned i = 0; i < NORM_PARTS; i++) {
    unsigned at = i * NORM_THREADS + threadIdx.x;
    if (at * 4 >= a.n) break;
    float4 v = held[i], w = reinterpret_cast<const float4*>(a.weight)[at];
    reinterpret_cast<uint2*>(a.out + size_t(row) * a.n)[at] = make_uint2(
        pack_bf16(v.x * factor * w.x, v.y * factor * w.y), pack_bf16(v.z * factor * w.z, v.w * factor * w.w));
  }
}

}  // namespace maspo

extern "C" int maspo_cuda_add_norm(const MaspoAddNorm* a, void* stream) {
  using namespace maspo;
  if (a->n == 0 || a->n % 4 != 0 || a->n > NORM_THREADS * NORM_PARTS * 4 || (a->pick && a->addend))
    return MASPO_BAD_SHAPE;
  if (a->addend_type > MASPO_BF16) return MASPO_BAD_ENUM;
  if (a->rows == 0) return MASPO_OK;
  return launch(add_norm_kernel, dim3(a->rows), dim3(NORM_THREADS), sizeof(NormShared), stream, *a);
}
