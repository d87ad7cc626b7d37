//! Chooses one token from its logits.

use super::{Sampling, Shaping};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Chooses the next token of a request with this prompt that has `generated` already. Greedy choice
/// takes the largest logit, and of equal ones the lowest id.
pub(crate) fn choose(logits: &[f32], sampling: &Sampling, shaping: &Shaping, prompt: &[u32], generated: &[u32]) -> u32 {
    let index = generated.len();
    if shaping.has_penalties() {
        choose_above(&shaping.shaped(logits, prompt, generated), sampling, shaping.min_p, index)
    } else {
        choose_above(logits, sampling, shaping.min_p, index)
    }
}

/// Chooses a token that is at least `min_p` times as likely as the likeliest one.
fn choose_above(logits: &[f32], sampling: &Sampling, min_p: f64, index: usize) -> u32 {
    if sampling.is_greedy() {
        return argmax(logits);
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut candidates = weigh((0u32..).zip(logits.iter().copied()), largest, sampling.temperature, min_p);
    let top_k = sampling.top_k as usize;
    if top_k > 0 && top_k < candidates.len() {
        candidates.select_nth_unstable_by(top_k - 1, likelier);
        candidates.truncate(top_k);
    }
    draw(candidates, sampling, index).unwrap_or_else(|| argmax(logits))
}

/// Chooses as [`choose`] does without penalties and for `top_k` of at least 2, from the `top_k`
/// largest logits with their tokens, the largest first and of equal ones the lowest token first.
pub(crate) fn choose_among(top: &[(u32, f32)], sampling: &Sampling, min_p: f64, index: usize) -> u32 {
    let Some(&(likeliest, largest)) = top.first() else { return 0 };
    draw(weigh(top.iter().copied(), largest, sampling.temperature, min_p), sampling, index).unwrap_or(likeliest)
}

/// Draws one of the candidates; `None` if none has any weight.
fn draw(mut candidates: Vec<Candidate>, sampling: &Sampling, index: usize) -> Option<u32> {
    if sampling.top_p < 1.0 {
        keep_nucleus(&mut candidates, sampling.top_p);
    }
    // In the order of ids, so that the draw does not depend on how the candidates were selected.
    candidates.sort_unstable_by_key(|candidate| candidate.id);
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    let mut rng = ChaCha8Rng::seed_from_u64(sampling.seed);
    rng.set_stream(index as u64);
    let mut left = rng.random::<f64>() * total;
    for candidate in &candidates {
        left -= candidate.weight;
        if left < 0.0 {
            return Some(candidate.id);
        }
    }
    // Rounding may leave a small rest; the last token with any weight takes it.
    candidates.iter().rev().find(|candidate| candidate.weight > 0.0).map(|last| last.id)
}

/// Returns the id of the largest logit, of equal ones the lowest. NaN never wins.
fn argmax(logits: &[f32]) -> u32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().position(|&logit| logit == largest).unwrap_or(0) as u32
}

#[derive(Clone, Copy)]
struct Candidate {
    id: u32,
    /// Proportional to the probability; 1 for the most likely token.
    weight: f64,
}

/// Weighs the tokens that are at least `min_p` times as likely as the likeliest one, whose weight
/// is 1. Tokens whose weight is too small for a number are left out.
fn weigh(logits: impl Iterator<Item = (u32, f32)>, largest: f32, temperature: f64, min_p: f64) -> Vec<Candidate> {
    let weight = |logit: f32| ((f64::from(logit) - f64::from(largest)) / temperature).exp();
    let weighted = logits.map(|(id, logit)| Candidate { id, weight: weight(logit) });
    weighted.filter(|candidate| candidate.weight > 0.0 && candidate.weight >= min_p).collect()
}

/// Orders likelier candidates first, and equal ones by id.
fn likelier(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.weight.total_cmp(&a.weight).then(a.id.cmp(&b.id))
}

