//! Anytime-valid inference on a mean of values in [0, 1] by betting (Waudby-Smith and Ramdas,
//! "Estimating means of bounded random variables by betting", 2020). It knows nothing of what the
//! values are.
//!
//! To test the claim that the mean is at most m, gamblers bet against it, one value after the
//! other. A gambler of stake c multiplies its wealth by 1 − c + c·x/m at the value x. If the claim
//! is true, no gambler's wealth grows on average, and so neither does the mean wealth of all of
//! them. By Ville's inequality the chance that the mean wealth, which begins at 1, ever reaches
//! 1/alpha is then at most alpha. This holds whenever one looks and for whatever reason one stops,
//! as long as every value's mean, given all earlier values, is at most m.

/// The number of gamblers. Gambler k of 1, 2, … stakes k / (GAMBLERS + 1) of its wealth each time,
/// so that none is ever ruined.
const GAMBLERS: usize = 20;

/// A mean wealth from which nobody bets any more. It keeps the numbers finite, and stopping is
/// always allowed.
const ENOUGH: f64 = 1e12;

/// The number of halvings by which [`lower_bound`] searches; its error is below 1e-9.
const HALVINGS: u32 = 30;

/// The wealth of gamblers who bet against the claim that the mean is at most a given number.
#[derive(Clone, PartialEq, Debug)]
pub struct EProcess {
    claimed: f64,
    wealth: [f64; GAMBLERS],
    peak: f64,
}

impl EProcess {
    /// Begins to bet against the claim that the mean is at most `claimed`.
    ///
    /// # Panics
    /// Panics if `claimed` is not between 0 and 1.
    pub fn against(claimed: f64) -> Self {
        assert!(claimed > 0.0 && claimed < 1.0, "a claim of {claimed} cannot be bet against");
        Self { claimed, wealth: [1.0; GAMBLERS], peak: 1.0 }
    }

    /// Bets on the next value. Values outside of [0, 1] count as the nearer end.
    pub fn observe(&mut self, value: f64) {
        let now = self.wealth();
        if now >= ENOUGH {
            return;
        }
        let gain = value.clamp(0.0, 1.0) / self.claimed - 1.0;
        for (wealth, stake) in self.wealth.iter_mut().zip(stakes()) {
            *wealth *= 1.0 + stake * gain;
        }
        self.peak = self.peak.max(self.wealth());
    }

    /// The mean wealth of the gamblers: the evidence against the claim, an e-value.
    pub fn wealth(&self) -> f64 {
        self.wealth.iter().sum::<f64>() / GAMBLERS as f64
    }

    /// The largest mean wealth so far. The chance that it ever reaches 1/alpha is at most alpha if
    /// the claim is true.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// Whether the wealth reaches `goal` if the next `remaining` values are all 1.
    pub fn can_reach(&self, goal: f64, remaining: usize) -> bool {
        let best = |(wealth, stake): (&f64, f64)| {
            let times = i32::try_from(remaining).unwrap_or(i32::MAX);
            wealth * (1.0 + stake * (1.0 / self.claimed - 1.0)).powi(times)
        };
        self.peak.max(self.wealth.iter().zip(stakes()).map(best).sum::<f64>() / GAMBLERS as f64) >= goal
    }
}

fn stakes() -> impl Iterator<Item = f64> {
    (1..=GAMBLERS).map(|k| k as f64 / (GAMBLERS + 1) as f64)
}

