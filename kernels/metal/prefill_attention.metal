// Causal attention of many rows of a sequence (prefill), prefix blocks included: a tile is up to 64
// / group consecutive tokens, and its keys are all at or before its last token's position, wherever
// they come from. rotate.metal has stored the tile's own keys before.
//
// The queries of a tile are (token, head of the group) pairs, which share all keys and values; a
// threadgroup has eight of them, so that every key and value is read once for eight queries. The
// arithmetic of a row is that of decoding: attention.h.
//
// Launch: [tiles, n_kv, 8] threadgroups of four simdgroups; those behind the last pair of a tile do
// nothing.

#include "attention.h"

constant constexpr uint PREFILL_SIMDS = 4, PREFILL_QUERIES = 8;

template <uint D>
inline void prefill_rows(constant MaspoPrefillAttention& a, threadgroup uchar* memory, uint3 group, uint simd,
                         uint lane) {
  using Shared = AttentionShared<D, PREFILL_QUERIES, PREFILL_SIMDS>;
  MaspoTile tile = a.tiles[group.x];
  uint heads = a.n_q / a.n_kv, pairs = tile.tokens * heads, first = group.z * PREFILL_QUERIES;
  if (first >= pairs) return;
  Paged paged = {a.keys, a.values, a.tables + tile.table_start, a.n_kv, group.y, a.block_tokens};
  uint count = min(pairs - first, PREFILL_QUERIES);
  Query queries[PREFILL_QUERIES];
  for (uint i = 0; i < PREFILL_QUERIES; i++) {
    uint token = (first + i) / heads, head = group.y * heads + (first + i) % heads;
    queries[i] = {(size_t(tile.first_row + token) * a.n_q + head) * D, i < count ? tile.position + token + 1 : 0};
  }
  attend<D, PREFILL_QUERIES, PREFILL_SIMDS>(
      *reinterpret_cast<threadgroup Shared*>(memory), queries, count, paged, a.q, a.out, simd, lane);
}

[[kernel, max_total_threads_per_threadgroup(PREFILL_SIMDS * SIMD)]] void maspo_prefill_attention(
    constant MaspoPrefillAttention& a [[buffer(0)]], threadgroup uchar* memory MASPO_SHARED,
    uint3 group [[threadgroup_position_in_grid]], uint simd [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  if (a.d == 128) {
    prefill_rows<128>(a, memory, group, simd, lane);
  } else {
    prefill_rows<64>(a, memory, group, simd, lane);
  }
}
