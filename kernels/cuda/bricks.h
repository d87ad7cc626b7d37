// How weights are packed for the device, and how a lane takes them apart. Used by linear.cu,
// embed.cu and pack.cu.
//
// A matrix [outputs, inputs] is cut into bricks of 16 outputs by K inputs, both padded with zeros:
// [outputs / 16, inputs / K, brick bytes]. So a warp that goes along the inputs reads one stream of
// consecutive bytes. Inside a brick the weights lie as the lanes of mma.sync want them: with g =
// lane / 4, t = lane % 4, the lane holds of every 32 inputs the eight inputs 8t..8t+7 of rows g and
// g + 8. (The tensor core only needs the same order of inputs in x and in the weights, which is why
// eight consecutive inputs may stand in for its 2t, 2t + 1, 2t + 8, 2t + 9.) Every lane reads 16
// bytes at a time, a warp 512.
//
//   format  K    brick  what a lane's 16 bytes are (c counts 32 inputs, or 64 for Q4_K), and what
//                       follows the weights
//   bf16    64   2048   [c 0..2][row g | row g + 8][lane]: 8 numbers
//   Q8_0    128  2176   [c 0..4][lane]: 8 bytes of row g, 8 of row g + 8; then f16 scales
//                       [row 16][c 4]
//   F8      128  2048   the same without scales; one f32 a row lies apart
//   Q4_K    256  2304   [c 0..4][lane]: four words of 8 weights: row g at inputs 64c + 8t and at
//                       64c + 32 + 8t, then row g + 8 the same; then GGUF's own 16 bytes of factors
//                       [row 16] (f16 d, f16 d_min, twelve bytes of 6-bit numbers)
//
// Bytes of Q8_0 are kept plus 128, and in the order 0 2 1 3, so that a mask gives the pair (0, 1)
// as two 16-bit numbers and a shift before it the pair (2, 3). The half bytes of a Q4_K word are in
// the order 0 2 4 6 1 3 5 7 for the same reason. No format takes more room than in GGUF, padding
// aside, and none loses a bit (F8 is made here, from bf16).
//
// A gated matrix (gate and up) has gate row 8i + g as row g of tile i and up row 8i + g as row g +
// 8: a lane then has both.

#pragma once

#include "device.h"

