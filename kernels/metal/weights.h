// Weights as GGUF has them: rows, each of whole blocks, so that packing is a copy. A format gives
// eight consecutive weights of a row at a time, as `scale * w[i] - minimum`, which is exact until a
// caller rounds it.
//
//   bf16   2 bytes a weight
//   Q8_0   34 bytes per 32: f16 scale, 32 signed bytes
//   Q4_K   144 per 256: f16 d, f16 d_min, twelve bytes of 6-bit scales and minima of the eight
//          parts of 32, then 128 bytes of half bytes, parts in pairs, the first in the lower halves
//
// A gated matrix has gate row i as row 2i and up row i as row 2i + 1: the outputs that are
// multiplied are side by side.
//
// Rows begin at multiples of their size from an address that is a multiple of 256: eight weights of
// bf16 and of Q4_K (and its factors) are one aligned load, Q8_0 has only even addresses.

#pragma once

#include "device.h"

struct Eight {
  float w[8];
  float scale, minimum;
};

struct Bf16Rows {
  static constexpr bool has_minimum() { return false; }
  static size_t row_bytes(uint inputs) { return size_t(inputs) * 2; }

  // Weights k..k+8 of a row, k a multiple of 8.
  static Eight eight(device const uchar* row, uint k) {
    uint4 words = load_whole<uint4>(row + size_t(k) * 2);
    Eight e;
    e.w[0] = low_bf16(words.x), e.w[1] = high_bf16(words.x), e.w[2] = low_bf16(words.y), e.w[3] = high_bf16(words.y);
    e.w[4] = low_bf16(words.z), e.w[5] = high_bf16(words.z), e.w[6] = low_bf16(words.w), e.w[7] = high_bf16(words.w);
    e.scale = 1, e.minimum = 0;
    return e;
  }
};

struct Q8Rows {
  static constexpr bool has_minimum() { return false; }
  static size_t row_bytes(uint inputs) { return size_t(ceil_div(inputs, 32)) * 34; }

  static Eight eight(device const uchar* row, uint k) {
    device const uchar* block = row + size_t(k / 32) * 34;
    Eight e;
    for (uint i = 0; i < 4; i++) {
      uint pair = load_whole<ushort>(block + 2 + k % 32 + 2 * i);
      e.w[2 * i] = float(int(pair << 24) >> 24);
      e.w[2 * i + 1] = float(int(pair << 16) >> 24);
    }
    e.scale = from_f16(load_whole<ushort>(block)), e.minimum = 0;
    return e;
  }
};

struct Q4Rows {
  static constexpr bool has_minimum() { return true; }
  static size_t row_bytes(uint inputs) { return size_t(ceil_div(inputs, 256)) * 144; }

  // Byte i of the twelve that hold the 6-bit numbers.
  static uint packed(uint4 head, uint i) { return (i < 4 ? head.y : i < 8 ? head.z : head.w) >> i % 4 * 8 & 255u; }

  static Eight eight(device const uchar* row, uint k) {
    device const uchar* block = row + size_t(k / 256) * 144;
    uint part = k % 256 / 32;
    uint4 head = load_whole<uint4>(block);
    uint scale, minimum;
    if (part < 4) {
      // Whole numbers in the lower bits.
      scale = packed(head, part) & 63u;
      minimum = packed(head, part + 4) & 63u;
    } else {
      // In two pieces.
      uint low = packed(head, part + 4);
      scale = (low & 15u) | packed(head, part - 4) >> 6 << 4;
      minimum = low >> 4 | packed(head, part) >> 6 << 4;
    }
    uint2 bytes = load_whole<uint2>(block + 16 + part / 2 * 32 + k % 32);
    uint shift = part % 2 * 4;
    Eight e;
    for (uint i = 0; i < 4; i++) {
      e.w[i] = float(bytes.x >> (8 * i + shift) & 15u);
      e.w[4 + i] = float(bytes.y >> (8 * i + shift) & 15u);
    }
    e.scale = from_f16(head.x & 0xffffu) * float(scale), e.minimum = from_f16(head.x >> 16) * float(minimum);
    return e;
  }
};
