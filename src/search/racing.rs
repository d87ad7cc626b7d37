//! Racing: the candidates of a step are evaluated on the mini-batch in blocks, in random order, and
//! one that can no longer reach the beam is dropped. Pure decisions; `ascent` carries them out.

use super::beam::child_score;
use crate::base::{Seed, Stage};
use crate::stats::finite_mean_bounds;
use rand::seq::SliceRandom;

/// The blocks that a mini-batch is evaluated in. More blocks drop sooner, but fewer calls are in
/// flight at once.
const BLOCKS: usize = 5;

/// What is known of a candidate while its step is under way.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// The score J of the prompt that it was written from.
    pub(super) parent_score: f64,
    /// Its joint rewards so far, in the order of evaluation.
    pub(super) rewards: Vec<f64>,
}

/// Returns the indices 0 … `size` − 1 of a mini-batch in random order, cut into blocks.
pub(super) fn blocks(size: usize, seed: Seed) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..size).collect();
    order.shuffle(&mut seed.derive(Stage::Racing, &[]).rng());
    order.chunks(size.div_ceil(BLOCKS).max(1)).map(<[usize]>::to_vec).collect()
}

/// Returns which of the candidates can still reach a beam of `width` prompts: whether fewer than
/// `width` of the others are sure to stay ahead. The score of a parent is known. That of a
/// candidate is J(p) + R − ½, and its mean reward R over a mini-batch of `size` queries is known
/// within bounds, each of which is wrong with a probability of at most `error`. A tie goes to
/// whoever was first, as in the beam.
pub(super) fn still_in_race(
    parents: &[f64],
    width: usize,
    candidates: &[Standing],
    size: usize,
    error: f64,
) -> Vec<bool> {
    let scores: Vec<(f64, f64)> = candidates
        .iter()
        .map(|Standing { parent_score, rewards }| {
            let (low, high) = finite_mean_bounds(rewards, size, error);
            (child_score(*parent_score, low), child_score(*parent_score, high))
        })
        .collect();
    let is_in = |(at, &(_, high)): (usize, &(f64, f64))| {
        let parents_ahead = parents.iter().filter(|score| **score >= high).count();
        let others_ahead = scores.iter().enumerate().filter(|&(other, &(low, _))| match other < at {
            true => low >= high,
            false => other > at && low > high,
        });
        parents_ahead + others_ahead.count() < width
    };
    scores.iter().enumerate().map(is_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standing(parent_score: f64, rewards: &[f64]) -> Standing {
        Standing { parent_score, rewards: rewards.to_vec() }
    }

    #[test]
    fn blocks_are_a_shuffle_of_the_batch() {
        let cut = blocks(10, Seed(1));
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [2; 5]);
        let mut all = cut.concat();
        assert_ne!(all, (0..10).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(cut, blocks(10, Seed(1)));
        assert_ne!(cut, blocks(10, Seed(2)));
        assert_eq!(blocks(3, Seed(1)).len(), 3);
        assert!(blocks(0, Seed(1)).is_empty());
    }

    #[test]
    fn a_candidate_is_dropped_when_enough_others_are_sure_to_be_ahead() {
        // Of four queries two are known. A beam of one holds a parent with 0; two zeros leave at
        // most a mean of ½, a tie, which goes to the parent.
        let lost = standing(0.0, &[0.0, 0.0]);
        let open = standing(0.0, &[0.0, 0.5]);
        assert_eq!(still_in_race(&[0.0], 1, &[lost.clone(), open.clone()], 4, 0.0), [false, true]);
        // A beam of two has a place left.
        assert_eq!(still_in_race(&[0.0], 2, &[lost.clone(), open], 4, 0.0), [true, true]);
        // It is taken by a candidate that has won three of four: at least 0.25, more than the 0
        // that the first can still have.
        let won = standing(0.0, &[1.0, 1.0, 1.0]);
        assert_eq!(still_in_race(&[0.0], 2, &[lost, won], 4, 0.0), [false, true]);
    }

    #[test]
    fn an_error_allowed_drops_sooner() {
        let losing = standing(0.0, &[0.0; 4]);
        assert_eq!(still_in_race(&[0.0], 1, std::slice::from_ref(&losing), 10, 0.0), [true]);
        assert_eq!(still_in_race(&[0.0], 1, &[losing], 10, 0.1), [false]);
    }

    proptest! {
        /// With an error of 0, nobody is dropped who would have been in the beam.
        #[test]
        fn without_error_the_beam_is_that_of_the_whole_batch(
            parents in prop::collection::vec(-4..=4_i8, 1..3),
            rewards in prop::collection::vec((0..2_usize, prop::collection::vec(0..=2_u8, 6)), 1..5),
            known in 0..=6_usize,
            width in 1..4_usize,
        ) {
            let parents: Vec<f64> = parents.iter().map(|tenths| f64::from(*tenths) / 10.0).collect();
            let all: Vec<Standing> = rewards
                .iter()
                .map(|(parent, halves)| {
                    let rewards: Vec<f64> = halves.iter().map(|&half| f64::from(half) / 2.0).collect();
                    standing(parents[(*parent).min(parents.len() - 1)], &rewards)
                })
                .collect();
            let first = |one: &Standing| standing(one.parent_score, &one.rewards[..known]);
            let so_far: Vec<Standing> = all.iter().map(first).collect();
            let is_in = still_in_race(&parents, width, &so_far, 6, 0.0);
            let mut ranking: Vec<(f64, usize)> = parents.iter().map(|score| (*score, 0)).collect();
            ranking.extend(all.iter().enumerate().map(|(at, one)| {
                (child_score(one.parent_score, one.rewards.iter().sum::<f64>() / 6.0), at + 1)
            }));
            ranking.sort_by(|a, b| b.0.total_cmp(&a.0));
            for (_, at) in ranking.iter().take(width).filter(|(_, at)| *at > 0) {
                prop_assert!(is_in[at - 1]);
            }
        }
    }
}
