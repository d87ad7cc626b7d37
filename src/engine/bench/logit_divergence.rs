//! Measures how far a model's logits are from a reference's, usually those of the same weights in a
//! finer format. The reference continues random tokens, and both models give their logits after
//! every token of that. A kernel set may compute prefill rows otherwise than decode rows, so both
//! are measured.

use super::bare::BareEngine;
use crate::base::{Seed, Stage};
use crate::blocks::Blocks;
use crate::executor::DeviceError;
use crate::qwen3::{Logits, Workspace};
use crate::sample::Sampling;
use crate::schedule::{Limits, Scheduler};
use crate::token_engine::{EngineError, TokenRequest};
use futures::executor::block_on;
use rand::RngExt;
use serde::Serialize;

/// The number of tokens that a sequence starts with, and of tokens that the reference adds.
const START: usize = 32;
const POSITIONS: usize = 64;

/// How one model's logits differ from a reference's, over all compared positions.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct LogitDivergence {
    /// The number of compared positions.
    pub positions: usize,
    /// The share of positions where both models choose the same token.
    pub greedy: f64,
    /// The root mean square of the logits' difference, divided by the standard deviation of the
    /// reference's logits.
    pub relative_error: f64,
    /// The mean Kullback–Leibler divergence from the reference's distribution, in nats.
    pub divergence: f64,
}

/// The divergence of prefill rows and that of decode rows.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct LogitDivergences {
    /// All tokens as one prompt: prefill rows.
    pub prompts: LogitDivergence,
    /// The tokens one by one: decode rows.
    pub generated: LogitDivergence,
}

/// Compares `other` with `reference` on `sequences` sequences.
///
/// # Errors
/// The context is too short, an engine fails, or a model is not on the CPU.
pub fn logit_divergence(
    reference: &BareEngine,
    other: &BareEngine,
    sequences: usize,
    seed: Seed,
) -> Result<LogitDivergences, EngineError> {
    let vocab = reference.config.vocab_size;
    let (mut prompts, mut generated) = (Sums::default(), Sums::default());
    for sequence in 0..sequences {
        let mut rng = seed.derive(Stage::Weights, &[sequence as u64]).rng();
        let mut tokens: Vec<u32> = (0..START).map(|_| rng.random_range(0..vocab as u32)).collect();
        let request = TokenRequest {
            prompt: tokens.clone(),
            max_new_tokens: POSITIONS,
            sampling: Sampling::GREEDY,
            ignore_eos: true,
            stop: Vec::new(),
        };
        tokens.extend(block_on(reference.engine.generate(request))?.token_ids);
        tokens.pop();
        for (sums, one_by_one) in [(&mut prompts, false), (&mut generated, true)] {
            let (expected, found) = (logits(reference, &tokens, one_by_one)?, logits(other, &tokens, one_by_one)?);
            for (expected, found) in expected.chunks_exact(vocab).zip(found.chunks_exact(vocab)) {
                sums.add(expected, found);
            }
        }
    }
    Ok(LogitDivergences { prompts: prompts.means(), generated: generated.means() })
}

/// Sums over positions.
#[derive(Default)]
struct Sums {
    positions: usize,
    same: usize,
    divergence: f64,
    squares: f64,
    variance: f64,
}

impl Sums {
    fn add(&mut self, expected: &[f32], found: &[f32]) {
        let mean = expected.iter().map(|&x| f64::from(x)).sum::<f64>() / expected.len() as f64;
        self.squares += expected.iter().zip(found).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        self.variance += expected.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>();
        self.positions += 1;
        self.same += usize::from(largest(expected) == largest(found));
        self.divergence += divergence(expected, found);
    }

    fn means(&self) -> LogitDivergence {
        let positions = self.positions as f64;
        LogitDivergence {
            positions: self.positions,
            greedy: self.same as f64 / positions,
            relative_error: (self.squares / self.variance).sqrt(),
            divergence: self.divergence / positions,
        }
    }
}

