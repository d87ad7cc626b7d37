// What both kinds of attention are made of: 16 query rows of one warp over 64 keys (a chunk), and
// the merging of chunks.
//
// The arithmetic of a query row is fixed by its sequence alone. Keys are taken in chunks of 64 by
// absolute position; every chunk is worked out from nothing (its own maximum, sum and weighted
// values), and chunks are merged one by one in ascending order. Who computes a chunk, and which
// rows are beside a row, changes nothing. So attention of a decode step, which spreads the chunks
// of a row over many warps, and of prefill, which goes through them with many rows, agree bit by
// bit: a prefix has the same keys and values whether it was computed by one or the other, in
// whatever pieces, and results need not be less exact to be the same.
//
// A chunk that a row does not see has the maximum minus infinity, and merging it is exact: nothing
// changes.
//
// Scores are products of bf16 with f32 sums, weights 2^(score - maximum) in f32, rounded to bf16
// for the product with the values.

#pragma once

#include "device.h"

namespace maspo {

constexpr unsigned CHUNK = 64, KEY_TILE = 16, CHUNK_TILES = CHUNK / KEY_TILE;

// The place of 16 bytes (`eight` counts 8 numbers) of a row of a tile in shared memory. Eight rows
// at the same `eight` lie in different banks, as load_matrices wants it.
template <unsigned D>
__device__ __forceinline__ unsigned swizzled(unsigned row, unsigned eight) {
  return row * D + ((eight ^ (row & 7u)) * 8);
}

// Where the keys and values of a sequence are.
struct Paged {
  const uint16_t *keys, *values;
  const uint32_t* table;
  unsigned n_kv, kv_head, block_tokens;

