// What happens between the QKV product and attention: RMSNorm of every query and key head (unless
// `q_norm` and `k_norm` are null), rotation by position (the first half of a head with the second,
// as Hugging Face does it), queries to `q`, keys and values to their slots of the paged cache (bf16
// [block, n_kv, block_tokens, d] both).
//
// Launch: [rows, heads / 8] threadgroups of 256 threads, a simdgroup per row and head. A lane holds
// the numbers lane + 32 i of both halves, so rotation needs no exchange. A row with MASPO_NO_SLOT
// stores no key and no value. d: 64 or 128.

#include "device.h"

constant constexpr uint ROTATE_SIMDS = 8;

template <uint D>
inline void rotate_head(constant MaspoRotate& a, uint row, uint head, uint lane) {
  constexpr uint EACH = D / 64;
  float first[EACH], second[EACH];
  size_t from = (size_t(row) * (a.n_q + 2 * a.n_kv) + head) * D + lane;
  for (uint i = 0; i < EACH; i++) {
    first[i] = activation(a.qkv, a.qkv_type, from + i * SIMD);
    second[i] = activation(a.qkv, a.qkv_type, from + D / 2 + i * SIMD);
  }
  bool is_query = head < a.n_q, is_value = head >= a.n_q + a.n_kv;
  if (!is_value) {
    device const float* weight = is_query ? a.q_norm : a.k_norm;
    if (weight) {
      float sum = 0;
      for (uint i = 0; i < EACH; i++) sum = fma(first[i], first[i], sum), sum = fma(second[i], second[i], sum);
      float factor = 1.0f / precise::sqrt(simd_sum(sum) / float(D) + a.eps);
      for (uint i = 0; i < EACH; i++) {
        first[i] = first[i] * factor * weight[i * SIMD + lane];
        second[i] = second[i] * factor * weight[D / 2 + i * SIMD + lane];
      }
    }
    size_t angle = size_t(a.positions[row]) * (D / 2);
    for (uint i = 0; i < EACH; i++) {
      uint at = i * SIMD + lane;
      float x = first[i], y = second[i];
      float cos = a.cos[angle + at], sin = a.sin[angle + at];
      float turned_back = y * sin, turned = x * sin;
      first[i] = fma(x, cos, -turned_back);
      second[i] = fma(y, cos, turned);
    }
  }
  device ushort* to;
  if (is_query) {
    to = a.q + (size_t(row) * a.n_q + head) * D;
  } else {
    uint slot = a.slots[row];
    if (slot == MASPO_NO_SLOT) return;
    uint kv_head = (head - a.n_q) % a.n_kv;
    size_t place = (size_t(slot / a.block_tokens) * a.n_kv + kv_head) * a.block_tokens + slot % a.block_tokens;
    to = (is_value ? a.values : a.keys) + place * D;
  }
  for (uint i = 0; i < EACH; i++) {
    to[i * SIMD + lane] = to_bf16(first[i]);
    to[D / 2 + i * SIMD + lane] = to_bf16(second[i]);
  }
}

[[kernel, max_total_threads_per_threadgroup(ROTATE_SIMDS * SIMD)]] void maspo_rotate(
    constant MaspoRotate& a [[buffer(0)]], uint3 group [[threadgroup_position_in_grid]],
    uint simd [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {
  uint head = group.y * ROTATE_SIMDS + simd;
  if (head >= a.n_q + 2 * a.n_kv) return;
  if (a.d == 128) {
    rotate_head<128>(a, group.x, head, lane);
  } else {
    rotate_head<64>(a, group.x, head, lane);
  }
}
