// What the kernels are given: the structs of kernels/cuda/maspo_cuda.h, field by field, so that one
// list of launches is good for both. What a field means is written there. Pointers are addresses of
// the GPU (MTLBuffer.gpuAddress), the struct is buffer 0 of a kernel.
//
// What differs: weights are rows as GGUF has them (weights.h), so MASPO_ROWS_BF16 and
// MASPO_PACKED_BF16 are one here, and there is no F8. `workspace`, `counters`, `row_scales`,
// `splits`, `spread` and `shared_limit` are not read.

#pragma once

enum MaspoType : uint { MASPO_F32 = 0, MASPO_BF16 = 1 };
enum MaspoFormat : uint { MASPO_ROWS_BF16 = 0, MASPO_PACKED_BF16 = 1, MASPO_PACKED_Q8_0 = 2, MASPO_PACKED_Q4_K = 3 };
enum MaspoEpilogue : uint { MASPO_STORE_F32 = 0, MASPO_STORE_BF16 = 1, MASPO_ADD_F32 = 2, MASPO_GATED = 3 };

// A slot that nothing is stored in.
constant constexpr uint MASPO_NO_SLOT = 0xffffffffu;

struct MaspoEmbed {
  device const uchar* table;
  device const float* row_scales;
  device const uint* tokens;
  device uchar* out;
  uint rows, hidden, vocabulary;
  uint format;
  uint out_type;
};

struct MaspoAddNorm {
  device float* x;
  device const uchar* addend;
  device const float* weight;
  device ushort* out;
  device const uint* pick;
  uint rows, n;
  uint addend_type;
  float eps;
};

struct MaspoRotate {
  device const uchar* qkv;
  device const float* q_norm;
  device const float* k_norm;
  device const float* cos;
  device const float* sin;
  device const uint* positions;
  device const uint* slots;
  device ushort* q;
  device ushort* keys;
  device ushort* values;
  uint rows, n_q, n_kv, d;
  uint block_tokens;
  uint qkv_type;
  float eps;
};

struct MaspoDecodeAttention {
  device const ushort* q;
  device const ushort* keys;
  device const ushort* values;
  device const uint* lengths;
  device const uint* table_starts;
  device const uint* tables;
  device ushort* out;
  device uchar* workspace;
  device uint* counters;
  uint rows, n_q, n_kv, d;
  uint block_tokens;
  uint max_length;
  uint spread;
};

struct MaspoTile {
  uint first_row, tokens;
  uint position;
  uint table_start;
};

struct MaspoPrefillAttention {
  device const ushort* q;
  device const ushort* keys;
  device const ushort* values;
  device const MaspoTile* tiles;
  device const uint* tables;
  device ushort* out;
  uint tile_count, n_q, n_kv, d;
  uint block_tokens;
};

struct MaspoArgmax {
  device const float* logits;
  device uint* tokens;
  device float* largest;
  device uchar* workspace;
  device uint* counters;
  uint rows, vocabulary;
};

// The column of what is not there.
constant constexpr uint MASPO_NO_COLUMN = 0xffffffffu;

struct MaspoScores {
  device const float* logits;
  device const uint* rows;
  device const uint* pick_ends;
  device const uint* picks;
  device float* sums;
  device float* picked;
  device uint* top_columns;
  device float* top_logits;
  device uchar* workspace;
  device uint* counters;
  uint asked, top;
  uint vocabulary;
};

struct MaspoLinear {
  device const ushort* x;
  device const uchar* weights;
  device const float* row_scales;
  device const float* bias;
  device uchar* y;
  device uchar* workspace;
  device uint* counters;
  uint rows, inputs, outputs;
  uint x_stride;
  uint y_stride;
  uint format;
  uint epilogue;
  uint splits;
  uint shared_limit;
};

static_assert(sizeof(MaspoEmbed) == 56, "the size of the caller's struct");
static_assert(sizeof(MaspoAddNorm) == 56, "the size of the caller's struct");
static_assert(sizeof(MaspoRotate) == 112, "the size of the caller's struct");
static_assert(sizeof(MaspoDecodeAttention) == 104, "the size of the caller's struct");
static_assert(sizeof(MaspoTile) == 16, "the size of the caller's struct");
static_assert(sizeof(MaspoPrefillAttention) == 72, "the size of the caller's struct");
static_assert(sizeof(MaspoArgmax) == 48, "the size of the caller's struct");
static_assert(sizeof(MaspoScores) == 96, "the size of the caller's struct");
static_assert(sizeof(MaspoLinear) == 96, "the size of the caller's struct");
