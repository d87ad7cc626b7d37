//! What the judge's model replied about one pair, order by order.

use super::Verdict;
use super::reading::{Reading, mean};
use std::cmp::Ordering;

/// One reply of the judge's model.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Reply {
    /// What it says, positive for the answer that is shown first.
    pub(super) reading: Reading,
    /// In logit mode, the probability of both letters together.
    pub(super) letter_mass: Option<f64>,
}

/// All replies about one pair of answers.
#[derive(Clone, PartialEq, Debug)]
pub struct Inspection {
    /// What each model replied, in the order of [`Judge::models`](super::Judge::models).
    pub opinions: Vec<Opinion>,
    /// The verdict that they add up to, as a comparison of the first answer with the second.
    pub verdict: Verdict,
}

impl Inspection {
    /// The replies of all models about all rubrics.
    pub fn rubrics(&self) -> impl Iterator<Item = &Rubric> {
        self.opinions.iter().flat_map(|opinion| &opinion.rubrics)
    }

    /// Whether all models that gave an answer agree; `None` with fewer than two such.
    pub fn models_agree(&self) -> Option<bool> {
        Verdict::agree(&self.opinions.iter().map(|opinion| opinion.verdict).collect::<Vec<_>>())
    }
}

/// What one model replied about a pair of answers.
#[derive(Clone, PartialEq, Debug)]
pub struct Opinion {
    /// The replies about each rubric; one entry without rubrics.
    pub rubrics: Vec<Rubric>,
    /// The model's own verdict.
    pub verdict: Verdict,
}

/// The replies about one rubric.
#[derive(Clone, PartialEq, Debug)]
pub struct Rubric {
    /// For each order, whether the model prefers the answer that is shown first: `Greater` if so,
    /// `Equal` if it sees no difference; `None` where the reply held no answer. The first order is
    /// the one given, the second, if both are asked, the other.
    pub first_shown: Vec<Option<Ordering>>,
    /// For each order, the probability of both letters together; `None` in text mode.
    pub letter_mass: Vec<Option<f64>>,
    /// Which of the two answers both orders together prefer: `Greater` for the first one given;
    /// `None` where a reply held no answer.
    pub preferred: Option<Ordering>,
}

impl Rubric {
    pub(super) fn of(replies: &[Reply]) -> Self {
        Self {
            first_shown: replies.iter().map(|reply| reply.reading.sign()).collect(),
            letter_mass: replies.iter().map(|reply| reply.letter_mass).collect(),
            preferred: combined(replies).sign(),
        }
    }

    /// Whether both orders prefer the same answer; `None` if they were not both asked, or if one
    /// reply held no answer.
    pub fn orders_agree(&self) -> Option<bool> {
        match self.first_shown[..] {
            [Some(one), Some(other)] => Some(one == other.reverse()),
            _ => None,
        }
    }
}

/// Returns the mean over the orders, from the side of the first answer given.
pub(super) fn combined(replies: &[Reply]) -> Reading {
    let readings: Vec<Reading> = replies
        .iter()
        .enumerate()
        .map(|(at, reply)| if at == 0 { reply.reading } else { reply.reading.flipped() })
        .collect();
    mean(&readings, true)
}
