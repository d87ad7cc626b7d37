//! Majority votes: which answers are one and the same to a scorer, and which of them wins.

use super::json_field;
use super::number::whole_number;
use super::scorer::Scorer;

impl Scorer {
    /// Returns the group of each answer (in normalized form), numbered from 0 in order of
    /// appearance. Answers that the scorer takes for equal are in one group.
    ///
    /// Within a tolerance, and with units in mathematics, equality is not transitive, so groups
    /// need a rule: an answer joins the first group whose first member it equals.
    fn groups(&self, answers: &[&str]) -> Vec<usize> {
        match self {
            Self::Math { .. } => {
                // What cannot be read is no answer, so all of these can be.
                let read = answers.iter().filter_map(|answer| maspo_math::Answer::read(answer).ok());
                maspo_math::group(&read.collect::<Vec<_>>())
            }
            Self::Number { tolerance } => grouped(answers, |one, other| {
                let values = whole_number(one).zip(whole_number(other));
                values.is_some_and(|(one, other)| tolerance.allows(one, other))
            }),
            Self::Json { .. } => grouped(answers, json_field::equal),
            Self::Label { .. } | Self::Letter | Self::Text | Self::Regex { .. } | Self::Code { .. } => {
                grouped(answers, |one, other| one == other)
            }
        }
    }

    /// Returns the position of the answer that a majority of samples gives: the first of the
    /// largest group. Samples without an answer do not vote, and of equally large groups the one
    /// wins whose first answer came first. `None` if no sample has an answer.
    pub fn vote(&self, answers: &[Option<&str>]) -> Option<usize> {
        let (places, given): (Vec<usize>, Vec<&str>) =
            answers.iter().enumerate().filter_map(|(at, answer)| Some((at, (*answer)?))).unzip();
        let groups = self.groups(&given);
        let size = |group: usize| groups.iter().filter(|other| **other == group).count();
        let winner = (0..groups.len()).min_by_key(|at| (std::cmp::Reverse(size(groups[*at])), groups[*at]))?;
        Some(places[winner])
    }

    /// Returns whether outputs have answers that can be voted on. Programs have none: whether two
    /// of them do the same is not known.
    pub fn can_vote(&self) -> bool {
        !matches!(self, Self::Code { .. })
    }
}

fn grouped(answers: &[&str], equal: impl Fn(&str, &str) -> bool) -> Vec<usize> {
    let mut firsts: Vec<&str> = Vec::new();
    let mut groups = Vec::with_capacity(answers.len());
    for answer in answers {
        let known = firsts.iter().position(|first| equal(first, answer));
        groups.push(known.unwrap_or_else(|| {
            firsts.push(answer);
            firsts.len() - 1
        }));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Tolerance;

    /// Votes on answers, of which `-` stands for none.
    #[track_caller]
    fn check(scorer: &Scorer, answers: &[&str], expected: Option<usize>) {
        let given: Vec<_> = answers.iter().map(|answer| Some(*answer).filter(|answer| *answer != "-")).collect();
        assert_eq!(scorer.vote(&given), expected, "{answers:?}");
    }

    #[test]
    fn equal_answers_are_counted_together_however_they_are_written() {
        let math = Scorer::Math { round_to_gold: false };
        check(&math, &["3", "1/2", "3", "0.5", "\\frac{1}{2}"], Some(1));
        check(&math, &["(0,1]", "[0,1)", "0 \\le x < 1", "x \\in [0, 1)"], Some(1));
        check(&Scorer::Json { field: "n".into() }, &["2", "1.0", "1"], Some(1));
        check(&Scorer::Letter, &["B", "A", "A"], Some(1));
    }

    #[test]
    fn the_first_answer_wins_a_tie_and_no_answer_has_no_vote() {
        check(&Scorer::Letter, &["C", "A", "B", "B", "A"], Some(1));
        check(&Scorer::Letter, &["-", "-", "-", "D"], Some(3));
        check(&Scorer::Letter, &["-", "-"], None);
        check(&Scorer::Letter, &[], None);
    }

    #[test]
    fn a_tolerance_is_measured_from_the_first_of_a_group() {
        let number = Scorer::Number { tolerance: Tolerance { abs: 1.0, rel: 0.0 } };
        // 12 is close to 11 and not to 10, where its group would have begun.
        check(&number, &["10", "12", "11", "13"], Some(0));
        check(&number, &["10", "12", "13"], Some(1));
    }
}
