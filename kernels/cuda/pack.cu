// Packing of weights on the host: bricks.h says into what. Plain C++; it runs once a model, on as
// many threads as the caller likes (parts of a matrix are packed apart), and its result may be kept
// on disk.

#include <string.h>

#include "bricks.h"

namespace maspo {

struct Sources {
  const uint8_t *first, *second;  // second: null, or up
  uint32_t rows, inputs;
  size_t row_bytes;

  // The row that packed row `row` (tile * 16 + row of the tile) comes from, or null for padding.
  const uint8_t* row(uint32_t packed) const {
    if (!second) return packed < rows ? first + packed * row_bytes : nullptr;
    uint32_t index = packed / TILE * 8 + packed % 8;
    if (index >= rows) return nullptr;
    return (packed % TILE < 8 ? first : second) + index * row_bytes;
  }
};

static float bf16_at(const uint8_t* row, uint32_t at) {
  uint32_t bits = uint32_t(row[2 * at]) << 16 | uint32_t(row[2 * at + 1]) << 24;
  float x;
  memcpy(&x, &bits, 4);
  return x;
}

// The nearest e4m3 number of |x| at most 448, of two equally near the even one.
static uint8_t to_e4m3(float x) {
  uint8_t sign = x < 0 ? 0x80 : 0;
  float size = x < 0 ? -x : x;
  // The codes below 0x7f ascend with their values.
  auto value = [](int code) {
    int exponent = code >> 3, fraction = code & 7;
    float v = exponent == 0 ? float(fraction) : float(8 + fraction) * float(1u << (exponent - 1));
    return v / 512.0f;
  };
  int low = 0, high = 0x7e;
  if (size >= value(high)) return sign | uint8_t(high);
  while (high - low > 1) {
    int middle = (low + high) / 2;
    (value(middle) <= size ? low : high) = middle;
  }
  float below = size - value(low), above = value(high) - size;
  int code = below < above || (below == above && low % 2 == 0) ? low : high;
  return sign | uint8_t(code);
}

// Byte i of a lane's eight comes from input ORDER[i] of its eight.
static const uint8_t ORDER[8] = {0, 2, 1, 3, 4, 6, 5, 7};

static void pack_bf16_brick(const Sources& from, uint32_t tile, uint32_t k, uint8_t* to) {
  for (uint32_t row = 0; row < TILE; row++) {
    const uint8_t* source = from.row(tile * TILE + row);
    for (uint32_t eight = 0; eight < Bf16Bricks::K / 8; eight++) {
      uint32_t input = k * Bf16Bricks::K + eight * 8;
      uint8_t* place = to + eight / 4 * 1024 + row / 8 * 512 + (row % 8 * 4 + eight % 4) * 16;
      for (uint32_t i = 0; i < 8; i++) {
        bool there = source && input + i < from.inputs;
        place[2 * i] = there ? source[2 * (input + i)] : 0;
        place[2 * i + 1] = there ? source[2 * (input + i) + 1] : 0;
      }
    }
  }
}

static void pack_q8_brick(const Sources& from, uint32_t tile, uint32_t k, uint8_t* to) {
  uint32_t blocks = ceil_div(from.inputs, 32u);
  for (uint32_t row = 0; row < TILE; row++) {
    const uint8_t* source = from.row(tile * TILE + row);
    for (uint32_t c = 0; c < 4; c++) {
      bool there = source && k * 4 + c < blocks;
      const uint8_t* block = there ? source + (k * 4 + c) * size_t(34) : nullptr;
      memset(to + Q8Bricks::SCALES + row * 8 + c * 2, 0, 2);
      if (there) memcpy(to + Q8Bricks::SCALES + row * 8 + c * 2, block, 2);
      for (uint32_t t = 0; t < 4; t++) {
        uint8_t* place = to + c * 512 + (row % 8 * 4 + t) * 16 + row / 8 * 8;
        for (uint32_t i = 0; i < 8; i++) place[i] = uint8_t((there ? block[2 + t * 8 + ORDER[i]] : 0) ^ 0x80);
      }
    }
  }
}

static void pack_f8_brick(const Sources& from, uint32_t tile, uint32_t k, uint8_t* to, const float* scales) {
  for (uint32_t row = 0; row < TILE; row++) {
    const uint8_t* source = from.row(tile * TILE + row);
    float scale = scales[tile * TILE + row];
    for (uint32_t eight = 0; eight < F8Bricks::K / 8; eight++) {
      uint8_t* place = to + eight / 4 * 512 + (row % 8 * 4 + eight % 4) * 16 + row / 8 * 8;
      for (uint32_t i = 0; i < 8; i++) {
        uint32_t input = k * F8Bricks::K + eight * 8 + ORDER[i];
        place[i] = source && input < from.inputs ? to_e4m3(bf16_at(source, input) / scale) : 0;
      }
    }
  }
}

static void pack_q4_brick(const Sources& from, uint32_t tile, uint32_t k, uint8_t* to) {
  for (uint32_t row = 0; row < TILE; row++) {
    const uint8_t* source = from.row(tile * TILE + row);
    uint8_t zeros[144] = {};
    const uint8_t* block = source ? source + size_t(k) * 144 : zeros;
    memcpy(to + Q4Bricks::FACTORS + row * 16, block, 16);
    // GGUF: parts come in pairs of 32 bytes, the first part in their lower halves.
    auto weight = [&](uint32_t part, uint32_t i) -> uint32_t {
      return block[16 + part / 2 * 32 + i] >> part % 2 * 4 & 15;
    };
    for (uint32_t part = 0; part < 8; part++) {
      for (uint32_t t = 0; t < 4; t++) {
        uint32_t word = 0;
        for (uint32_t i = 0; i < 8; i++) word |= weight(part, t * 8 + i) << (i / 2 * 4 + i % 2 * 16);
        uint8_t* place = to + part / 2 * 512 + (row % 8 * 4 + t) * 16 + (row / 8 * 2 + part % 2) * 4;
        for (uint32_t i = 0; i < 4; i++) place[i] = uint8_t(word >> 8 * i);
      }
    }
  }
}

}  // namespace maspo

