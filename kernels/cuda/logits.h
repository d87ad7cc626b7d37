// What the kernels that look for large logits share: argmax.cu and scores.cu.

#pragma once

#include "device.h"

namespace maspo {

// A logit and its column.
struct alignas(8) Best {
  float logit;
  unsigned column;
};

// The larger logit; of equals the lower column. NaN is never the larger one.
__device__ __forceinline__ Best better(Best a, Best b) {
  return b.logit > a.logit || (b.logit == a.logit && b.column < a.column) ? b : a;
}

// The best of the warp, known to all its lanes. It is a maximum over pairs, so no order of the
// lanes changes it.
__device__ __forceinline__ Best best_of_warp(Best best) {
  for (int lanes = 16; lanes > 0; lanes /= 2) {
    best = better(best, {__shfl_xor_sync(FULL, best.logit, lanes), __shfl_xor_sync(FULL, best.column, lanes)});
  }
  return best;
}

}  // namespace maspo
