//! Exact bounds of a rate (Clopper and Pearson 1934), and how many draws a bound takes.

/// The chance of a wrong one-sided bound.
const ALPHA: f64 = 0.05;

/// Returns the upper end of Clopper and Pearson's one-sided 95 % interval: the rate at which
/// `successes` or fewer of `n` draws have a probability of 5 %. It is 1 without draws.
///
/// # Panics
/// Panics if `successes > n`.
pub fn rate_upper(successes: usize, n: usize) -> f64 {
    assert!(successes <= n, "{successes} of {n} cannot be");
    if successes == n {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = 0.5 * (low + high);
        // The ends meet after some sixty halvings.
        if middle <= low || middle >= high {
            return high;
        }
        if at_most(successes, n, middle) > ALPHA {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Returns the lower end of Clopper and Pearson's one-sided 95 % interval; 0 without draws.
///
/// # Panics
/// Panics if `successes > n`.
pub fn rate_lower(successes: usize, n: usize) -> f64 {
    assert!(successes <= n, "{successes} of {n} cannot be");
    1.0 - rate_upper(n - successes, n)
}

/// Returns the most successes among `n` draws that show, with 95 % confidence, a rate of at most
/// `rate`; `None` if not even 0 successes do.
pub fn most_successes(rate: f64, n: usize) -> Option<usize> {
    let mut most = None;
    let mut cumulative = 0.0;
    for (successes, term) in terms(n, rate).enumerate() {
        cumulative += term;
        if cumulative > ALPHA {
            break;
        }
        most = Some(successes);
    }
    // All draws can be successes only if the rate can be 1.
    most.map(|most| if rate < 1.0 { most.min(n.saturating_sub(1)) } else { most }).filter(|_| n > 0)
}

/// Returns the fewest draws that can show, with 95 % confidence and without a success among them, a
/// rate of at most `rate`. For 0.05 these are 59.
///
/// # Panics
/// Panics unless `0 < rate < 1`.
pub fn fewest_draws(rate: f64) -> usize {
    assert!(rate > 0.0 && rate < 1.0, "a rate between 0 and 1 can be shown");
    let mut draws = (ALPHA.ln() / (-rate).ln_1p()).floor() as usize;
    while (draws as f64 * (-rate).ln_1p()).exp() > ALPHA {
        draws += 1;
    }
    draws
}

/// Returns the probability of `successes` or fewer among `n` draws of this rate.
fn at_most(successes: usize, n: usize, rate: f64) -> f64 {
    terms(n, rate).take(successes + 1).sum()
}

/// Returns the probabilities of 0, 1, 2, … successes among `n` draws; in logarithms, so that `n`
/// can be large.
fn terms(n: usize, rate: f64) -> impl Iterator<Item = f64> {
    let (ln_rate, ln_rest) = (rate.ln(), (-rate).ln_1p());
    let mut ln_choose = 0.0;
    (0..=n).map(move |k| {
        let term = (ln_choose + k as f64 * ln_rate + (n - k) as f64 * ln_rest).exp();
        ln_choose += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
        term
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_agree_with_published_ones() {
        // One-sided 95 % bounds; without a success 1 − 0.05^(1/n), and scipy.stats.beta.ppf.
        let check = |successes, n, expected: f64| {
            let got = rate_upper(successes, n);
            assert!((got - expected).abs() < 1e-9, "{successes} of {n}: {got}");
        };
        check(0, 10, 1.0 - 0.05_f64.powf(0.1));
        check(0, 59, 1.0 - 0.05_f64.powf(1.0 / 59.0));
        check(1, 10, 0.394_163_302_437);
        check(2, 20, 0.282_618_524_886);
        check(50, 1000, 0.062_863_403_512);
        check(10, 10, 1.0);
        check(0, 0, 1.0);
        assert!((rate_lower(9, 10) - (1.0 - 0.394_163_302_437)).abs() < 1e-9);
        assert_eq!((rate_lower(0, 10), rate_lower(0, 0)), (0.0, 0.0));
    }

    #[test]
    fn so_many_draws_show_a_rate() {
        // 0.95^58 = 0.0510, 0.95^59 = 0.0485; 0.99^298 = 0.05003, 0.99^299 = 0.0495.
        assert_eq!((fewest_draws(0.05), fewest_draws(0.01), fewest_draws(0.5)), (59, 299, 5));
        assert_eq!((most_successes(0.05, 58), most_successes(0.05, 59)), (None, Some(0)));
        // One false one of 93 is shown to be at most 5 %, and of 92 it is not.
        assert_eq!((most_successes(0.05, 92), most_successes(0.05, 93)), (Some(0), Some(1)));
        assert_eq!((most_successes(0.05, 0), most_successes(1e-9, 1000)), (None, None));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_most_successes_are_those_whose_bound_is_low_enough(n in 1usize..400, rate in 0.001f64..0.9) {
            let fits = |successes: usize| rate_upper(successes, n) <= rate + 1e-12;
            match most_successes(rate, n) {
                None => prop_assert!(!fits(0) && n < fewest_draws(rate)),
                Some(most) => prop_assert!(fits(most) && !fits(most + 1) && n >= fewest_draws(rate)),
            }
        }

        #[test]
        fn a_bound_grows_with_the_successes(n in 1usize..300, part in 0.0f64..1.0) {
            let successes = (part * n as f64) as usize;
            let (low, high) = (rate_upper(successes, n), rate_upper(successes + 1, n));
            prop_assert!(successes as f64 / (n as f64) < low && low < high && high <= 1.0);
        }
    }
}
