// y [t, outputs] = x [t, inputs] W^T (+ bias) for few rows (decoding), x in bf16, W in rows as
// weights.h has them. More than eight rows are several passes over the weights: right for prefill,
// but not fast.
//
// A threadgroup has 32 outputs and up to eight rows of x: eight simdgroups with four outputs each.
// 256 inputs of the rows of x are staged in threadgroup memory as f32, then a lane has eight
// consecutive inputs of them: it reads the weights of its four outputs once and uses them for all
// rows of x. A lane's sums are over its own inputs in ascending order; the lanes' sums are added at
// the end.
//
// Every eight weights are summed up by themselves and then scaled, so Q8_0 and Q4_K are multiplied
// as the small integers that they are. The result of a row does not depend on the others or on how
// many there are: its sums are its own, and their order is that of the inputs.
//
// Launch: [rows / ROWS, outputs / 32] threadgroups of 256 threads, so that those of the same
// weights run together. inputs, x_stride: multiples of 8. Threadgroup memory: ROWS KB.

#include "weights.h"

constant constexpr uint LINEAR_SIMDS = 8, LINEAR_OUTPUTS = 4, LINEAR_INPUTS = 256;

// Stages inputs k..k+256 of the rows of x; zeros where there are none.
template <uint ROWS>
inline void stage_x(constant MaspoLinear& a, threadgroup float* staged, uint first_row, uint k, uint index) {
  for (uint at = index * 8; at < ROWS * LINEAR_INPUTS; at += LINEAR_SIMDS * SIMD * 8) {
    uint row = first_row + at / LINEAR_INPUTS, input = k + at % LINEAR_INPUTS;
    uint4 words = uint4(0, 0, 0, 0);
    if (row < a.rows && input < a.inputs) words = load_whole<uint4>(a.x + size_t(row) * a.x_stride + input);
    staged[at] = low_bf16(words.x), staged[at + 1] = high_bf16(words.x);
    staged[at + 2] = low_bf16(words.y), staged[at + 3] = high_bf16(words.y);
    staged[at + 4] = low_bf16(words.z), staged[at + 5] = high_bf16(words.z);
    staged[at + 6] = low_bf16(words.w), staged[at + 7] = high_bf16(words.w);
  }
}

inline void store_product(constant MaspoLinear& a, uint row, uint output, float value) {
  if (a.bias) value += a.bias[output];
  size_t at = size_t(row) * a.y_stride + output;
  if (a.epilogue == MASPO_STORE_BF16) {
    reinterpret_cast<device ushort*>(a.y)[at] = to_bf16(value);
  } else if (a.epilogue == MASPO_ADD_F32) {
    reinterpret_cast<device float*>(a.y)[at] += value;
  } else {
    reinterpret_cast<device float*>(a.y)[at] = value;
  }
}

template <typename Rows, uint ROWS>
inline void linear_rows(constant MaspoLinear& a, threadgroup float* staged, uint3 group, uint simd, uint lane) {
  uint first_output = (group.y * LINEAR_SIMDS + simd) * LINEAR_OUTPUTS, first_row = group.x * ROWS;
  size_t row_bytes = Rows::row_bytes(a.inputs);
  float sum[LINEAR_OUTPUTS][ROWS];
  for (uint r = 0; r < LINEAR_OUTPUTS; r++) {
    for (uint t = 0; t < ROWS; t++) sum[r][t] = 0;
  }
  for (uint k = 0; k < a.inputs; k += LINEAR_INPUTS) {
    stage_x<ROWS>(a, staged, first_row, k, simd * SIMD + lane);
    WAIT_FOR_ALL();
    if (k + lane * 8 < a.inputs) {
      Eight e[LINEAR_OUTPUTS];
      for (uint r = 0; r < LINEAR_OUTPUTS; r++) {
        e[r] = {};
        if (first_output + r < a.outputs) e[r] = Rows::eight(a.weights + (first_output + r) * row_bytes, k + lane * 8);
      }
      for (uint t = 0; t < ROWS; t++) {
        float x[8], whole = 0;
        for (uint i = 0; i < 8; i++) x[i] = staged[t * LINEAR_INPUTS + lane * 8 + i], whole += x[i];
        for (uint r = 0; r < LINEAR_OUTPUTS; r++) {
          float part = 0;
          for (uint i = 0; i < 8; i++) part = fma(e[r].w[i], x[i], part);
          sum[r][t] = fma(e[r].scale, part, sum[r][t]);
          if (Rows::has_minimum()) sum[r][t] = fma(-e[r].minimum, whole, sum[r][t]);
        }
      }
    }
    // The next inputs go where these were.
    WAIT_FOR_ALL();
  }

  // Lane r * ROWS + t stores output r of row t; of a gated matrix the lane of gate r has up r + 1,
  // too.
  float mine = 0, up = 0;
  for (uint r = 0; r < LINEAR_OUTPUTS; r++) {
    for (uint t = 0; t < ROWS; t++) {
      float total = simd_sum(sum[r][t]);
      if (lane == r * ROWS + t) mine = total;
      if (r > 0 && lane == (r - 1) * ROWS + t) up = total;
    }
  }
  uint row = first_row + lane % ROWS, output = first_output + lane / ROWS;
  if (lane >= LINEAR_OUTPUTS * ROWS || row >= a.rows || output >= a.outputs) return;
  if (a.epilogue != MASPO_GATED) {
    store_product(a, row, output, mine);
  } else if (output % 2 == 0) {
    reinterpret_cast<device ushort*>(a.y)[size_t(row) * a.y_stride + output / 2] = to_bf16(silu(mine) * up);
  }
}

#define MASPO_LINEAR(NAME, WEIGHTS, ROWS)                                                                              \
  [[kernel, max_total_threads_per_threadgroup(LINEAR_SIMDS * SIMD)]] void NAME(                                        \
      constant MaspoLinear& a [[buffer(0)]], threadgroup float* staged MASPO_SHARED,                                   \
      uint3 group [[threadgroup_position_in_grid]],                                                                    \
      uint simd [[simdgroup_index_in_threadgroup]], uint lane [[thread_index_in_simdgroup]]) {                         \
    linear_rows<WEIGHTS, ROWS>(a, staged, group, simd, lane);                                                          \
  }

MASPO_LINEAR(maspo_linear_bf16_1, Bf16Rows, 1)
MASPO_LINEAR(maspo_linear_bf16_2, Bf16Rows, 2)
MASPO_LINEAR(maspo_linear_bf16_4, Bf16Rows, 4)
MASPO_LINEAR(maspo_linear_bf16_8, Bf16Rows, 8)
MASPO_LINEAR(maspo_linear_q8_0_1, Q8Rows, 1)
MASPO_LINEAR(maspo_linear_q8_0_2, Q8Rows, 2)
MASPO_LINEAR(maspo_linear_q8_0_4, Q8Rows, 4)
MASPO_LINEAR(maspo_linear_q8_0_8, Q8Rows, 8)
MASPO_LINEAR(maspo_linear_q4_k_1, Q4Rows, 1)
MASPO_LINEAR(maspo_linear_q4_k_2, Q4Rows, 2)
MASPO_LINEAR(maspo_linear_q4_k_4, Q4Rows, 4)
MASPO_LINEAR(maspo_linear_q4_k_8, Q4Rows, 8)
