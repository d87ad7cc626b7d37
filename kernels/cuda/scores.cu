// Answers to questions about rows of logits, so that no whole row goes to the host: the largest
// logit and the sum of e^(logit - largest), from which log-probabilities follow; the logits of the
// columns that are picked; and the `top` largest logits in order, which sampling chooses among.
//
// Launch: [asked, SCORE_PARTS] blocks of 256 threads. A block works on a part of a row, three times
// over: it finds the largest logit, adds up, and takes the best logits one by one; after the first
// time the part comes from the L2. The block of a row that ends last puts the parts together.
// Shared memory: 8.5 KB.
//
// The sum's order is fixed by the vocabulary alone: each part's sum is relative to the part's own
// largest logit, and the parts are added in their order. The best logits do not depend on any
// order.

#include "logits.h"

namespace maspo {

constexpr unsigned SCORE_THREADS = 256, SCORE_PARTS = 16, SCORE_WARPS = SCORE_THREADS / WARP;
constexpr float LOG2_E = 1.4426950408889634f;

// The largest logit of a part, and the sum of e^(logit - largest) over the part.
struct alignas(8) PartSum {
  float largest, sum;
};

struct ScoresShared {
  Best best[SCORE_WARPS];
  float numbers[SCORE_WARPS];
  PartSum sums[SCORE_PARTS];
  Best top[SCORE_PARTS * MASPO_MOST_TOP];
  unsigned flag;
};

// Minus infinity minus itself is not a number; what is relative to it is relative to 0.
__device__ __forceinline__ float finite_base(float largest) { return largest == -MASPO_INFINITY ? 0.0f : largest; }

// A part of a row as one thread sees it: every SCORE_THREADS-th column.
struct Columns {
  const float* logits;
  unsigned from, to;

  __device__ __forceinline__ float largest() const {
    float largest = -MASPO_INFINITY;
#pragma unroll 4
    for (unsigned column = from + threadIdx.x; column < to; column += SCORE_THREADS) {
      largest = fmaxf(largest, logits[column]);
    }
    return largest;
  }

  __device__ __forceinline__ float sum(float base) const {
    float sum = 0;
#pragma unroll 4
    for (unsigned column = from + threadIdx.x; column < to; column += SCORE_THREADS) {
      sum += exp2_fast((logits[column] - base) * LOG2_E);
    }
    return sum;
  }

