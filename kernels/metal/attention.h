// What both kinds of attention are: some queries of one key head over the keys and values of a
// sequence.
//
// The arithmetic of a query is fixed by its sequence alone. Keys are taken in chunks of 64 by
// absolute position; a chunk is worked out from nothing by one simdgroup (its own maximum, sum and
// weighted values, key by key), and chunks are merged one by one in ascending order. Which queries
// are beside one, and how many simdgroups there are, changes nothing: decoding and prefill agree
// bit by bit, because both are this function.
//
// A simdgroup has one chunk at a time: a lane the scores of keys `lane` and `lane + 32`, then D /
// 32 numbers of the weighted values. The queries of a threadgroup share every key and value that is
// read. No key behind what a query sees has a part in its sums, so that what lies there may be
// anything; memory behind what all of them see is not read.
//
// Scores, weights 2^(score - maximum) and sums are f32 and are not rounded in between.

#pragma once

#include "device.h"

// Keys of a tile, of which a block of the cache has a whole number.
constant constexpr uint CHUNK = 64, KEY_TILE = 16;

// Where the keys and values of a sequence are.
struct Paged {
  device const ushort* keys;
  device const ushort* values;
  device const uint* table;
  uint n_kv, kv_head, block_tokens;
};

// The number of the first number of a key or value.
template <uint D>
inline size_t place_of_key(thread const Paged& paged, uint position) {
  size_t block = paged.table[position / paged.block_tokens];
  return ((block * paged.n_kv + paged.kv_head) * paged.block_tokens + position % paged.block_tokens) * D;
}

// Maximum and sum of weights: of a chunk, or of all chunks so far.
struct Softmax {
  float maximum, sum;
};

// A query's part of a threadgroup: `query` numbers it in the threadgroup, `place` is the number of
// its first number in q and out, `sees` is how many keys it sees.
struct Query {
  size_t place;
  uint sees;
};

// Threadgroup memory.
template <uint D, uint QUERIES, uint SIMDS>
struct AttentionShared {
  float q[QUERIES][D];
  float values[SIMDS][QUERIES][D];
  Softmax chunks[SIMDS][QUERIES];
};

// log2(e) / sqrt(d): weights are powers of two.
template <uint D>
constexpr float score_scale() {
  return D == 128 ? 0.12751743f : 0.18033688f;
}

// Works out one chunk for all queries and leaves it in threadgroup memory. `most`: no query sees
// more keys.
template <uint D, uint QUERIES, uint SIMDS>
inline void attend_chunk(threadgroup AttentionShared<D, QUERIES, SIMDS>& shared, thread const Query (&queries)[QUERIES],
                         thread const Paged& paged, uint chunk, uint most, uint simd, uint lane) {
  constexpr uint EACH = D / SIMD;
  uint first = chunk * CHUNK;
  float weights[QUERIES][2];
  for (uint half_chunk = 0; half_chunk < 2; half_chunk++) {
    uint position = first + half_chunk * SIMD + lane;
    bool there = position < most;
    device const ushort* key = there ? paged.keys + place_of_key<D>(paged, position) : paged.keys;
    float scores[QUERIES];
    for (uint i = 0; i < QUERIES; i++) scores[i] = 0;
    for (uint at = 0; at < D; at += 8) {
      uint4 words = uint4(0, 0, 0, 0);
      if (there) words = load_whole<uint4>(key + at);
      float k[8] = {low_bf16(words.x),  high_bf16(words.x), low_bf16(words.y), high_bf16(words.y),
                    low_bf16(words.z),  high_bf16(words.z), low_bf16(words.w), high_bf16(words.w)};
      for (uint i = 0; i < QUERIES; i++) {
        for (uint j = 0; j < 8; j++) scores[i] = fma(shared.q[i][at + j], k[j], scores[i]);
      }
    }
    for (uint i = 0; i < QUERIES; i++)
      weights[i][half_chunk] = position < queries[i].sees ? scores[i] * score_scale<D>() : -INFINITY;
  }
  for (uint i = 0; i < QUERIES; i++) {
    float maximum = simd_max(max(weights[i][0], weights[i][1])), from = maximum == -INFINITY ? 0.0f : maximum;
    weights[i][0] = precise::exp2(weights[i][0] - from);
    weights[i][1] = precise::exp2(weights[i][1] - from);
    float sum = simd_sum(weights[i][0] + weights[i][1]);
    Softmax of_chunk = {maximum, sum};
    if (lane == 0) shared.chunks[simd][i] = of_chunk;
  }

  float out[QUERIES][EACH];
  for (uint i = 0; i < QUERIES; i++) {
    for (uint j = 0; j < EACH; j++) out[i][j] = 0;
  }
  uint end = min(most, first + CHUNK);
  for (uint tile = first; tile < end; tile += KEY_TILE) {
    device const ushort* values = paged.values + place_of_key<D>(paged, tile);
    for (uint position = tile; position < min(end, tile + KEY_TILE); position++) {
      float v[EACH];
      for (uint j = 0; j < EACH; j++) v[j] = from_bf16(values[(position - tile) * D + j * SIMD + lane]);
      ushort from = ushort(position % SIMD);
      for (uint i = 0; i < QUERIES; i++) {
        float weight = simd_shuffle(position - first < SIMD ? weights[i][0] : weights[i][1], from);
        if (position < queries[i].sees) {
          for (uint j = 0; j < EACH; j++) out[i][j] = fma(weight, v[j], out[i][j]);
        }
      }
    }
  }
  for (uint i = 0; i < QUERIES; i++) {
    for (uint j = 0; j < EACH; j++) shared.values[simd][i][j * SIMD + lane] = out[i][j];
  }
}

