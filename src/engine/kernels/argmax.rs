//! Greedy choice: the largest logit of a row, found piece by piece while the product makes the logits.

/// The largest logit of a piece of a row.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Best {
    pub(super) logit: f32,
    pub(super) output: u32,
}

impl Best {
    /// Of a row of which no logit is a number.
    pub(super) const NONE: Self = Self { logit: f32::NEG_INFINITY, output: 0 };

    /// The larger of two, of equals that of the lower output.
    pub(super) fn or(self, other: Self) -> Self {
        let better = other.logit > self.logit || (other.logit == self.logit && other.output < self.output);
        if better { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_of_equals_wins_in_any_order() {
        let best = |logit, output| Best { logit, output };
        assert_eq!(best(1.0, 5).or(best(1.0, 3)), best(1.0, 3));
        assert_eq!(best(1.0, 3).or(best(1.0, 5)), best(1.0, 3));
        assert_eq!(Best::NONE.or(best(-9.0, 5)), best(-9.0, 5));
        assert_eq!(best(-9.0, 5).or(Best::NONE), best(-9.0, 5));
    }
}