/// Keeps the smallest set of likeliest candidates whose share reaches `top_p`, at least one (top-p
/// sampling).
fn keep_nucleus(candidates: &mut Vec<Candidate>, top_p: f64) {
    candidates.sort_unstable_by_key(|candidate| candidate.id);
    let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
    // All candidates below this weight together have less than `1 - top_p`, so none of them is
    // needed. Leaving them out keeps the sort short.
    let negligible = (1.0 - top_p) * total / candidates.len() as f64;
    let likeliest = candidates.iter().copied().min_by(likelier);
    candidates.retain(|candidate| candidate.weight >= negligible);
    candidates.sort_unstable_by(likelier);
    let mut share = 0.0;
    let kept = candidates.iter().take_while(|candidate| {
        let wanted = share < top_p * total;
        share += candidate.weight;
        wanted
    });
    let kept = kept.count();
    candidates.truncate(kept);
    if candidates.is_empty() {
        candidates.extend(likeliest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f64, top_k: u32, top_p: f64) -> Sampling {
        Sampling { temperature, top_k, top_p, seed: 5 }
    }

    /// Returns the tokens that come up in 200 draws.
    fn seen(logits: &[f32], sampling: Sampling) -> Vec<u32> {
        let mut seen: Vec<u32> = (0..200).map(|index| choose_above(logits, &sampling, 0.0, index)).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }

    #[test]
    fn greedy_takes_the_lowest_id_of_equals() {
        assert_eq!(choose_above(&[1.0, 3.0, 3.0, f32::NAN], &Sampling::GREEDY, 0.0, 0), 1);
        assert_eq!(choose_above(&[f32::NAN], &Sampling::GREEDY, 0.0, 0), 0);
    }

    #[test]
    fn cuts_keep_what_they_say() {
        // Probabilities 0.1, 0.2, 0.3, 0.4.
        let logits: Vec<f32> = [0.1f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect();
        assert_eq!(seen(&logits, sampling(1.0, 0, 1.0)), [0, 1, 2, 3]);
        assert_eq!(seen(&logits, sampling(1.0, 2, 1.0)), [2, 3]);
        assert_eq!(seen(&logits, sampling(1.0, 0, 0.69)), [2, 3]);
        assert_eq!(seen(&logits, sampling(1.0, 0, 0.75)), [1, 2, 3]);
        assert_eq!(seen(&logits, sampling(1.0, 0, 0.0)), [3]);
        assert_eq!(seen(&logits, sampling(1e-3, 0, 1.0)), [3]);
    }

    #[test]
    fn min_p_cuts_below_a_share_of_the_likeliest() {
        let logits: Vec<f32> = [0.1f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect();
        let seen = |min_p| {
            let shaping = Shaping { min_p, ..Shaping::default() };
            let draw = |seed| choose(&logits, &Sampling::at(1.0, seed), &shaping, &[], &[]);
            (0..200).map(draw).collect::<std::collections::BTreeSet<u32>>().into_iter().collect::<Vec<_>>()
        };
        assert_eq!(seen(0.0), [0, 1, 2, 3]);
        assert_eq!(seen(0.4), [1, 2, 3]);
        assert_eq!(seen(0.8), [3]);
        let repeated = Shaping { presence_penalty: 1.0, ..Shaping::default() };
        assert_eq!(choose(&logits, &Sampling::GREEDY, &repeated, &[3], &[3]), 2);
    }

    #[test]
    fn the_largest_logits_are_enough_for_top_k() {
        // Some are equal, also where the cut is.
        let logits: Vec<f32> = (0..300).map(|i| ((i * 37 % 101) as f32 * 0.3).round() / 4.0).collect();
        let mut top: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
        top.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        for (top_k, top_p, min_p) in
            [(2, 1.0, 0.0), (7, 0.5, 0.0), (20, 0.95, 0.0), (64, 1.0, 0.0), (64, 0.9, 0.0), (20, 1.0, 0.2)]
        {
            let sampling = sampling(0.8, top_k, top_p);
            for index in 0..100 {
                let expected = choose_above(&logits, &sampling, min_p, index);
                let chosen = choose_among(&top[..top_k as usize], &sampling, min_p, index);
                assert_eq!(chosen, expected, "{top_k} {top_p} {min_p}");
            }
        }
        let sampling = sampling(1.0, 5, 1.0);
        assert_eq!(choose_among(&[], &sampling, 0.0, 0), choose_above(&[f32::NAN], &sampling, 0.0, 0));
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let logits: Vec<f32> = [0.1f32, 0.6, 0.3].iter().map(|p| p.ln()).collect();
        let draws = 4000;
        let ones = (0..draws).filter(|&index| choose_above(&logits, &sampling(1.0, 0, 1.0), 0.0, index) == 1).count();
        let share = ones as f64 / draws as f64;
        assert!((share - 0.6).abs() < 0.03, "{share}");
    }
}
