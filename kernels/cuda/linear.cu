// y [t, outputs] = x [t, inputs] W^T (+ bias) for few rows (decoding: 1 to 80; more go in several
// passes over the weights), x in bf16, W packed as bricks.h says. Made for reading the weights once
// and at the speed of the memory.
//
// The tensor core's A operand is the weights (16 outputs), its B operand x (8 rows): few rows waste
// nothing. A block of four warps has 128 outputs, all rows, and a part (a split) of the inputs; a
// warp has two tiles of 16 outputs. Weights and x come to shared memory by asynchronous copies,
// STAGES bricks deep: a warp copies the bricks that only itself reads (consecutive 512 bytes at a
// time), x is copied for all in the order [32 inputs][row][t], in which both the copies and the
// reads of B fragments are free of bank conflicts.
//
// Q8_0 and Q4_K: 32 inputs have one scale, so 32 inputs are summed up by the tensor core from zero,
// with weights that are exact small integers, and the f32 sum is scaled. Nothing of a weight is
// rounded. Q4_K's weights carry 128 too much (bricks.h) and have a minimum: both are taken off with
// the sum of x over the 32 inputs, which one more A operand, all ones, gives.
//
// The result of a row does not depend on the other rows or on how many there are: a row is a column
// of B and D, the order of the inputs is fixed by the matrix and by `splits`, and the parts are
// added in the order of splits by the block that ends last.
//
// Launch: [rows / (8 RT), outputs / 128, splits] blocks of 128 threads, RT = 1, 2, 3, 5 or 10 tiles
// of 8 rows. Blocks start in the order of x, so the row tiles that read the same weights run
// together: with many rows (prefill) the weights come from memory once and from the L2 after that.
// Shared memory: 68 to 97 KB, with RT = 10 up to 124; where the device has less than that, it is
// two passes of RT = 5.

#include "bricks.h"

namespace maspo {

constexpr unsigned LINEAR_WARPS = 4, WARP_TILES = 2, BLOCK_TILES = LINEAR_WARPS * WARP_TILES,
                   LINEAR_THREADS = LINEAR_WARPS * WARP;

// Loads of 16 bytes that a thread of the last block has under way while it adds the splits.
constexpr unsigned LOADS_UNDER_WAY = 16;

template <typename Bricks, unsigned RT>
struct LinearShape {
  static constexpr unsigned ROWS = 8 * RT;
  // Fewer where bricks are wide, so that all but RT = 10 fit 99 KiB, which is what devices of 8.6,
  // 8.9 and 12.0 give a block.
  static constexpr unsigned STAGES = Bricks::K == 256 ? (RT == 1 ? 4 : RT == 2 ? 3 : 2) : RT <= 3 ? 4 : RT <= 5 ? 3 : 2;
  static constexpr unsigned X_BYTES = ROWS * Bricks::K * 2;
  static constexpr unsigned STAGE_BYTES = X_BYTES + BLOCK_TILES * Bricks::BYTES;
  // Scales and minima of a warp's two bricks, made once a brick.
  static constexpr unsigned FACTOR_BYTES = Bricks::K == 256 ? WARP_TILES * 8 * TILE * 8 : 0;
  static constexpr unsigned SHARED_BYTES = STAGES * STAGE_BYTES + LINEAR_WARPS * FACTOR_BYTES + 16;
  static_assert(RT == 10 || SHARED_BYTES <= 99 * 1024, "a block of the smallest devices has room");
};

template <typename A, typename B>
struct Same {
  static constexpr bool is = false;
};
template <typename A>
struct Same<A, A> {
  static constexpr bool is = true;
};

template <typename Bricks, unsigned RT>
struct LinearBlock {
  using Shape = LinearShape<Bricks, RT>;
  const MaspoLinear& a;
  unsigned char* stages;
  float2* factors;  // of this warp: [tile][part 8][row 16]
  unsigned lane, warp, tile, bricks;
  unsigned first_row, rows;

