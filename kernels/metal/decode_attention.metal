// Attention of single rows over paged keys and values: a row of decoding, or of a draft. The query
// heads of a group share every read.
//
// Launch: [rows, n_kv, heads of a group / 4] threadgroups of eight simdgroups, which have eight
// chunks of 64 keys at a time. Nothing goes through a workspace: a row and key head is one
// threadgroup's. A row of length 0 gets zeros and reads nothing. d: 64 or 128; block_tokens: a
// multiple of 16.

#include "attention.h"

constant constexpr uint DECODE_SIMDS = 8, DECODE_QUERIES = 4;

template <uint D>
inline void decode_rows(constant MaspoDecodeAttention& a, threadgroup uchar* memory, uint3 group, uint simd,
                        uint lane) {
  using Shared = AttentionShared<D, DECODE_QUERIES, DECODE_SIMDS>;
  uint row = group.x, heads = a.n_q / a.n_kv, first = group.z * DECODE_QUERIES;
  Paged paged = {a.keys, a.values, a.tables + a.table_starts[row], a.n_kv, group.y, a.block_tokens};
  uint count = min(heads - first, DECODE_QUERIES), length = min(a.lengths[row], a.max_length);
  Query queries[DECODE_QUERIES];
  for (uint i = 0; i < DECODE_QUERIES; i++) {
    queries[i] = {(size_t(row) * a.n_q + group.y * heads + first + i) * D, i < count ? length : 0};
  }
  attend<D, DECODE_QUERIES, DECODE_SIMDS>(
      *reinterpret_cast<threadgroup Shared*>(memory), queries, count, paged, a.q, a.out, simd, lane);
}

[[kernel, max_total_threads_per_threadgroup(DECODE_SIMDS * SIMD)]] void maspo_decode_attention(
    constant MaspoDecodeAttention& a [[buffer(0)]], threadgroup uchar* memory MASPO_SHARED,
    uint3 group [[threadgroup_position_in_grid]], uint simd [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  if (a.d == 128) {
    decode_rows<128>(a, memory, group, simd, lane);
  } else {
    decode_rows<64>(a, memory, group, simd, lane);
  }
}