  // The number of the first number of 16 consecutive keys, of which the first is `position`, a
  // multiple of 16.
  template <unsigned D>
  __device__ __forceinline__ size_t tile(unsigned position) const {
    size_t block = table[position / block_tokens];
    return ((block * n_kv + kv_head) * block_tokens + position % block_tokens) * D;
  }
};

// The rows g and g + 8 of 16 query rows as A operands. A pointer that is null stands for zeros.
template <unsigned D>
__device__ __forceinline__ void load_queries(unsigned (&q)[D / 16][4], const uint16_t* upper, const uint16_t* lower) {
  unsigned t = threadIdx.x % 4;
#pragma unroll
  for (unsigned step = 0; step < D / 16; step++) {
    const unsigned at = step * 16 + 2 * t;
    q[step][0] = upper ? *reinterpret_cast<const unsigned*>(upper + at) : 0u;
    q[step][1] = lower ? *reinterpret_cast<const unsigned*>(lower + at) : 0u;
    q[step][2] = upper ? *reinterpret_cast<const unsigned*>(upper + at + 8) : 0u;
    q[step][3] = lower ? *reinterpret_cast<const unsigned*>(lower + at + 8) : 0u;
  }
}

// Scores of 16 keys: s[0] of the first eight, s[1] of the others.
template <unsigned D>
__device__ __forceinline__ void score_tile(const uint16_t* tile, const unsigned (&q)[D / 16][4], float (&low)[4],
                                           float (&high)[4]) {
  unsigned lane = threadIdx.x % WARP;
#pragma unroll
  for (unsigned i = 0; i < 4; i++) low[i] = 0, high[i] = 0;
#pragma unroll
  for (unsigned step = 0; step < D / 16; step += 2) {
    unsigned k[4];
    load_matrices<false>(k, tile + swizzled<D>(lane % 8, step * 2 + lane / 8));
    mma(low, q[step][0], q[step][1], q[step][2], q[step][3], k[0], k[1]);
    mma(low, q[step + 1][0], q[step + 1][1], q[step + 1][2], q[step + 1][3], k[2], k[3]);
    load_matrices<false>(k, tile + swizzled<D>(8 + lane % 8, step * 2 + lane / 8));
    mma(high, q[step][0], q[step][1], q[step][2], q[step][3], k[0], k[1]);
    mma(high, q[step + 1][0], q[step + 1][1], q[step + 1][2], q[step + 1][3], k[2], k[3]);
  }
}

// The maximum and the sum of weights of a chunk, or of all chunks so far.
struct Softmax {
  float maximum, sum;
};

// Turns the scores of a chunk into weights. `seen`: how many keys of the chunk the rows g and g + 8
// see.
__device__ __forceinline__ void weigh_chunk(float (&s)[2 * CHUNK_TILES][4], float scale, unsigned seen_upper,
                                            unsigned seen_lower, Softmax (&rows)[2]) {
  unsigned t = threadIdx.x % 4;
#pragma unroll
  for (unsigned half = 0; half < 2; half++) {
    unsigned seen = half == 0 ? seen_upper : seen_lower;
    float maximum = -MASPO_INFINITY;
#pragma unroll
    for (unsigned n = 0; n < 2 * CHUNK_TILES; n++) {
#pragma unroll
      for (unsigned i = 0; i < 2; i++) {
        float& score = s[n][half * 2 + i];
        score = n * 8 + 2 * t + i < seen ? __fmul_rn(score, scale) : -MASPO_INFINITY;
        maximum = fmaxf(maximum, score);
      }
    }
    maximum = fmaxf(maximum, __shfl_xor_sync(FULL, maximum, 1));
    maximum = fmaxf(maximum, __shfl_xor_sync(FULL, maximum, 2));
    float from = maximum == -MASPO_INFINITY ? 0.0f : maximum, sum = 0;
#pragma unroll
    for (unsigned n = 0; n < 2 * CHUNK_TILES; n++) {
#pragma unroll
      for (unsigned i = 0; i < 2; i++) {
        float& weight = s[n][half * 2 + i];
        weight = exp2_fast(__fadd_rn(weight, -from));
        sum = __fadd_rn(sum, weight);
      }
    }
    sum = __fadd_rn(sum, __shfl_xor_sync(FULL, sum, 1));
    sum = __fadd_rn(sum, __shfl_xor_sync(FULL, sum, 2));
    rows[half] = {maximum, sum};
  }
}

// Adds the values of 16 keys, weighted.
template <unsigned D>
__device__ __forceinline__ void add_values(const uint16_t* tile, const float (&low)[4], const float (&high)[4],
                                           float (&out)[D / 8][4]) {
  unsigned lane = threadIdx.x % WARP;
  unsigned a0 = pack_bf16(low[0], low[1]), a1 = pack_bf16(low[2], low[3]);
  unsigned a2 = pack_bf16(high[0], high[1]), a3 = pack_bf16(high[2], high[3]);
#pragma unroll
  for (unsigned n = 0; n < D / 8; n += 2) {
    unsigned v[4];
    load_matrices<true>(v, tile + swizzled<D>(lane % 16, n + lane / 16));
    mma(out[n], a0, a1, a2, a3, v[0], v[1]);
    mma(out[n + 1], a0, a1, a2, a3, v[2], v[3]);
  }
}

// What a chunk is merged with: factors of what was and of what comes.
struct Merge {
  float was, comes;
};
__device__ __forceinline__ Merge merge(Softmax& all, Softmax chunk) {
  float maximum = fmaxf(all.maximum, chunk.maximum), from = maximum == -MASPO_INFINITY ? 0.0f : maximum;
  Merge factors = {exp2_fast(__fadd_rn(all.maximum, -from)), exp2_fast(__fadd_rn(chunk.maximum, -from))};
  all = {maximum, fmaf(all.sum, factors.was, __fmul_rn(chunk.sum, factors.comes))};
  return factors;
}
__device__ __forceinline__ float merged(float was, float comes, Merge factors) {
  return fmaf(was, factors.was, __fmul_rn(comes, factors.comes));
}
__device__ __forceinline__ float normalized(float value, Softmax all) {
  return all.sum > 0 ? __fdiv_rn(value, all.sum) : 0.0f;
}

// log2(e) / sqrt(d): weights are powers of two.
template <unsigned D>
__device__ __forceinline__ constexpr float score_scale() {
  return D == 128 ? 0.12751743f : 0.18033688f;
}

}  // namespace maspo