  // Starts the copies of the x that belongs to bricks `k`.
  __device__ __forceinline__ void copy_x(unsigned k, unsigned slot) const {
    unsigned char* x = stages + slot * Shape::STAGE_BYTES;
    constexpr unsigned CHUNKS = Shape::X_BYTES / 16;
    // Not unrolled whole for many rows: the addresses of all copies would take registers throughout
    // the loop over the inputs.
#pragma unroll(RT <= 3 ? 8 : 2)
    for (unsigned i = 0; i < ceil_div(CHUNKS, LINEAR_THREADS); i++) {
      unsigned chunk = i * LINEAR_THREADS + threadIdx.x;
      if (CHUNKS % LINEAR_THREADS != 0 && chunk >= CHUNKS) break;
      unsigned row = chunk / 4 % Shape::ROWS, input = k * Bricks::K + chunk / 4 / Shape::ROWS * 32 + chunk % 4 * 8;
      bool there = row < rows && input < a.inputs;
      const uint16_t* from = there ? a.x + size_t(first_row + row) * a.x_stride + input : a.x;
      copy16_later(x + chunk * 16, from, there ? 16 : 0);
    }
  }

  // Starts the copies of bricks `k` of the warp's tiles.
  __device__ __forceinline__ void copy_weights(unsigned k, unsigned slot) const {
    unsigned char* mine = stages + slot * Shape::STAGE_BYTES + Shape::X_BYTES + warp * WARP_TILES * Bricks::BYTES;
#pragma unroll
    for (unsigned r = 0; r < WARP_TILES; r++) {
      if ((tile + r) * TILE >= a.outputs) break;
      const auto* from = static_cast<const unsigned char*>(a.weights) + (size_t(tile + r) * bricks + k) * Bricks::BYTES;
#pragma unroll
      for (unsigned at = 0; at < Bricks::BYTES; at += WARP * 16) {
        if (at + WARP * 16 <= Bricks::BYTES || at + lane * 16 < Bricks::BYTES) {
          copy16_later(mine + r * Bricks::BYTES + at + lane * 16, from + at + lane * 16);
        }
      }
    }
  }

  __device__ __forceinline__ void multiply(unsigned slot, float (&sum)[WARP_TILES][RT][4]) const {
    const unsigned char* stage = stages + slot * Shape::STAGE_BYTES;
    const unsigned char* mine = stage + Shape::X_BYTES + warp * WARP_TILES * Bricks::BYTES;
    const auto* x = reinterpret_cast<const uint4*>(stage) + lane;
    constexpr bool Q8 = Same<Bricks, Q8Bricks>::is, Q4 = Same<Bricks, Q4Bricks>::is;
    unsigned g = lane / 4;
    uint2 scales[WARP_TILES][2];
    if constexpr (Q8) {
#pragma unroll
      for (unsigned r = 0; r < WARP_TILES; r++) {
        const auto* of_rows = reinterpret_cast<const uint2*>(mine + r * Bricks::BYTES + Q8Bricks::SCALES);
        scales[r][0] = of_rows[g], scales[r][1] = of_rows[g + 8];
      }
    }
    if constexpr (Q4) {
#pragma unroll
      for (unsigned r = 0; r < WARP_TILES; r++) {
        unsigned row = lane % TILE, half = lane / TILE;
        uint4 head = reinterpret_cast<const uint4*>(mine + r * Bricks::BYTES + Q4Bricks::FACTORS)[row];
#pragma unroll
        for (unsigned i = 0; i < 4; i++) {
          // The parts of the halves are packed in two ways; both are worked out and one is taken,
          // so that lanes stay together.
          Q4Factors low = q4_factors(head, i), high = q4_factors(head, i + 4), one = half ? high : low;
          factors[(r * 8 + half * 4 + i) * TILE + row] = make_float2(one.scale, -fmaf(128.0f, one.scale, one.minimum));
        }
      }
      __syncwarp();
    }
    // By two, because Q4_K's words hold 64 inputs; with 80 rows there are no registers for that.
#pragma unroll(RT <= 5 ? 2 : 1)
    for (unsigned c = 0; c < Bricks::K / 32; c++) {
      unsigned w[WARP_TILES][2][4];
      float2 upper[WARP_TILES], lower[WARP_TILES];
#pragma unroll
      for (unsigned r = 0; r < WARP_TILES; r++) {
        Bricks::fragments(mine + r * Bricks::BYTES, c, lane, w[r]);
        if constexpr (Q8) {
          unsigned shift = c % 2 * 16;
          upper[r].x = f16_to_float((c < 2 ? scales[r][0].x : scales[r][0].y) >> shift & 0xffffu);
          lower[r].x = f16_to_float((c < 2 ? scales[r][1].x : scales[r][1].y) >> shift & 0xffffu);
        }
        if constexpr (Q4) upper[r] = factors[(r * 8 + c) * TILE + g], lower[r] = factors[(r * 8 + c) * TILE + g + 8];
      }
#pragma unroll
      for (unsigned n = 0; n < RT; n++) {
        uint4 b = x[(c * RT + n) * WARP];
        float ones[4] = {0, 0, 0, 0};
        if constexpr (Q4) {
          mma(ones, ONES, ONES, ONES, ONES, b.x, b.y);
          mma(ones, ONES, ONES, ONES, ONES, b.z, b.w);
        }
#pragma unroll
        for (unsigned r = 0; r < WARP_TILES; r++) {
          float(&to)[4] = sum[r][n];
          if constexpr (Q8 || Q4) {
            float part[4] = {0, 0, 0, 0};
            mma(part, w[r][0][0], w[r][0][1], w[r][0][2], w[r][0][3], b.x, b.y);
            mma(part, w[r][1][0], w[r][1][1], w[r][1][2], w[r][1][3], b.z, b.w);
            to[0] = fmaf(upper[r].x, part[0], to[0]), to[1] = fmaf(upper[r].x, part[1], to[1]);
            to[2] = fmaf(lower[r].x, part[2], to[2]), to[3] = fmaf(lower[r].x, part[3], to[3]);
            if constexpr (Q4) {
              to[0] = fmaf(upper[r].y, ones[0], to[0]), to[1] = fmaf(upper[r].y, ones[1], to[1]);
              to[2] = fmaf(lower[r].y, ones[2], to[2]), to[3] = fmaf(lower[r].y, ones[3], to[3]);
            }
          } else {
            mma(to, w[r][0][0], w[r][0][1], w[r][0][2], w[r][0][3], b.x, b.y);
            mma(to, w[r][1][0], w[r][1][1], w[r][1][2], w[r][1][3], b.z, b.w);
          }
        }
      }
    }
  }

