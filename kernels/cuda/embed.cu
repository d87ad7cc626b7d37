// Token ids to rows of the embedding table: out [t, hidden]. The table may be the packed LM head,
// so that a tied table is kept once.
//
// Launch: one block of 128 threads a row; a thread does eight numbers at a time. Hidden: a multiple
// of 8. Not for speed: a step looks up at most as many rows as it has tokens.

#include "bricks.h"

namespace maspo {

struct Eight {
  float at[8];
};

// Inputs k..k+8 of a row, k a multiple of 8.
static __device__ Eight eight_of(const MaspoEmbed& a, unsigned row, unsigned k) {
  Eight out;
  unsigned tile = row / TILE, upper = row % TILE / 8, block = k / 32, t = k % 32 / 8, lane = row % 8 * 4 + t;
  const auto* table = static_cast<const unsigned char*>(a.table);
  auto brick = [&](unsigned width, unsigned bytes) {
    return table + (size_t(tile) * ceil_div(a.hidden, width) + k / width) * bytes;
  };
  auto of_bf16 = [&](const void* from) {
    uint4 words = *static_cast<const uint4*>(from);
    unsigned word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 4; i++) out.at[2 * i] = low_bf16(word[i]), out.at[2 * i + 1] = high_bf16(word[i]);
  };
  auto of_bytes = [&](const unsigned char* from, unsigned (*pair)(unsigned), float scale) {
    uint2 words = *reinterpret_cast<const uint2*>(from);
    unsigned pairs[4] = {pair(words.x), pair(words.x >> 8), pair(words.y), pair(words.y >> 8)};
#pragma unroll
    for (int i = 0; i < 4; i++)
      out.at[2 * i] = scale * low_bf16(pairs[i]), out.at[2 * i + 1] = scale * high_bf16(pairs[i]);
  };
  switch (a.format) {
    case MASPO_ROWS_BF16:
      of_bf16(static_cast<const uint16_t*>(a.table) + size_t(row) * a.hidden + k);
      break;
    case MASPO_PACKED_BF16:
      of_bf16(brick(Bf16Bricks::K, Bf16Bricks::BYTES) + block % 2 * 1024 + upper * 512 + lane * 16);
      break;
    case MASPO_PACKED_Q8_0: {
      const unsigned char* from = brick(Q8Bricks::K, Q8Bricks::BYTES);
      unsigned scale = reinterpret_cast<const uint16_t*>(from + Q8Bricks::SCALES)[row % TILE * 4 + block % 4];
      of_bytes(from + block % 4 * 512 + lane * 16 + upper * 8, q8_pair, f16_to_float(scale));
      break;
    }
    case MASPO_PACKED_F8:
      of_bytes(brick(F8Bricks::K, F8Bricks::BYTES) + block % 4 * 512 + lane * 16 + upper * 8, f8_pair,
               a.row_scales[row]);
      break;
    default: {
      const unsigned char* from = brick(Q4Bricks::K, Q4Bricks::BYTES);
      unsigned part = block % 8;
      Q4Factors factors = q4_factors(reinterpret_cast<const uint4*>(from + Q4Bricks::FACTORS)[row % TILE], part);
      unsigned word = reinterpret_cast<const unsigned*>(from + part / 2 * 512 + lane * 16)[upper * 2 + part % 2];
#pragma unroll
      for (int i = 0; i < 8; i++) {
        unsigned q = word >> (i / 2 * 4 + i % 2 * 16) & 15u;
        out.at[i] = __fadd_rn(__fmul_rn(factors.scale, float(q)), -factors.minimum);
      }
    }
  }
  return out;
}

static __global__ void embed_kernel(MaspoEmbed a) {
  unsigned row = blockIdx.x, token = a.tokens[row];
  bool known = token < a.vocabulary;
  for (unsigned k = threadIdx.x * 8; k < a.hidden; k += blockDim.x * 8) {
    Eight x = {};
    if (known) x = eight_of(a, token, k);
    size_t at = size_t(row) * a.hidden + k;
    if (a.out_type == MASPO_F32) {
      auto* out = reinterpret_cast<float4*>(static_cast<float*>(a.out) + at);
      out[0] = make_float4(x.at[0], x.at[1], x.at[2], x.at[3]);
      out[1] = make_float4(x.at[4], x.at[5], x.at[6], x.at[7]);
    } else {
      *reinterpret_cast<uint4*>(static_cast<uint16_t*>(a.out) + at) =
          make_uint4(pack_bf16(x.at[0], x.at[1]), pack_bf16(x.at[2], x.at[3]), pack_bf16(x.at[4], x.at[5]),
                     pack_bf16(x.at[6], x.at[7]));
    }
  }
}

}  // namespace maspo

extern "C" int maspo_cuda_embed(const MaspoEmbed* a, void* stream) {
  if (a->hidden == 0 || a->hidden % 8 != 0) return MASPO_BAD_SHAPE;
  if (a->format > MASPO_PACKED_F8 || a->out_type > MASPO_BF16) return MASPO_BAD_ENUM;
  if (a->rows == 0) return MASPO_OK;
  return maspo::launch(maspo::embed_kernel, dim3(a->rows), dim3(128), 0, stream, *a);
}