using namespace maspo;

extern "C" size_t maspo_cuda_packed_bytes(uint32_t format, uint32_t inputs, uint32_t outputs) {
  size_t tiles = ceil_div(outputs, TILE);
  switch (format) {
    case MASPO_PACKED_BF16: return tiles * ceil_div(inputs, Bf16Bricks::K) * Bf16Bricks::BYTES;
    case MASPO_PACKED_Q8_0: return tiles * ceil_div(inputs, Q8Bricks::K) * Q8Bricks::BYTES;
    case MASPO_PACKED_Q4_K: return tiles * ceil_div(inputs, Q4Bricks::K) * Q4Bricks::BYTES;
    case MASPO_PACKED_F8: return tiles * ceil_div(inputs, F8Bricks::K) * F8Bricks::BYTES;
    default: return 0;
  }
}

extern "C" int maspo_cuda_pack(uint32_t format, const void* source, const void* up, uint32_t rows, uint32_t inputs,
                               void* out, float* row_scales) {
  if (rows == 0 || inputs == 0) return MASPO_BAD_SHAPE;
  if (format == MASPO_ROWS_BF16 || format > MASPO_PACKED_F8) return MASPO_BAD_ENUM;
  Sources from{static_cast<const uint8_t*>(source), static_cast<const uint8_t*>(up), rows, inputs, size_t(inputs) * 2};
  if (format == MASPO_PACKED_Q8_0) from.row_bytes = ceil_div(inputs, 32u) * size_t(34);
  if (format == MASPO_PACKED_Q4_K) from.row_bytes = ceil_div(inputs, 256u) * size_t(144);
  uint32_t tiles = ceil_div(up ? 2 * rows : rows, TILE);
  // Eight rows of each of two: the last tile of a gated matrix may be half padding.
  if (up) tiles = ceil_div(rows, 8u);
  auto* to = static_cast<uint8_t*>(out);
  for (uint32_t tile = 0; tile < tiles; tile++) {
    if (format == MASPO_PACKED_F8) {
      if (!row_scales) return MASPO_BAD_SHAPE;
      for (uint32_t row = 0; row < TILE; row++) {
        const uint8_t* numbers = from.row(tile * TILE + row);
        float largest = 0;
        for (uint32_t i = 0; numbers && i < inputs; i++) {
          float x = bf16_at(numbers, i);
          if (x < 0) x = -x;
          if (x > largest) largest = x;
        }
        row_scales[tile * TILE + row] = largest > 0 ? largest / 448.0f : 1.0f;
      }
    }
    uint32_t inputs_of_brick = format == MASPO_PACKED_BF16   ? Bf16Bricks::K
                               : format == MASPO_PACKED_Q4_K ? Q4Bricks::K
                                                             : Q8Bricks::K;
    for (uint32_t k = 0; k < ceil_div(inputs, inputs_of_brick); k++) {
      switch (format) {
        case MASPO_PACKED_BF16: pack_bf16_brick(from, tile, k, to), to += Bf16Bricks::BYTES; break;
        case MASPO_PACKED_Q8_0: pack_q8_brick(from, tile, k, to), to += Q8Bricks::BYTES; break;
        case MASPO_PACKED_Q4_K: pack_q4_brick(from, tile, k, to), to += Q4Bricks::BYTES; break;
        default: pack_f8_brick(from, tile, k, to, row_scales), to += F8Bricks::BYTES;
      }
    }
  }
  return MASPO_OK;
}
