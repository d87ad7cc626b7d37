// The residual stream and RMSNorm in one pass: x += addend, out = x / sqrt(mean(x^2) + eps) *
// weight. x and all sums are f32, `out` is bf16 and rounded once, after the weight.
//
// Launch: a threadgroup of 256 threads a row; its memory has one number a simdgroup. A thread reads
// its numbers of x a second time rather than holding them, for they are in the cache. The order of
// the sum depends on n alone. n: a multiple of 4.

#include "device.h"

constant constexpr uint NORM_THREADS = 256;

[[kernel, max_total_threads_per_threadgroup(NORM_THREADS)]] void maspo_add_norm(
    constant MaspoAddNorm& a [[buffer(0)]], threadgroup float* sums MASPO_SHARED,
    uint3 group [[threadgroup_position_in_grid]], uint simd [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  uint row = group.x, from = row, first = simd * SIMD + lane;
  if (a.pick) from = a.pick[row];
  device float* x = a.x + size_t(from) * a.n;
  float sum = 0;
  for (uint at = first; at < a.n; at += NORM_THREADS) {
    float v = x[at];
    if (a.addend) {
      v += activation(a.addend, a.addend_type, size_t(row) * a.n + at);
      x[at] = v;
    }
    sum = fma(v, v, sum);
  }
  sum = simd_sum(sum);
  if (lane == 0) sums[simd] = sum;
  WAIT_FOR_ALL();
  sum = 0;
  for (uint i = 0; i < NORM_THREADS / SIMD; i++) sum += sums[i];
  float factor = 1.0f / precise::sqrt(sum / float(a.n) + a.eps);
  for (uint at = first; at < a.n; at += NORM_THREADS) {
    a.out[size_t(row) * a.n + at] = to_bf16(x[at] * factor * a.weight[at]);
  }
}