  // The best of what is smaller than `logit`, or equal to it and at `first` or a later column.
  // Columns ascend, so of equal logits the first is taken; what is not a number is none of them.
  __device__ __forceinline__ Best best_from(float bound, unsigned first) const {
    Best best = {-MASPO_INFINITY, MASPO_NO_COLUMN};
#pragma unroll 4
    for (unsigned column = from + threadIdx.x; column < to; column += SCORE_THREADS) {
      float logit = logits[column];
      bool behind = logit < bound || (logit == bound && column >= first);
      if (behind && logit > best.logit) best = {logit, column};
    }
    return best;
  }
};

// The part's largest logit, known to all threads.
static __device__ float largest_of_block(float largest, ScoresShared& shared) {
  for (int lanes = 16; lanes > 0; lanes /= 2) largest = fmaxf(largest, __shfl_xor_sync(FULL, largest, lanes));
  if (threadIdx.x % WARP == 0) shared.numbers[threadIdx.x / WARP] = largest;
  __syncthreads();
  for (float of_warp : shared.numbers) largest = fmaxf(largest, of_warp);
  __syncthreads();
  return largest;
}

// The sum over the block, warp by warp, known to all threads.
static __device__ float sum_of_block(float sum, ScoresShared& shared) {
  sum = warp_sum(sum);
  if (threadIdx.x % WARP == 0) shared.numbers[threadIdx.x / WARP] = sum;
  __syncthreads();
  sum = 0;
  for (float of_warp : shared.numbers) sum += of_warp;
  __syncthreads();
  return sum;
}

// The best of the block, known to all threads.
static __device__ Best best_of_block(Best best, ScoresShared& shared) {
  best = best_of_warp(best);
  if (threadIdx.x % WARP == 0) shared.best[threadIdx.x / WARP] = best;
  __syncthreads();
  for (const Best& of_warp : shared.best) best = better(best, of_warp);
  __syncthreads();
  return best;
}

static __global__ void __launch_bounds__(SCORE_THREADS) scores_kernel(const MaspoScores a) {
  auto& shared = *shared_memory<ScoresShared>();
  unsigned asked = blockIdx.x, part = blockIdx.y, thread = threadIdx.x;
  const float* logits = a.logits + size_t(a.rows[asked]) * a.vocabulary;
  Columns columns{logits, unsigned(size_t(a.vocabulary) * part / SCORE_PARTS),
                  unsigned(size_t(a.vocabulary) * (part + 1) / SCORE_PARTS)};
  // Workspace: sums [asked, parts], then the best of each part [asked, parts, top].
  auto* sums = static_cast<PartSum*>(a.workspace) + size_t(asked) * SCORE_PARTS;
  auto* tops = reinterpret_cast<Best*>(static_cast<PartSum*>(a.workspace) + size_t(a.asked) * SCORE_PARTS) +
               size_t(asked) * SCORE_PARTS * a.top;

  float largest = largest_of_block(columns.largest(), shared);
  float sum = sum_of_block(columns.sum(finite_base(largest)), shared);
  if (thread == 0) sums[part] = {largest, sum};
  if (a.top > 0) {
    Best mine = columns.best_from(MASPO_INFINITY, 0);
    for (unsigned i = 0; i < a.top; i++) {
      Best best = best_of_block(mine, shared);
      if (thread == 0) tops[part * a.top + i] = best;
      // Whose it was takes the next of its own. Nothing is left of a part without a column.
      if (best.column != MASPO_NO_COLUMN && best.column == mine.column) {
        mine = columns.best_from(best.logit, best.column + 1);
      }
    }
  }
  if (!last_of(a.counters + asked, SCORE_PARTS, &shared.flag)) return;

  if (thread < SCORE_PARTS) {
    float2 written = load8_written(reinterpret_cast<const float2*>(sums + thread));
    shared.sums[thread] = {written.x, written.y};
  }
  for (unsigned i = thread; i < SCORE_PARTS * a.top; i += SCORE_THREADS) {
    float2 written = load8_written(reinterpret_cast<const float2*>(tops + i));
    shared.top[i] = {written.x, __float_as_uint(written.y)};
  }
  unsigned first = asked == 0 ? 0 : a.pick_ends[asked - 1];
  for (unsigned i = first + thread; i < a.pick_ends[asked]; i += SCORE_THREADS) a.picked[i] = logits[a.picks[i]];
  __syncthreads();
  if (thread == 0) {
    float all = -MASPO_INFINITY, total = 0;
    for (const PartSum& of_part : shared.sums) all = fmaxf(all, of_part.largest);
    for (const PartSum& of_part : shared.sums) {
      total += of_part.sum * exp2_fast((of_part.largest - finite_base(all)) * LOG2_E);
    }
    a.sums[2 * asked] = all;
    a.sums[2 * asked + 1] = total;
  }
  if (thread >= WARP) return;
  // A lane has the list of a part and offers the first that was not taken.
  unsigned taken = 0;
  for (unsigned i = 0; i < a.top; i++) {
    Best mine = {-MASPO_INFINITY, MASPO_NO_COLUMN};
    if (thread < SCORE_PARTS && taken < a.top) mine = shared.top[thread * a.top + taken];
    Best best = best_of_warp(mine);
    if (best.column != MASPO_NO_COLUMN && best.column == mine.column) taken++;
    if (thread == 0) {
      a.top_columns[size_t(asked) * a.top + i] = best.column;
      a.top_logits[size_t(asked) * a.top + i] = best.logit;
    }
  }
}

}  // namespace maspo

extern "C" int maspo_cuda_scores(const MaspoScores* a, void* stream) {
  using namespace maspo;
  if (a->vocabulary == 0 || a->top > MASPO_MOST_TOP) return MASPO_BAD_SHAPE;
  if (a->asked == 0) return MASPO_OK;
  return launch(scores_kernel, dim3(a->asked, SCORE_PARTS), dim3(SCORE_THREADS), sizeof(ScoresShared), stream, *a);
}

extern "C" size_t maspo_cuda_scores_workspace_bytes(uint32_t asked, uint32_t top) {
  return size_t(asked) * maspo::SCORE_PARTS * (sizeof(maspo::PartSum) + size_t(top) * sizeof(maspo::Best));
}
