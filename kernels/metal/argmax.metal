// Greedy choice: tokens [t] = the column of the largest logit of a row; of equals the lowest; NaN
// never wins; 0 where no logit is above minus infinity. Logits are f32.
//
// Launch: a threadgroup of 512 threads a row; its memory has one pair a simdgroup. The result is a
// maximum over pairs (logit, lowest column), which does not depend on any order.

#include "logits.h"

constant constexpr uint ARGMAX_THREADS = 512;

[[kernel, max_total_threads_per_threadgroup(ARGMAX_THREADS)]] void maspo_argmax(
    constant MaspoArgmax& a [[buffer(0)]], threadgroup Best* of_simds MASPO_SHARED,
    uint3 group [[threadgroup_position_in_grid]], uint simd [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  uint row = group.x;
  device const float* logits = a.logits + size_t(row) * a.vocabulary;
  // What is not a number is not above minus infinity, so it never replaces this; column 0 is the
  // answer if nothing does.
  Best best = {-INFINITY, 0};
  for (uint column = simd * SIMD + lane; column < a.vocabulary; column += ARGMAX_THREADS) {
    float logit = logits[column];
    if (logit > best.logit) best = {logit, column};
  }
  best = best_of_simd(best);
  if (lane == 0) of_simds[simd] = best;
  WAIT_FOR_ALL();
  if (simd > 0 || lane > 0) return;
  for (uint i = 1; i < ARGMAX_THREADS / SIMD; i++) best = better(best, of_simds[i]);
  a.tokens[row] = best.column;
  if (a.largest) a.largest[row] = best.logit;
}