  __device__ __forceinline__ void store(unsigned row, unsigned output, float value) const {
    if (row >= rows || output >= a.outputs) return;
    if (a.bias) value += a.bias[output];
    size_t at = size_t(first_row + row) * a.y_stride + output;
    if (a.epilogue == MASPO_STORE_BF16) {
      static_cast<uint16_t*>(a.y)[at] = uint16_t(pack_bf16(value, value));
    } else if (a.epilogue == MASPO_ADD_F32) {
      static_cast<float*>(a.y)[at] += value;
    } else {
      static_cast<float*>(a.y)[at] = value;
    }
  }

  __device__ __forceinline__ void finish(const float (&sum)[WARP_TILES][RT][4]) const {
    unsigned g = lane / 4, t = lane % 4;
#pragma unroll
    for (unsigned r = 0; r < WARP_TILES; r++) {
      if ((tile + r) * TILE >= a.outputs) break;
      float upper = 1, lower = 1;
      if constexpr (Same<Bricks, F8Bricks>::is) {
        upper = a.row_scales[(tile + r) * TILE + g], lower = a.row_scales[(tile + r) * TILE + g + 8];
      }
#pragma unroll
      for (unsigned n = 0; n < RT; n++) {
#pragma unroll
        for (unsigned i = 0; i < 2; i++) {
          unsigned row = n * 8 + 2 * t + i;
          float first = sum[r][n][i] * upper, second = sum[r][n][i + 2] * lower;
          if (a.epilogue == MASPO_GATED) {
            unsigned output = (tile + r) * 8 + g;
            if (row >= rows || output >= a.outputs / 2) continue;
            float value = __fmul_rn(silu(first), second);
            static_cast<uint16_t*>(a.y)[size_t(first_row + row) * a.y_stride + output] =
                uint16_t(pack_bf16(value, value));
          } else {
            store(row, (tile + r) * TILE + g, first);
            store(row, (tile + r) * TILE + g + 8, second);
          }
        }
      }
    }
  }
};

template <typename Bricks, unsigned RT>
static __global__ void __launch_bounds__(LINEAR_THREADS, 2) linear_kernel(const MaspoLinear a) {
  using Shape = LinearShape<Bricks, RT>;
  constexpr unsigned STAGES = Shape::STAGES;
  auto* shared = shared_memory<unsigned char>();
  unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
  unsigned first_row = blockIdx.x * Shape::ROWS, bricks = ceil_div(a.inputs, Bricks::K);
  LinearBlock<Bricks, RT> block{
      a,      shared,    reinterpret_cast<float2*>(shared + STAGES * Shape::STAGE_BYTES + warp * Shape::FACTOR_BYTES),
      lane,   warp,      blockIdx.y * BLOCK_TILES + warp * WARP_TILES,
      bricks, first_row, min(a.rows - first_row, Shape::ROWS)};
  unsigned split = blockIdx.z, splits = gridDim.z;
  unsigned from = bricks * split / splits, to = bricks * (split + 1) / splits;

  float sum[WARP_TILES][RT][4] = {};
#pragma unroll
  for (unsigned i = 0; i < STAGES - 1; i++) {
    if (from + i < to) {
      block.copy_weights(from + i, i);
      block.copy_x(from + i, i);
    }
    end_copy_group();
  }
  unsigned slot = 0;
  for (unsigned k = from; k < to; k++) {
    wait_for_copies<STAGES - 2>();
    // Now brick k is there for all, and all are done with brick k - 1, whose place the next copies
    // take.
    __syncthreads();
    unsigned next = k + STAGES - 1;
    if (next < to) {
      unsigned free = slot == 0 ? STAGES - 1 : slot - 1;
      block.copy_weights(next, free);
      block.copy_x(next, free);
    }
    end_copy_group();
    block.multiply(slot, sum);
    slot = slot + 1 == STAGES ? 0 : slot + 1;
  }

  if (splits > 1) {
    // [row tile of blocks][output tile of blocks][split][part][thread], so that everything is 16
    // bytes a lane, side by side.
    constexpr unsigned PARTS = WARP_TILES * RT;
    size_t place = size_t(blockIdx.x) * gridDim.y + blockIdx.y;
    auto* parts = static_cast<float4*>(a.workspace) + place * splits * PARTS * LINEAR_THREADS + threadIdx.x;
#pragma unroll
    for (unsigned i = 0; i < PARTS; i++) {
      const float(&p)[4] = sum[i / RT][i % RT];
      parts[(size_t(split) * PARTS + i) * LINEAR_THREADS] = make_float4(p[0], p[1], p[2], p[3]);
    }
    auto* flag = reinterpret_cast<unsigned*>(shared + Shape::SHARED_BYTES - 16);
    if (!last_of(a.counters + place, splits, flag)) return;
#pragma unroll
    for (unsigned i = 0; i < PARTS; i++) {
      float(&p)[4] = sum[i / RT][i % RT];
      p[0] = p[1] = p[2] = p[3] = 0;
    }
    // All parts of as many splits as LOADS_UNDER_WAY allows are loaded before the first of them is
    // added. A split that is not there adds +0, which changes no sum, since none is ever -0.
    constexpr unsigned AT_ONCE = PARTS < LOADS_UNDER_WAY ? LOADS_UNDER_WAY / PARTS : 1;
    for (unsigned first = 0; first < splits; first += AT_ONCE) {
      float4 more[AT_ONCE][PARTS];
#pragma unroll
      for (unsigned j = 0; j < AT_ONCE; j++) {
#pragma unroll
        for (unsigned i = 0; i < PARTS; i++) {
          more[j][i] = make_float4(0, 0, 0, 0);
          if (first + j < splits) {
            more[j][i] = load16_written(&parts[(size_t(first + j) * PARTS + i) * LINEAR_THREADS]);
          }
        }
      }
#pragma unroll
      for (unsigned j = 0; j < AT_ONCE; j++) {
#pragma unroll
        for (unsigned i = 0; i < PARTS; i++) {
          float(&p)[4] = sum[i / RT][i % RT];
          p[0] += more[j][i].x, p[1] += more[j][i].y, p[2] += more[j][i].z, p[3] += more[j][i].w;
        }
      }
    }
  }
  block.finish(sum);
}

template <typename Bricks, unsigned RT>
static int launch_linear(const MaspoLinear& a, void* stream) {
  using Shape = LinearShape<Bricks, RT>;
  dim3 blocks(ceil_div(a.rows, Shape::ROWS), ceil_div(a.outputs, BLOCK_TILES * TILE), a.splits);
  return launch(linear_kernel<Bricks, RT>, blocks, dim3(LINEAR_THREADS), Shape::SHARED_BYTES, stream, a);
}

template <typename Bricks>
static int launch_bricks(const MaspoLinear& a, void* stream) {
  if (a.splits == 0 || a.splits > ceil_div(a.inputs, Bricks::K) || a.splits > 64) return MASPO_BAD_SHAPE;
  if (a.rows <= 8) return launch_linear<Bricks, 1>(a, stream);
  if (a.rows <= 16) return launch_linear<Bricks, 2>(a, stream);
  if (a.rows <= 24) return launch_linear<Bricks, 3>(a, stream);
  if (a.rows <= 40 || a.shared_limit < LinearShape<Bricks, 10>::SHARED_BYTES)
    return launch_linear<Bricks, 5>(a, stream);
  return launch_linear<Bricks, 10>(a, stream);
}

static unsigned brick_inputs(uint32_t format) {
  return format == MASPO_PACKED_BF16 ? Bf16Bricks::K : format == MASPO_PACKED_Q4_K ? Q4Bricks::K : Q8Bricks::K;
}

}  // namespace maspo

