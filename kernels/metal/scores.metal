// Answers to questions about rows of logits, so that no whole row goes to the host: the largest
// logit and the sum of e^(logit - largest), from which log-probabilities follow; the logits of the
// columns that are picked; and the `top` largest logits in order, which sampling chooses among.
//
// Launch: a threadgroup of 512 threads for each row that is asked about; its memory has one pair a
// simdgroup. The sum's order is fixed by the vocabulary alone: a thread's columns in ascending
// order, then lanes, then simdgroups. The best logits do not depend on any order.

#include "logits.h"

constant constexpr uint SCORE_THREADS = 512, SCORE_SIMDS = SCORE_THREADS / SIMD;
constant constexpr float LOG2_E = 1.4426950408889634f;

// The best of the threadgroup, known to all threads.
inline Best best_of_all(Best best, threadgroup Best* of_simds, uint simd, uint lane) {
  best = best_of_simd(best);
  if (lane == 0) of_simds[simd] = best;
  WAIT_FOR_ALL();
  for (uint i = 0; i < SCORE_SIMDS; i++) {
    Best other = of_simds[i];
    best = better(best, other);
  }
  // The next pairs go where these were.
  WAIT_FOR_ALL();
  return best;
}

// The best of a thread's columns that is smaller than `bound`, or equal to it and at `first` or a
// later column. Columns ascend, so of equal logits the first is taken; what is not a number is none
// of them.
inline Best best_from(device const float* logits, uint vocabulary, uint thread_index, float bound, uint first) {
  Best best = {-INFINITY, MASPO_NO_COLUMN};
  for (uint column = thread_index; column < vocabulary; column += SCORE_THREADS) {
    float logit = logits[column];
    bool behind = logit < bound || (logit == bound && column >= first);
    if (behind && logit > best.logit) best = {logit, column};
  }
  return best;
}

[[kernel, max_total_threads_per_threadgroup(SCORE_THREADS)]] void maspo_scores(
    constant MaspoScores& a [[buffer(0)]], threadgroup Best* of_simds MASPO_SHARED,
    uint3 group [[threadgroup_position_in_grid]], uint simd [[simdgroup_index_in_threadgroup]],
    uint lane [[thread_index_in_simdgroup]]) {
  uint asked = group.x, index = simd * SIMD + lane;
  device const float* logits = a.logits + size_t(a.rows[asked]) * a.vocabulary;
  Best mine = best_from(logits, a.vocabulary, index, INFINITY, 0);
  Best best = best_of_all(mine, of_simds, simd, lane);
  float largest = best.logit, sum = 0;
  // Minus infinity minus itself is not a number; what is relative to it is relative to 0.
  float base = largest == -INFINITY ? 0.0f : largest;
  for (uint column = index; column < a.vocabulary; column += SCORE_THREADS) {
    sum += precise::exp2((logits[column] - base) * LOG2_E);
  }
  sum = simd_sum(sum);
  if (lane == 0) of_simds[simd].logit = sum;
  WAIT_FOR_ALL();
  if (index == 0) {
    float total = 0;
    for (uint i = 0; i < SCORE_SIMDS; i++) total += of_simds[i].logit;
    a.sums[2 * asked] = largest;
    a.sums[2 * asked + 1] = total;
  }
  WAIT_FOR_ALL();
  uint from = 0;
  if (asked > 0) from = a.pick_ends[asked - 1];
  for (uint i = from + index; i < a.pick_ends[asked]; i += SCORE_THREADS) a.picked[i] = logits[a.picks[i]];
  for (uint i = 0; i < a.top; i++) {
    if (i > 0) {
      // Whose the last one was takes the next of its own. Nothing is left behind no column.
      if (best.column != MASPO_NO_COLUMN && best.column == mine.column) {
        mine = best_from(logits, a.vocabulary, index, best.logit, best.column + 1);
      }
      best = best_of_all(mine, of_simds, simd, lane);
    }
    if (index == 0) {
      a.top_columns[size_t(asked) * a.top + i] = best.column;
      a.top_logits[size_t(asked) * a.top + i] = best.logit;
    }
  }
}
