//! Times a token engine. Prefill is timed on prompts that the engine has not seen. Decoding is
//! timed as the difference of two runs on prompts whose keys and values are cached, one of which
//! decodes a single token.

use crate::base::{Seed, Stage, Stopwatch};
use crate::chat::Sampling;
use crate::engine::qwen3::Config;
use crate::engine::token_engine::TokenEngine;
use crate::engine::{EngineError, TokenRequest};
use futures::executor::block_on;
use futures::future::try_join_all;
use rand::RngExt;
use serde::Serialize;

/// The number of timed runs per figure, of which the median counts.
const REPEATS: u64 = 3;

/// The load of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Load {
    /// The number of sequences at once.
    pub batch: usize,
    /// The number of prompt tokens of each sequence.
    pub prompt_tokens: usize,
    /// The number of new tokens of each sequence; at least 2.
    pub new_tokens: usize,
}

/// The measurements of one load: medians of three runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Figures {
    /// The number of sequences at once.
    pub batch: usize,
    /// Prompt tokens per second, over all sequences.
    pub prefill_tokens_per_s: f64,
    /// New tokens per second, over all sequences.
    pub decode_tokens_per_s: f64,
    /// The milliseconds of one decode step (one new token for every sequence).
    pub ms_per_step: f64,
    /// The bytes that a decode step has to read: the weights, and the keys and values half-way
    /// through the new tokens.
    pub bytes_per_step: u64,
    /// The bytes read per second: `bytes_per_step` divided by the time of a step.
    pub bytes_per_s: f64,
    /// The share of the measured read bandwidth.
    pub bandwidth_fraction: f64,
}

/// The memory traffic of a decode step, and the memory's speed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traffic {
    /// Bytes of weights per step.
    pub weights: usize,
    /// Bytes of keys and values per token of context.
    pub kv_per_token: usize,
    /// Measured read bandwidth, bytes per second.
    pub bandwidth: f64,
}

/// Measures one load. The engine's K/V pool has to hold all of its sequences.
///
/// # Errors
/// Returns an error if the load does not fit, or if the engine fails.
pub fn measure(
    engine: &TokenEngine,
    config: &Config,
    load: Load,
    seed: Seed,
    traffic: Traffic,
) -> Result<Figures, EngineError> {
    let (mut prefill_s, mut step_s) = (Vec::new(), Vec::new());
    for repeat in 0..REPEATS {
        let prompts = prompts(config, load, seed, repeat);
        prefill_s.push(run(engine, &prompts, 1)?);
        let one = run(engine, &prompts, 1)?;
        let all = run(engine, &prompts, load.new_tokens)?;
        // On a busy machine the two runs of a tiny model can come out in the wrong order, so a step
        // counts as at least one microsecond.
        step_s.push((all - one).max(1e-6) / (load.new_tokens - 1) as f64);
    }
    let (prefill_s, step_s) = (median(prefill_s), median(step_s));
    let context = load.prompt_tokens + load.new_tokens / 2;
    let bytes_per_step = (traffic.weights + load.batch * context * traffic.kv_per_token) as u64;
    let bytes_per_s = bytes_per_step as f64 / step_s;
    Ok(Figures {
        batch: load.batch,
        prefill_tokens_per_s: (load.batch * load.prompt_tokens) as f64 / prefill_s,
        decode_tokens_per_s: load.batch as f64 / step_s,
        ms_per_step: step_s * 1e3,
        bytes_per_step,
        bytes_per_s,
        bandwidth_fraction: bytes_per_s / traffic.bandwidth,
    })
}

/// Returns the seconds for all prompts at once.
fn run(engine: &TokenEngine, prompts: &[Vec<u32>], new_tokens: usize) -> Result<f64, EngineError> {
    let requests = prompts.iter().map(|prompt| {
        engine.generate(TokenRequest {
            prompt: prompt.clone(),
            max_new_tokens: new_tokens,
            sampling: Sampling::GREEDY,
            ignore_eos: true,
            stop: Vec::new(),
        })
    });
    let watch = Stopwatch::start();
    block_on(try_join_all(requests))?;
    Ok(watch.seconds())
}

/// Draws prompts that share no prefix with each other or with those of other repeats.
fn prompts(config: &Config, load: Load, seed: Seed, repeat: u64) -> Vec<Vec<u32>> {
    let prompt = |sequence: u64| {
        let mut rng = seed.derive(Stage::Data, &[load.batch as u64, repeat, sequence]).rng();
        (0..load.prompt_tokens).map(|_| rng.random_range(0..config.vocab_size as u32)).collect()
    };
    (0..load.batch as u64).map(prompt).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