// Attention of `count` queries; the others of `queries` see nothing and are not stored.
template <uint D, uint QUERIES, uint SIMDS>
inline void attend(threadgroup AttentionShared<D, QUERIES, SIMDS>& shared, thread const Query (&queries)[QUERIES],
                   uint count, thread const Paged& paged, device const ushort* q, device ushort* to, uint simd,
                   uint lane) {
  // Of all numbers of the results, which are `query * D + number of the head`, a thread has number
  // `index + n * THREADS` for every n.
  constexpr uint THREADS = SIMDS * SIMD, EACH = QUERIES * D / THREADS;
  static_assert(QUERIES * D % THREADS == 0, "as many numbers for every thread");
  uint index = simd * SIMD + lane, most = 0;
  for (uint i = 0; i < QUERIES; i++) most = max(most, queries[i].sees);
  Softmax all[EACH];
  float sums[EACH];
  for (uint n = 0; n < EACH; n++) {
    all[n] = {-INFINITY, 0}, sums[n] = 0;
    uint i = (n * THREADS + index) / D, at = (n * THREADS + index) % D;
    shared.q[i][at] = i < count ? from_bf16(q[queries[i].place + at]) : 0.0f;
  }
  WAIT_FOR_ALL();
  for (uint first = 0; first * CHUNK < most; first += SIMDS) {
    if ((first + simd) * CHUNK < most)
      attend_chunk<D, QUERIES, SIMDS>(shared, queries, paged, first + simd, most, simd, lane);
    WAIT_FOR_ALL();
    for (uint n = 0; n < EACH; n++) {
      uint i = (n * THREADS + index) / D, at = (n * THREADS + index) % D;
      for (uint c = 0; c < SIMDS && (first + c) * CHUNK < queries[i].sees; c++) {
        Softmax chunk = shared.chunks[c][i];
        float maximum = max(all[n].maximum, chunk.maximum), from = maximum == -INFINITY ? 0.0f : maximum;
        float was = precise::exp2(all[n].maximum - from), comes = precise::exp2(chunk.maximum - from);
        float more = chunk.sum * comes, value = shared.values[c][i][at] * comes;
        all[n] = {maximum, fma(all[n].sum, was, more)};
        sums[n] = fma(sums[n], was, value);
      }
    }
    WAIT_FOR_ALL();
  }
  for (uint n = 0; n < EACH; n++) {
    uint i = (n * THREADS + index) / D, at = (n * THREADS + index) % D;
    if (i < count) to[queries[i].place + at] = to_bf16(queries[i].sees > 0 ? sums[n] / all[n].sum : 0.0f);
  }
}
