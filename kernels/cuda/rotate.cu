// What happens between the QKV product and attention: RMSNorm of every query and key head (unless
// `q_norm` and `k_norm` are null), rotation by position (the first half of a head with the second,
// as Hugging Face does it), queries to `q`, keys and values to their slots of the paged cache.
//
// Keys and values lie [block, n_kv, block_tokens, d] in bf16, both: a key is 2d consecutive bytes,
// and the 16 keys of a tile of attention are one piece of memory. (The CPU keeps keys transposed;
// tensor cores take them as they are.)
//
// Launch: a warp per row and head, eight warps a block. A lane holds the numbers 2i, 2i + 1 of both
// halves (d = 128) or the number i (d = 64), so rotation needs no exchange. A row with
// MASPO_NO_SLOT stores no key and no value.

#include "device.h"

namespace maspo {

constexpr unsigned ROTATE_WARPS = 8;

template <unsigned D>
static __global__ void __launch_bounds__(ROTATE_WARPS* WARP) rotate_kernel(MaspoRotate a) {
  constexpr unsigned EACH = D / 64;  // numbers of a half that a lane holds
  unsigned lane = threadIdx.x % WARP, row = blockIdx.x, head = blockIdx.y * ROTATE_WARPS + threadIdx.x / WARP;
  unsigned heads = a.n_q + 2 * a.n_kv;
  if (head >= heads) return;
  float first[EACH], second[EACH];
  size_t from = (size_t(row) * heads + head) * D + lane * EACH;
#pragma unroll
  for (unsigned i = 0; i < EACH; i++) {
    if (a.qkv_type == MASPO_F32) {
      first[i] = static_cast<const float*>(a.qkv)[from + i];
      second[i] = static_cast<const float*>(a.qkv)[from + D / 2 + i];
    } else {
      first[i] = bf16_to_float(static_cast<const uint16_t*>(a.qkv)[from + i]);
      second[i] = bf16_to_float(static_cast<const uint16_t*>(a.qkv)[from + D / 2 + i]);
    }
  }
  if (head < a.n_q + a.n_kv) {
    const float* weight = head < a.n_q ? a.q_norm : a.k_norm;
    if (weight != nullptr) {
      float sum = 0;
#pragma unroll
      for (unsigned i = 0; i < EACH; i++) sum = fmaf(first[i], first[i], sum), sum = fmaf(second[i], second[i], sum);
      sum = warp_sum(sum);
      float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(sum, float(D)), a.eps)));
      weight += lane * EACH;
#pragma unroll
      for (unsigned i = 0; i < EACH; i++) {
        first[i] = first[i] * factor * weight[i];
        second[i] = second[i] * factor * weight[D / 2 + i];
      }
    }
    size_t angle = size_t(a.positions[row]) * (D / 2) + lane * EACH;
#pragma unroll
    for (unsigned i = 0; i < EACH; i++) {
      float x = first[i], y = second[i];
      float cos = a.cos[angle + i], sin = a.sin[angle + i];
      first[i] = fmaf(x, cos, -__fmul_rn(y, sin));
      second[i] = fmaf(y, cos, __fmul_rn(x, sin));
    }
  }
  uint16_t* to;
  if (head < a.n_q) {
    to = a.q + (size_t(row) * a.n_q + head) * D;
  } else {
    unsigned slot = a.slots[row];
    if (slot == MASPO_NO_SLOT) return;
    unsigned kv_head = (head - a.n_q) % a.n_kv;
    size_t place = (size_t(slot / a.block_tokens) * a.n_kv + kv_head) * a.block_tokens + slot % a.block_tokens;
    to = (head < a.n_q + a.n_kv ? a.keys : a.values) + place * D;
  }
  to += lane * EACH;
  if (EACH == 2) {
    *reinterpret_cast<unsigned*>(to) = pack_bf16(first[0], first[EACH - 1]);
    *reinterpret_cast<unsigned*>(to + D / 2) = pack_bf16(second[0], second[EACH - 1]);
  } else {
    unsigned both = pack_bf16(first[0], second[0]);
    to[0] = uint16_t(both), to[D / 2] = uint16_t(both >> 16);
  }
}

}  // namespace maspo

extern "C" int maspo_cuda_rotate(const MaspoRotate* a, void* stream) {
  using namespace maspo;
  if ((a->d != 64 && a->d != 128) || a->n_q == 0 || a->n_kv == 0 || a->block_tokens == 0) return MASPO_BAD_SHAPE;
  if (a->qkv_type > MASPO_BF16) return MASPO_BAD_ENUM;
  if (a->rows == 0) return MASPO_OK;
  dim3 blocks(a->rows, ceil_div(a->n_q + 2 * a->n_kv, ROTATE_WARPS));
  return launch(a->d == 128 ? rotate_kernel<128> : rotate_kernel<64>, blocks, dim3(ROTATE_WARPS * WARP), 0, stream, *a);
}
