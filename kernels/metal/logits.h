// What the kernels that look for large logits share: argmax.metal and scores.metal.

#pragma once

#include "device.h"

// A logit and its column.
struct Best {
  float logit;
  uint column;
};

// The larger logit; of equals the lower column. NaN is never the larger one.
inline Best better(Best a, Best b) {
  if (b.logit > a.logit || (b.logit == a.logit && b.column < a.column)) return b;
  return a;
}

// The best of the simdgroup, known to all its lanes.
inline Best best_of_simd(Best best) {
  for (ushort lanes = SIMD / 2; lanes > 0; lanes /= 2) {
    Best other = {simd_shuffle_xor(best.logit, lanes), simd_shuffle_xor(best.column, lanes)};
    best = better(best, other);
  }
  return best;
}
