//! Log-probabilities from one row of logits.

/// What the log-probabilities of a row have in common: its largest logit, and the logarithm of the
/// sum of `e^(logit - largest)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normalizer {
    largest: f64,
    ln_sum: f64,
}

impl Normalizer {
    /// Computes it from the row, in f64 in the order of ids.
    pub(crate) fn of(logits: &[f32]) -> Self {
        let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
        Self { largest, ln_sum: sum.ln() }
    }

    /// Takes it from what a device has computed.
    pub(crate) fn known(largest: f32, sum: f64) -> Self {
        Self { largest: f64::from(largest), ln_sum: sum.ln() }
    }

    /// Returns `ln softmax(logits)[token]` for the token with this logit.
    pub(crate) fn log_probability(self, logit: f32) -> f64 {
        f64::from(logit) - self.largest - self.ln_sum
    }
}

/// Returns the tokens with the `top` largest logits, the largest first and equal ones by id.
pub(crate) fn likeliest(logits: &[f32], top: usize) -> Vec<u32> {
    if top == 0 {
        return Vec::new();
    }
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    let likelier = |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    if top < ids.len() {
        ids.select_nth_unstable_by(top - 1, likelier);
        ids.truncate(top);
    }
    ids.sort_unstable_by(likelier);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_logarithm_of_the_share() {
        let logits = [1000.0, 1000.0 + 3f32.ln()];
        let [one, other] = logits.map(|logit| Normalizer::of(&logits).log_probability(logit));
        assert!((other - 0.75f64.ln()).abs() < 1e-4);
        assert!((one.exp() + other.exp() - 1.0).abs() < 1e-12);
        let sum = 1.0 + (-f64::from(logits[1] - logits[0])).exp();
        assert!((Normalizer::known(logits[1], sum).log_probability(logits[0]) - one).abs() < 1e-7);
    }

    #[test]
    fn equally_likely_tokens_come_by_id() {
        assert_eq!(likeliest(&[1.0, 2.0, 0.5, 2.0], 3), [1, 3, 0]);
        assert_eq!(likeliest(&[1.0, 2.0, 0.5, 2.0], 1), [1]);
        assert_eq!(likeliest(&[1.0, 2.0], 9), [1, 0]);
        assert_eq!(likeliest(&[1.0, 2.0], 0), [] as [u32; 0]);
    }
}