using namespace maspo;

extern "C" int maspo_cuda_linear(const MaspoLinear* a, void* stream) {
  if (a->inputs == 0 || a->inputs % 8 != 0 || a->outputs == 0 || a->x_stride % 8 != 0 || a->rows > 65535 * 8 ||
      a->outputs > 65535 * BLOCK_TILES * TILE)
    return MASPO_BAD_SHAPE;
  if (a->epilogue > MASPO_GATED) return MASPO_BAD_ENUM;
  if (a->epilogue == MASPO_GATED && (a->outputs % 2 != 0 || a->bias)) return MASPO_BAD_SHAPE;
  if (a->rows == 0) return MASPO_OK;
  switch (a->format) {
    case MASPO_PACKED_BF16: return launch_bricks<Bf16Bricks>(*a, stream);
    case MASPO_PACKED_Q8_0: return launch_bricks<Q8Bricks>(*a, stream);
    case MASPO_PACKED_Q4_K: return launch_bricks<Q4Bricks>(*a, stream);
    case MASPO_PACKED_F8: return launch_bricks<F8Bricks>(*a, stream);
    default: return MASPO_BAD_ENUM;
  }
}

// The number of splits with the least work of the multiprocessor that has the most, in bricks: with
// every block come some that wait for the first bytes, and every split has its sums written and
// read again. A model of the cost, not a measurement.
extern "C" uint32_t maspo_cuda_linear_splits(uint32_t format, uint32_t inputs, uint32_t outputs,
                                             uint32_t multiprocessors) {
  unsigned bricks = ceil_div(inputs, brick_inputs(format)), tiles = ceil_div(outputs, BLOCK_TILES * TILE), best = 1;
  unsigned places = multiprocessors ? 2 * multiprocessors : 1;
  double least = 1e30;
  for (unsigned splits = 1; splits <= 16 && splits * 2 <= bricks; splits++) {
    double cost = double(ceil_div(tiles * splits, places)) * (ceil_div(bricks, splits) + 3) * (1 + 0.05 * (splits - 1));
    if (cost < least) least = cost, best = splits;
  }
  return best;
}

// Rows are counted as if all tiles were full: the tile of 80 rows has the most of them.
static size_t padded_rows(uint32_t rows) {
  unsigned tile = rows <= 8 ? 8 : rows <= 16 ? 16 : rows <= 24 ? 24 : rows <= 40 ? 40 : 80;
  return size_t(ceil_div(rows, tile)) * tile;
}

extern "C" size_t maspo_cuda_linear_workspace_bytes(uint32_t rows, uint32_t outputs, uint32_t splits) {
  size_t padded = ceil_div(outputs, BLOCK_TILES * TILE) * BLOCK_TILES * TILE;
  return splits > 1 ? padded_rows(rows) * padded * splits * sizeof(float) : 0;
}

extern "C" size_t maspo_cuda_linear_counters(uint32_t rows, uint32_t outputs, uint32_t splits) {
  // As many as there are with tiles of 40 rows, which are the least that are repeated.
  return splits > 1 ? size_t(ceil_div(rows, 40u)) * ceil_div(outputs, BLOCK_TILES * TILE) : 0;
}