/// Returns a lower bound of the mean: the largest m of which the values refute that the mean is at
/// most m, at error `alpha`; 0 if there is none. It may be computed after every value: the chance
/// that any of these bounds is above the mean is at most `alpha` (a one-sided confidence sequence).
pub fn lower_bound(values: &[f64], alpha: f64) -> f64 {
    let refuted = |claimed: f64| {
        let mut process = EProcess::against(claimed);
        values.iter().any(|value| {
            process.observe(*value);
            process.peak() >= 1.0 / alpha
        })
    };
    // The wealth at given values falls as m grows, so what is refuted is an interval from 0.
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        *(if refuted(middle) { &mut low } else { &mut high }) = middle;
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Seed, Stage};
    use proptest::prelude::*;
    use rand::RngExt;

    fn process(values: &[f64]) -> EProcess {
        let mut process = EProcess::against(0.5);
        values.iter().for_each(|value| process.observe(*value));
        process
    }

    #[test]
    fn the_wealth_agrees_with_values_worked_by_hand() {
        let check = |values: &[f64], wealth: f64, peak: f64| {
            let process = process(values);
            assert!((process.wealth() - wealth).abs() < 1e-12, "{values:?}: {}", process.wealth());
            assert!((process.peak() - peak).abs() < 1e-12, "{values:?}: {}", process.peak());
        };
        // The stakes c are 1/21, …, 20/21: their mean is 1/2, and that of their squares
        // (1² + … + 20²) / (20 · 21²) = 2870 / 8820.
        let squares = 2870.0 / 8820.0;
        check(&[], 1.0, 1.0);
        check(&[0.5, 0.5, 0.5], 1.0, 1.0);
        check(&[1.0], 1.5, 1.5);
        check(&[0.0], 0.5, 1.0);
        check(&[0.75], 1.25, 1.25);
        check(&[1.0, 1.0], 2.0 + squares, 2.0 + squares);
        check(&[1.0, 0.0], 1.0 - squares, 1.5);
        check(&[7.0, -1.0], 1.0 - squares, 1.5);
        // Against a mean of at most 1/4, a win multiplies by 1 + 3c and a tie by 1 + c.
        let mut quarter = EProcess::against(0.25);
        quarter.observe(1.0);
        assert!((quarter.wealth() - 2.5).abs() < 1e-12);
        quarter.observe(0.5);
        assert!((quarter.wealth() - (3.0 + 3.0 * squares)).abs() < 1e-12);
    }

    #[test]
    fn the_number_of_straight_wins_that_suffice_is_known() {
        let wins = |goal: f64| (0..).find(|n| EProcess::against(0.5).can_reach(goal, *n)).unwrap();
        // The mean of (1 + c)^n: 17.5 for n = 6, 30.3 for n = 7.
        assert_eq!((wins(20.0), wins(40.0), wins(240.0)), (7, 8, 11));
        let mut process = process(&[1.0; 6]);
        assert!(process.peak() < 20.0 && process.can_reach(20.0, 1) && !process.can_reach(20.0, 0));
        process.observe(0.0);
        assert!(!process.can_reach(20.0, 1));
    }

    #[test]
    fn a_lower_bound_is_above_a_half_exactly_where_a_half_is_refuted() {
        let wins = |n: usize| lower_bound(&vec![1.0; n], 0.05);
        assert!(wins(6) < 0.5 && wins(7) > 0.5, "{} {}", wins(6), wins(7));
        assert_eq!((lower_bound(&[], 0.05), lower_bound(&[0.0; 9], 0.05)), (0.0, 0.0));
        // Of 700 wins in 1000 the bound is near the exact one, and it does not fall later.
        let values: Vec<f64> = (0..1000).map(|at| if at % 10 < 7 { 1.0 } else { 0.0 }).collect();
        let bound = lower_bound(&values, 0.05);
        assert!((0.65..0.69).contains(&bound), "{bound}");
        let then_losses = [values, vec![0.0; 100]].concat();
        assert!(lower_bound(&then_losses, 0.05) >= bound);
    }

    #[test]
    fn numbers_stay_finite_however_long_one_bets() {
        let process = process(&[1.0; 100_000]);
        assert!(process.wealth().is_finite() && process.peak() >= 1e12);
        assert!(lower_bound(&[1.0; 20_000], 1e-6) > 0.99);
    }

    /// The share of `runs` sequences of at most `n` values in which the claim "at most 1/2" is ever
    /// refuted at error `alpha`. `draw` gives a value from a uniform number and the wealth so far.
    fn refuted(runs: u64, n: usize, alpha: f64, draw: impl Fn(f64, f64) -> f64) -> f64 {
        let one = |run: u64| {
            let mut rng = Seed(run).derive(Stage::Bootstrap, &[7]).rng();
            let mut process = EProcess::against(0.5);
            // One stops at the first refutation: the worst that optional stopping can do.
            (0..n).any(|_| {
                process.observe(draw(rng.random(), process.wealth()));
                process.peak() >= 1.0 / alpha
            })
        };
        (0..runs).filter(|run| one(*run)).count() as f64 / runs as f64
    }

    #[test]
    fn under_the_null_the_error_rate_holds_with_optional_stopping() {
        let coin = |u: f64, _: f64| if u < 0.5 { 1.0 } else { 0.0 };
        let with_ties = |u: f64, _: f64| (u * 3.0).floor() / 2.0;
        let uniform = |u: f64, _: f64| u;
        let rare = |u: f64, _: f64| if u < 0.1 { 1.0 } else { 0.4 };
        // Whoever wins goes on with safe values and else with wild ones, always of mean 1/2.
        let adaptive = |u: f64, wealth: f64| if wealth > 5.0 { 0.45 + 0.1 * u } else { coin(u, wealth) };
        for alpha in [0.05, 0.2] {
            let rates = [
                refuted(4000, 300, alpha, coin),
                refuted(4000, 300, alpha, with_ties),
                refuted(4000, 300, alpha, uniform),
                refuted(4000, 300, alpha, rare),
                refuted(4000, 300, alpha, adaptive),
            ];
            // Ville's bound is on the probability; three standard errors of 4000 runs are added.
            let most = alpha + 3.0 * (alpha * (1.0 - alpha) / 4000.0_f64).sqrt();
            assert!(rates.iter().all(|rate| *rate <= most), "{alpha}: {rates:?}");
            assert!(rates[0] > alpha / 5.0, "the test is not idle: {rates:?}");
        }
        // With a true advantage it is found.
        let better = |u: f64, _: f64| if u < 0.7 { 1.0 } else { 0.0 };
        assert!(refuted(500, 300, 0.05, better) > 0.99);
    }

    proptest! {
        #[test]
        fn wealth_does_not_grow_on_average_at_the_claimed_mean(
            claimed in 0.05_f64..0.95,
            before in proptest::collection::vec(0.0_f64..=1.0, 0..40),
            spread in 0.0_f64..=1.0,
        ) {
            let mut process = EProcess::against(claimed);
            before.iter().for_each(|value| process.observe(*value));
            // Two values of mean `claimed`, equally likely.
            let spread = spread * claimed.min(1.0 - claimed);
            let after = |value: f64| {
                let mut process = process.clone();
                process.observe(value);
                process.wealth()
            };
            let mean = f64::midpoint(after(claimed + spread), after(claimed - spread));
            prop_assert!((mean - process.wealth()).abs() <= 1e-9 * process.wealth(), "{} {}", mean, process.wealth());
            prop_assert!(process.peak() >= process.wealth() * (1.0 - 1e-12));
        }

        #[test]
        fn what_is_refuted_is_an_interval(
            values in proptest::collection::vec(0.0_f64..=1.0, 0..60),
            one in 0.05_f64..0.95,
            other in 0.05_f64..0.95,
        ) {
            let peak = |claimed: f64| {
                let mut process = EProcess::against(claimed);
                values.iter().for_each(|value| process.observe(*value));
                // Beyond that, nobody bets any more.
                process.peak().min(ENOUGH)
            };
            let (low, high) = (one.min(other), one.max(other));
            prop_assert!(peak(low) >= peak(high) * (1.0 - 1e-9));
        }
    }
}