namespace maspo {

constexpr unsigned TILE = 16;

// The bf16 numbers 128 + q for q below 128: the exponent of 128, and q as the fraction.
constexpr unsigned MAGIC = 0x43004300u;
constexpr unsigned ONES = 0x3f803f80u;
// 2^120: e4m3's exponent is 7 too large by its own measure and 127 too large by bf16's.
constexpr unsigned E4M3_FACTOR = 0x7b807b80u;

// Two weights of Q8_0 in bytes 0 and 2 of `word`, as bf16. A byte is q + 128. The seven lower bits
// as a fraction give 128 + (q + 128) % 128; what is to be subtracted is 128 where the upper bit is
// set and 256 where it is not. Both are exact in bf16.
__device__ __forceinline__ unsigned q8_pair(unsigned word) {
  unsigned upper = and_or(word, 0x007f007fu, MAGIC);
  // minus 128 (0xc300) or minus 256 (0xc380).
  unsigned minus = and_or(~word, 0x00800080u, 0xc300c300u);
  return fma_bf16x2(upper, ONES, minus);
}

// Two weights of e4m3 in bytes 0 and 2, as bf16: exact, subnormal ones included.
__device__ __forceinline__ unsigned f8_pair(unsigned word) {
  unsigned bits = and_or(word << 8, 0x80008000u, (word & 0x007f007fu) << 4);
  return fma_bf16x2(bits, E4M3_FACTOR, 0x80008000u);
}

// Scale and minimum of part 0..8 of a superblock, from its 16 bytes of factors: the first four
// parts have their 6-bit numbers whole, the others in two pieces.
struct Q4Factors {
  float scale, minimum;
};
__device__ __forceinline__ Q4Factors q4_factors(uint4 head, unsigned part) {
  auto byte = [&](unsigned i) {
    unsigned word = i < 4 ? head.y : i < 8 ? head.z : head.w;
    return word >> i % 4 * 8 & 255u;
  };
  unsigned scale, minimum;
  if (part < 4) {
    scale = byte(part) & 63u;
    minimum = byte(part + 4) & 63u;
  } else {
    unsigned low = byte(part + 4);
    scale = (low & 15u) | byte(part - 4) >> 6 << 4;
    minimum = low >> 4 | byte(part) >> 6 << 4;
  }
  return {f16_to_float(head.x & 0xffffu) * float(scale), f16_to_float(head.x >> 16) * float(minimum)};
}

// What the bricks of a format have in common. `fragments` gives the two A operands (16 inputs each)
// of 32 inputs.
struct Bf16Bricks {
  static constexpr unsigned K = 64, BYTES = 2048;
  static __device__ __forceinline__ void fragments(const unsigned char* brick, unsigned c, unsigned lane,
                                                   unsigned (&a)[2][4]) {
    uint4 upper = *reinterpret_cast<const uint4*>(brick + c * 1024 + lane * 16);
    uint4 lower = *reinterpret_cast<const uint4*>(brick + c * 1024 + 512 + lane * 16);
    a[0][0] = upper.x, a[0][1] = lower.x, a[0][2] = upper.y, a[0][3] = lower.y;
    a[1][0] = upper.z, a[1][1] = lower.z, a[1][2] = upper.w, a[1][3] = lower.w;
  }
};

template <unsigned (*pair)(unsigned)>
__device__ __forceinline__ void byte_fragments(const unsigned char* brick, unsigned c, unsigned lane,
                                               unsigned (&a)[2][4]) {
  uint4 words = *reinterpret_cast<const uint4*>(brick + c * 512 + lane * 16);
  a[0][0] = pair(words.x), a[0][2] = pair(words.x >> 8), a[1][0] = pair(words.y), a[1][2] = pair(words.y >> 8);
  a[0][1] = pair(words.z), a[0][3] = pair(words.z >> 8), a[1][1] = pair(words.w), a[1][3] = pair(words.w >> 8);
}

struct Q8Bricks {
  static constexpr unsigned K = 128, BYTES = 2176, SCALES = 2048;
  static __device__ __forceinline__ void fragments(const unsigned char* brick, unsigned c, unsigned lane,
                                                   unsigned (&a)[2][4]) {
    byte_fragments<q8_pair>(brick, c, lane, a);
  }
};

struct F8Bricks {
  static constexpr unsigned K = 128, BYTES = 2048;
  static __device__ __forceinline__ void fragments(const unsigned char* brick, unsigned c, unsigned lane,
                                                   unsigned (&a)[2][4]) {
    byte_fragments<f8_pair>(brick, c, lane, a);
  }
};

struct Q4Bricks {
  static constexpr unsigned K = 256, BYTES = 2304, FACTORS = 2048;
  // The weights plus 128, which costs nothing to make; linear.cu takes 128 times the sum of x off
  // again.
  static __device__ __forceinline__ void fragments(const unsigned char* brick, unsigned c, unsigned lane,
                                                   unsigned (&a)[2][4]) {
    // All 16 bytes of the lane, of which this c takes half: lanes that read four bytes each at this
    // distance would meet in the same banks, four at a time.
    uint4 words = *reinterpret_cast<const uint4*>(brick + c / 2 * 512 + lane * 16);
    unsigned upper = c % 2 ? words.y : words.x, lower = c % 2 ? words.w : words.z;
    a[0][0] = and_or(upper, 0x000f000fu, MAGIC), a[0][1] = and_or(lower, 0x000f000fu, MAGIC);
    a[0][2] = and_or(upper >> 4, 0x000f000fu, MAGIC), a[0][3] = and_or(lower >> 4, 0x000f000fu, MAGIC);
    a[1][0] = and_or(upper >> 8, 0x000f000fu, MAGIC), a[1][1] = and_or(lower >> 8, 0x000f000fu, MAGIC);
    a[1][2] = and_or(upper >> 12, 0x000f000fu, MAGIC), a[1][3] = and_or(lower >> 12, 0x000f000fu, MAGIC);
  }
};

}  // namespace maspo
