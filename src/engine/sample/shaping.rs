//! How logits are changed before a token is chosen from them: penalties for tokens that occurred
//! before, and a cut below a share of the likeliest token. Everything depends on the request's own
//! tokens alone.

/// What changes the logits of a request beside its [`Sampling`](super::Sampling). The default
/// changes nothing.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shaping {
    /// Drop tokens that are less likely than this share of the likeliest one; 0 keeps all.
    pub min_p: f64,
    /// Subtract this from the logit of every token that was generated already.
    pub presence_penalty: f64,
    /// Subtract this from a token's logit for every time that it was generated.
    pub frequency_penalty: f64,
    /// Divide the positive logits, and multiply the negative ones, of tokens that the prompt has or
    /// that were generated; 1 changes nothing.
    pub repetition_penalty: f64,
}

impl Default for Shaping {
    fn default() -> Self {
        Self { min_p: 0.0, presence_penalty: 0.0, frequency_penalty: 0.0, repetition_penalty: 1.0 }
    }
}

impl Shaping {
    /// Returns whether the likeliest token may change, so that logits must be read.
    pub(crate) fn has_penalties(&self) -> bool {
        Self { min_p: 0.0, ..*self } != Self::default()
    }

    /// Returns the logits of a request with this prompt and these generated tokens. The repetition
    /// penalty comes first, then the other two.
    pub(crate) fn shaped(&self, logits: &[f32], prompt: &[u32], generated: &[u32]) -> Vec<f32> {
        let mut shaped = logits.to_vec();
        if self.repetition_penalty != 1.0 {
            let mut seen = vec![false; logits.len()];
            for &token in prompt.iter().chain(generated) {
                let (Some(seen), Some(logit)) = (seen.get_mut(token as usize), shaped.get_mut(token as usize)) else {
                    continue;
                };
                if !std::mem::replace(seen, true) {
                    let penalty = self.repetition_penalty as f32;
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
            }
        }
        if self.presence_penalty != 0.0 || self.frequency_penalty != 0.0 {
            let mut counts = std::collections::BTreeMap::<u32, u32>::new();
            generated.iter().for_each(|token| *counts.entry(*token).or_default() += 1);
            for (token, count) in counts {
                if let Some(logit) = shaped.get_mut(token as usize) {
                    *logit -= (self.presence_penalty + self.frequency_penalty * f64::from(count)) as f32;
                }
            }
        }
        shaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_count_the_prompt_only_for_repetition() {
        let logits = [2.0, -2.0, 1.0, 0.5];
        let shaped = |shaping: Shaping| shaping.shaped(&logits, &[0, 0], &[1, 1, 2]);
        let plain = Shaping::default();
        assert_eq!(shaped(plain), logits);
        assert_eq!(shaped(Shaping { repetition_penalty: 2.0, ..plain }), [1.0, -4.0, 0.5, 0.5]);
        assert_eq!(shaped(Shaping { presence_penalty: 0.5, ..plain }), [2.0, -2.5, 0.5, 0.5]);
        assert_eq!(shaped(Shaping { frequency_penalty: 0.5, ..plain }), [2.0, -3.0, 0.5, 0.5]);
        assert!(!Shaping { min_p: 0.5, ..plain }.has_penalties() && !plain.has_penalties());
        assert!(Shaping { presence_penalty: -0.1, ..plain }.has_penalties());
    }
}
