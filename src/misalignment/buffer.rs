//! The bounded buffer of one agent. It decides which samples are kept and which cases are shown.
//! Its random draws come only from a given seed.

use super::case::{Case, is_misaligned, is_success};
use super::options::{MisalignmentOptions, Sampling};
use crate::base::Seed;
use crate::reward::SampleReward;
use std::collections::VecDeque;

/// The cases of one agent, newest first, at most [`MisalignmentOptions::capacity`]. They are shown
/// in this agent's own proposals only.
#[derive(Clone, PartialEq, Debug)]
pub struct Buffer {
    cases: VecDeque<Case>,
    options: MisalignmentOptions,
}

impl Buffer {
    /// An empty buffer.
    pub fn new(options: MisalignmentOptions) -> Self {
        Self { cases: VecDeque::new(), options }
    }

    /// Whether the buffer keeps a sample with this reward.
    pub fn accepts(&self, sample: &SampleReward) -> bool {
        match self.options.sampling {
            Sampling::Misalignment => is_misaligned(sample),
            Sampling::Success => is_success(sample),
            Sampling::Random => true,
            Sampling::Off => false,
        }
    }

    /// Adds `case` as the newest one. A case whose texts are already in the buffer moves to the
    /// front, and the oldest case is dropped when the buffer is full.
    pub fn push(&mut self, case: Case) {
        self.cases.retain(|kept| !kept.has_texts_of(&case));
        self.cases.push_front(case);
        self.cases.truncate(self.options.capacity);
    }

    /// Returns at most [`MisalignmentOptions::shown`] cases for one proposal: the newest ones, or
    /// with [`Sampling::Random`] random ones, drawn with `seed`.
    pub fn pick(&self, seed: Seed) -> Vec<&Case> {
        let shown = self.options.shown.min(self.cases.len());
        match self.options.sampling {
            Sampling::Random => {
                let drawn = rand::seq::index::sample(&mut seed.rng(), self.cases.len(), shown);
                drawn.into_iter().map(|at| &self.cases[at]).collect()
            }
            Sampling::Misalignment | Sampling::Success | Sampling::Off => self.cases.iter().take(shown).collect(),
        }
    }

    /// The number of cases in the buffer.
    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// Whether the buffer is empty.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(sampling: Sampling, capacity: usize) -> Buffer {
        Buffer::new(MisalignmentOptions { sampling, shown: 2, capacity })
    }

    fn case(name: &str) -> Case {
        Case { question: name.into(), output: name.into(), ..Case::default() }
    }

    fn names(buffer: &Buffer, seed: u64) -> String {
        buffer.pick(Seed(seed)).iter().map(|case| case.output.as_str()).collect()
    }

    #[test]
    fn cases_are_newest_first_bounded_and_distinct() {
        let mut buffer = buffer(Sampling::Misalignment, 3);
        for name in ["a", "b", "c", "d"] {
            buffer.push(case(name));
        }
        assert_eq!((names(&buffer, 1).as_str(), buffer.len()), ("dc", 3));
        buffer.push(case("b"));
        assert_eq!((names(&buffer, 1).as_str(), buffer.len()), ("bd", 3));
    }

    #[test]
    fn random_sampling_draws_by_seed_from_all_kept_cases() {
        let mut buffer = buffer(Sampling::Random, 8);
        for name in ["a", "b", "c", "d"] {
            buffer.push(case(name));
        }
        assert_eq!(names(&buffer, 5), names(&buffer, 5));
        let picks: std::collections::BTreeSet<_> = (0..50).map(|seed| names(&buffer, seed)).collect();
        assert!(picks.len() > 6 && picks.iter().all(|pick| pick.len() == 2), "{picks:?}");
    }

    #[test]
    fn each_sampling_keeps_its_own_samples() {
        let good = SampleReward { item: 0, local: Some(1.0), lookahead: Some(1.0), global: Some(1.0), joint: 1.0 };
        let bad = SampleReward { global: Some(0.0), ..good };
        let dull = SampleReward { local: Some(0.5), ..bad };
        let accepts = |sampling| [&good, &bad, &dull].map(|sample| buffer(sampling, 3).accepts(sample));
        assert_eq!(accepts(Sampling::Misalignment), [false, true, false]);
        assert_eq!(accepts(Sampling::Success), [true, false, false]);
        assert_eq!(accepts(Sampling::Random), [true, true, true]);
        assert_eq!(accepts(Sampling::Off), [false, false, false]);
    }
}
