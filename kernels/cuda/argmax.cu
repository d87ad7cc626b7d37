// Greedy choice: tokens [t] = the column of the largest logit of a row; of equals the lowest; NaN
// never wins; 0 where no logit is above minus infinity. Logits are f32.
//
// Two stages in one launch: ARGMAX_PARTS blocks a row find the largest of a part each; the last of
// them to end compares the parts. The result is a maximum over pairs (logit, lowest column), which
// does not depend on any order.

#include "logits.h"

namespace maspo {

constexpr unsigned ARGMAX_THREADS = 256, ARGMAX_PARTS = 16;

struct ArgmaxShared {
  Best best[ARGMAX_THREADS / WARP];
  unsigned flag;
};

// The best of the block, known to thread 0.
static __device__ Best best_of_block(Best best, ArgmaxShared& shared) {
  best = best_of_warp(best);
  if (threadIdx.x % WARP == 0) shared.best[threadIdx.x / WARP] = best;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (unsigned i = 1; i < ARGMAX_THREADS / WARP; i++) best = better(best, shared.best[i]);
  }
  return best;
}

static __global__ void __launch_bounds__(ARGMAX_THREADS) argmax_kernel(MaspoArgmax a) {
  auto& shared = *shared_memory<ArgmaxShared>();
  unsigned row = blockIdx.x, part = blockIdx.y;
  auto* parts = static_cast<Best*>(a.workspace) + size_t(row) * ARGMAX_PARTS;
  const float* logits = a.logits + size_t(row) * a.vocabulary;
  unsigned from = unsigned(size_t(a.vocabulary) * part / ARGMAX_PARTS),
           to = unsigned(size_t(a.vocabulary) * (part + 1) / ARGMAX_PARTS);
  // What is not a number is not above minus infinity, so it never replaces this; column 0 is the
  // answer if nothing does.
  const Best none = {-MASPO_INFINITY, 0};
  Best best = none;
  unsigned column = from + threadIdx.x;
  // Four loads are under way at a time.
  for (; column + 3 * ARGMAX_THREADS < to; column += 4 * ARGMAX_THREADS) {
    float logit[4];
#pragma unroll
    for (unsigned i = 0; i < 4; i++) logit[i] = logits[column + i * ARGMAX_THREADS];
#pragma unroll
    for (unsigned i = 0; i < 4; i++) {
      if (logit[i] > best.logit) best = {logit[i], column + i * ARGMAX_THREADS};
    }
  }
  for (; column < to; column += ARGMAX_THREADS) {
    if (logits[column] > best.logit) best = {logits[column], column};
  }
  best = best_of_block(best, shared);
  if (threadIdx.x == 0) parts[part] = best;
  if (!last_of(a.counters + row, ARGMAX_PARTS, &shared.flag)) return;
  if (threadIdx.x >= WARP) return;
  // One lane a part, so that all are loaded at once. A part without a logit above minus infinity
  // has column 0, as the answer has if no part has one.
  best = none;
  if (threadIdx.x < ARGMAX_PARTS) {
    float2 other = load8_written(reinterpret_cast<const float2*>(parts + threadIdx.x));
    best = {other.x, __float_as_uint(other.y)};
  }
  best = best_of_warp(best);
  if (threadIdx.x == 0) {
    a.tokens[row] = best.column;
    if (a.largest) a.largest[row] = best.logit;
  }
}

}  // namespace maspo

extern "C" int maspo_cuda_argmax(const MaspoArgmax* a, void* stream) {
  using namespace maspo;
  if (a->vocabulary == 0) return MASPO_BAD_SHAPE;
  if (a->rows == 0) return MASPO_OK;
  return launch(argmax_kernel, dim3(a->rows, ARGMAX_PARTS), dim3(ARGMAX_THREADS), sizeof(ArgmaxShared), stream, *a);
}

extern "C" size_t maspo_cuda_argmax_workspace_bytes(uint32_t rows) {
  return size_t(rows) * maspo::ARGMAX_PARTS * sizeof(maspo::Best);
}
