//! Replays the calls of a recorded step on a token engine, concurrently as a search makes them or
//! one at a time. The output of a call becomes part of the prompts that read it.

use super::workload::{Call, Part, Workload};
use crate::base::{Seed, Stage, Stopwatch};
use crate::chat::{ModelRole, Sampling};
use crate::engine::token_engine::{Counters, TokenEngine};
use crate::engine::{EngineError, TokenRequest};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{BoxFuture, Shared, try_join_all};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// The temperature of the optimizer model in the paper.
const TEMPERATURE: f64 = 0.7;

/// The seed that proposals are sampled from.
const SEED: Seed = Seed(1);

/// One way to make the calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Mode {
    /// Whether all calls that are ready are made at once; otherwise one after the other.
    pub concurrent: bool,
    /// Whether the engine reuses the keys and values of shared prefixes.
    pub prefix_reuse: bool,
}

impl Mode {
    /// All modes: first as a search makes its calls, then what that is compared with.
    pub const ALL: [Self; 4] = [
        Self { concurrent: true, prefix_reuse: true },
        Self { concurrent: true, prefix_reuse: false },
        Self { concurrent: false, prefix_reuse: true },
        Self { concurrent: false, prefix_reuse: false },
    ];

    /// The mode's name in the output.
    pub fn name(self) -> &'static str {
        match (self.concurrent, self.prefix_reuse) {
            (true, true) => "as a search does it",
            (true, false) => "without prefix reuse",
            (false, true) => "one at a time",
            (false, false) => "one at a time, no reuse",
        }
    }
}

/// The answer to a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// The new tokens.
    Tokens(Vec<u32>),
    /// The bits of the letters' log-probabilities.
    Scores(Vec<u64>),
}

/// The result of a replayed step.
pub(super) struct Replayed {
    /// Seconds from the first call to the last answer.
    pub(super) seconds: f64,
    /// The engine's counters.
    pub(super) counters: Counters,
    /// The answers, by call.
    pub(super) answers: Vec<Arc<Answer>>,
}

/// A pending call that several others wait for.
type Pending<'a> = Shared<BoxFuture<'a, Result<Arc<Answer>, EngineError>>>;

/// Makes all calls on a fresh engine.
pub(super) fn replay(
    engine: &TokenEngine,
    workload: &Workload,
    vocab_size: usize,
    concurrent: bool,
) -> Result<Replayed, EngineError> {
    let texts = workload.draw_texts(vocab_size);
    let mut pending: Vec<Pending<'_>> = Vec::with_capacity(workload.calls.len());
    for (at, call) in workload.calls.iter().enumerate() {
        let read = call.prompt.iter().filter_map(|part| match *part {
            Part::Output(from, ..) => Some((from, pending[from].clone())),
            Part::Text(_) => None,
        });
        let read = read.collect::<HashMap<usize, Pending<'_>>>();
        pending.push(make(engine, at, call, &texts, read).boxed().shared());
    }
    let last_phase = workload.calls.iter().map(|call| call.phase).max().unwrap_or(0);
    let watch = Stopwatch::start();
    let answers = block_on(async {
        if concurrent {
            for phase in 0..=last_phase {
                let calls = pending.iter().zip(&workload.calls).filter(|(_, call)| call.phase == phase);
                try_join_all(calls.map(|(pending, _)| pending.clone())).await?;
            }
        }
        let mut answers = Vec::with_capacity(pending.len());
        for pending in &pending {
            answers.push(pending.clone().await?);
        }
        Ok(answers)
    })?;
    Ok(Replayed { seconds: watch.seconds(), counters: engine.counters(), answers })
}

async fn make(
    engine: &TokenEngine,
    at: usize,
    call: &Call,
    texts: &[Vec<u32>],
    read: HashMap<usize, Pending<'_>>,
) -> Result<Arc<Answer>, EngineError> {
    let mut prompt = Vec::new();
    for part in &call.prompt {
        match *part {
            Part::Text(text) => prompt.extend_from_slice(&texts[text]),
            Part::Output(from, start, end) => match &*read[&from].clone().await? {
                Answer::Tokens(tokens) => prompt.extend_from_slice(&tokens[start..end]),
                Answer::Scores(_) => unreachable!("a sound recording reads only what was written"),
            },
        }
    }
    let answer = if call.role == ModelRole::Judge {
        // The work does not depend on which two tokens stand for A and B.
        let scored = engine.score(prompt, vec![vec![0], vec![1]]).await?;
        Answer::Scores(scored.logprobs.into_iter().map(f64::to_bits).collect())
    } else {
        let sampling = match call.role {
            ModelRole::Optimizer => Sampling::at(TEMPERATURE, SEED.derive(Stage::Proposal, &[at as u64]).0),
            _ => Sampling::GREEDY,
        };
        let max_new_tokens = call.new_tokens;
        let request = TokenRequest { prompt, max_new_tokens, sampling, ignore_eos: true, stop: Vec::new() };
        Answer::Tokens(engine.generate(request).await?.token_ids)
    };
    Ok(Arc::new(answer))
}
