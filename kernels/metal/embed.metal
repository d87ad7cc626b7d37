// Token ids to rows of the embedding table: out [t, hidden]. The table may be the LM head in any
// format, so that a tied table is kept once. A token outside of the vocabulary gives zeros.
//
// Launch: a threadgroup of 128 threads a row; a thread does eight numbers at a time. Hidden: a
// multiple of 8.

#include "weights.h"

constant constexpr uint EMBED_THREADS = 128;

template <typename Rows>
inline Eight eight_of_table(device const uchar* table, uint token, uint k, uint hidden) {
  return Rows::eight(table + token * Rows::row_bytes(hidden), k);
}

[[kernel, max_total_threads_per_threadgroup(EMBED_THREADS)]] void maspo_embed(
    constant MaspoEmbed& a [[buffer(0)]], uint3 group [[threadgroup_position_in_grid]],
    uint simd [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  uint row = group.x, token = a.tokens[row];
  for (uint k = (simd * SIMD + lane) * 8; k < a.hidden; k += EMBED_THREADS * 8) {
    Eight e = {};
    if (token < a.vocabulary) {
      if (a.format == MASPO_PACKED_Q8_0) {
        e = eight_of_table<Q8Rows>(a.table, token, k, a.hidden);
      } else if (a.format == MASPO_PACKED_Q4_K) {
        e = eight_of_table<Q4Rows>(a.table, token, k, a.hidden);
      } else {
        e = eight_of_table<Bf16Rows>(a.table, token, k, a.hidden);
      }
    }
    for (uint i = 0; i < 8; i++) {
      size_t at = size_t(row) * a.hidden + k + i;
      float scaled = e.scale * e.w[i], x = scaled - e.minimum;
      if (a.out_type == MASPO_F32) {
        reinterpret_cast<device float*>(a.out)[at] = x;
      } else {
        reinterpret_cast<device ushort*>(a.out)[at] = to_bf16(x);
      }
    }
  }
}