/// Returns the logits after every token from the last one of the start on, one row after the other.
/// The tokens after the start are part of the prompt, or with `one_by_one` decode rows.
fn logits(bare: &BareEngine, tokens: &[u32], one_by_one: bool) -> Result<Vec<f32>, EngineError> {
    let elsewhere =
        || EngineError::Device(DeviceError("logits are compared on the CPU: choose `--device cpu`".to_string()));
    let mut model = bare.model.clone().ok_or_else(elsewhere)?;
    let blocks = tokens.len().div_ceil(16) + 1;
    let mut scheduler =
        Scheduler::new(Limits { step_tokens: tokens.len(), max_running: 1 }, Blocks::new(blocks, 16, false));
    let mut kv = model.kv_pool(16, blocks);
    let (mut work, mut logits, mut rows) = (Workspace::new(), Logits::new(), Vec::new());
    let (prompt, generated) = tokens.split_at(if one_by_one { START } else { tokens.len() });
    let id = scheduler.submit(prompt.to_vec(), START - 1);
    for next in generated.iter().map(Some).chain([None]) {
        let plan = scheduler.plan().expect("a sequence waits and there is room for it");
        model.forward(&plan, &mut kv, &mut work, &mut logits);
        scheduler.complete(&plan);
        (0..plan.logits.len()).for_each(|row| rows.extend_from_slice(logits.row(row)));
        if let Some(&next) = next {
            scheduler.push(id, next);
        }
    }
    Ok(rows)
}

fn largest(logits: &[f32]) -> usize {
    (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0)
}

/// Returns the Kullback–Leibler divergence from the distribution of the logits `expected` to that
/// of `found`, in nats.
fn divergence(expected: &[f32], found: &[f32]) -> f64 {
    let log_sum = |logits: &[f32]| {
        let top = f64::from(logits[largest(logits)]);
        top + logits.iter().map(|&x| (f64::from(x) - top).exp()).sum::<f64>().ln()
    };
    let (p, q) = (log_sum(expected), log_sum(found));
    let terms = expected.iter().zip(found).map(|(&a, &b)| {
        let (a, b) = (f64::from(a) - p, f64::from(b) - q);
        a.exp() * (a - b)
    });
    terms.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qwen3::Dtype;
    use crate::{EngineOptions, ModelSource};

    fn open(dtype: Dtype) -> BareEngine {
        let source = ModelSource::parse("embedded:triage").unwrap();
        let options = EngineOptions { draft_tokens: 0, ..EngineOptions::default() };
        BareEngine::open(&source, None, dtype, &options, &mut |_| ()).unwrap()
    }

    #[test]
    fn finer_weights_are_nearer_to_the_reference() {
        let reference = open(Dtype::F32);
        let of = |dtype| logit_divergence(&reference, &open(dtype), 2, Seed(1)).unwrap();
        let all = [Dtype::F32, Dtype::Bf16, Dtype::Q8_0, Dtype::Q4K].map(of);
        for kind in [|both: LogitDivergences| both.prompts, |both: LogitDivergences| both.generated] {
            let [same, half, bytes, nibbles] = all.map(kind);
            assert_eq!((same.positions, same.greedy, same.relative_error), (2 * POSITIONS, 1.0, 0.0));
            assert!(same.divergence.abs() < 1e-12);
            // The weights are stored in bf16. The difference comes from keys and values, which are
            // then f16.
            assert!(half.relative_error < 0.002 && half.greedy > 0.98 && half.divergence < 1e-4, "{half:?}");
            assert!(half.relative_error < bytes.relative_error, "{half:?} {bytes:?}");
            assert!(bytes.relative_error < nibbles.relative_error, "{bytes:?} {nibbles:?}");
            assert!(bytes.relative_error < 0.05 && bytes.greedy > 0.9, "{bytes:?}");
            assert!(bytes.divergence < nibbles.divergence, "{bytes:?} {nibbles:?}");
            assert!(nibbles.relative_error < 0.5 && nibbles.greedy > 0.5 && nibbles.divergence < 1.0, "{nibbles:?}");
        }
    }
}
