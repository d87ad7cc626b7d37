//! Log-probabilities from one row of logits.

/// Returns `ln softmax(logits)[token]`, computed in f64 in the order of ids.
pub(crate) fn log_probability(logits: &[f32], token: u32) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let total: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
    f64::from(logits[token as usize]) - largest - total.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_logarithm_of_the_share() {
        let logits = [1000.0, 1000.0 + 3f32.ln()];
        assert!((log_probability(&logits, 1) - 0.75f64.ln()).abs() < 1e-4);
        assert!((log_probability(&logits, 0).exp() + log_probability(&logits, 1).exp() - 1.0).abs() < 1e-12);
    }
}
