//! The work that one comparison may do. It is counted in steps, never in seconds, so that a verdict
//! does not depend on the machine or its load.

/// Why an evaluation ended without a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The expression has no value: a division by zero, or a real expression that leaves the reals.
    Undefined,
    /// The value is irrational, and only exact values were wanted.
    Inexact,
    /// The steps, the digits or the precision that are allowed do not suffice.
    Exhausted,
}

/// The steps that are left. A step is about the work of multiplying two 64-bit words.
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    /// Takes `steps` off the budget; fails when fewer are left, and ever after.
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Stop> {
        self.left = self.left.saturating_sub(steps.max(1));
        if self.left == 0 { Err(Stop::Exhausted) } else { Ok(()) }
    }

    /// Returns whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_budget_stays_empty() {
        let mut budget = Budget::new(10);
        assert_eq!(budget.spend(9), Ok(()));
        assert_eq!(budget.spend(1), Err(Stop::Exhausted));
        assert_eq!(budget.spend(1), Err(Stop::Exhausted));
        assert!(budget.is_empty());
    }
}
