//! Times given requests with and without prompt lookup (speculative decoding with drafts from the
//! text so far). The gain depends on how much of an output repeats earlier text, so it is measured
//! on real requests. Only decoding is timed: the keys and values of the prompts' full blocks are
//! cached if the pool holds them all. All settings must give the same tokens.

use super::step::{Spread, StepError};
use crate::base::{Stopwatch, processor_seconds};
use crate::engine::token_engine::Counters;
use crate::engine::{EngineError, EngineOptions, TextEngine, TokenRequest};
use futures::executor::block_on;
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

/// One setting under which the requests are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Drafting {
    /// The number of requests in flight at once.
    pub batch: usize,
    /// The most tokens drafted per step and sequence; 0 turns drafts off.
    pub draft_tokens: usize,
    /// The number of rows in a step up to which drafts are added.
    pub draft_rows: usize,
}

/// The measurements of one setting.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DraftFigures {
    /// The setting.
    #[serde(flatten)]
    pub drafting: Drafting,
    /// The number of forward passes in the last round.
    pub steps: u64,
    /// The number of tokens decoded.
    pub decoded_tokens: u64,
    /// The number of drafted tokens in the last round.
    pub drafted_tokens: u64,
    /// The number of these that were accepted.
    pub accepted_tokens: u64,
    /// The number of prompt tokens that were not cached and had to be computed, in the last round.
    pub prefilled_tokens: u64,
    /// The wall-clock seconds for all requests.
    pub seconds: Spread,
    /// The seconds of the first setting with this batch, divided by these of the same round.
    pub speedup: Spread,
    /// The CPU seconds for all requests; `None` if the system does not say.
    pub processor_seconds: Option<Spread>,
    /// The CPU seconds of the first setting with this batch, divided by these of the same round.
    pub processor_speedup: Option<Spread>,
}

/// One timed run.
struct Run {
    seconds: f64,
    processor_seconds: Option<f64>,
    counters: Counters,
    answers: Vec<Vec<u32>>,
}

/// Makes `requests` under all settings in `ways`, `rounds` times, in a different order every round.
/// `report` is called after every run with its round, setting and seconds.
///
/// # Errors
/// Returns an error if the engine fails, or if two settings give different tokens.
pub fn measure_drafting(
    model: &mut TextEngine,
    options: &EngineOptions,
    requests: &[TokenRequest],
    ways: &[Drafting],
    rounds: usize,
    mut report: impl FnMut(usize, Drafting, f64),
) -> Result<Vec<DraftFigures>, StepError> {
    let mut runs: Vec<Vec<Run>> = ways.iter().map(|_| Vec::with_capacity(rounds)).collect();
    let mut expected: Option<Vec<Vec<u32>>> = None;
    for round in 1..=rounds {
        for turn in 0..ways.len() {
            let at = (turn + round - 1) % ways.len();
            let Drafting { batch, draft_tokens, draft_rows } = ways[at];
            model.restart(&EngineOptions { draft_tokens, draft_rows, ..options.clone() })?;
            let mut run = run(model, requests, batch)?;
            report(round, ways[at], run.seconds);
            let answers = std::mem::take(&mut run.answers);
            let expected = expected.get_or_insert_with(|| answers.clone());
            if let Some(call) = answers.iter().zip(&*expected).position(|(answer, expected)| answer != expected) {
                let mode = if draft_tokens == 0 { "without drafts" } else { "with drafts" };
                return Err(StepError::Differs { call, mode, round });
            }
            runs[at].push(run);
        }
    }
    Ok((0..ways.len()).filter_map(|at| figures(ways, &runs, at)).collect())
}

fn run(model: &TextEngine, requests: &[TokenRequest], batch: usize) -> Result<Run, EngineError> {
    let answer = |most: usize| -> Result<Vec<Vec<u32>>, EngineError> {
        let requests = requests.iter().map(|request| {
            let max_new_tokens = request.max_new_tokens.min(most);
            model.generate(TokenRequest { max_new_tokens, ..request.clone() })
        });
        block_on(stream::iter(requests).buffered(batch).map_ok(|output| output.token_ids).try_collect())
    };
    // This fills the prefix tree.
    answer(1)?;
    let (before, watch, processor) = (model.counters(), Stopwatch::start(), processor_seconds());
    let answers = answer(usize::MAX)?;
    let (seconds, counters) = (watch.seconds(), model.counters());
    let processor_seconds = processor.zip(processor_seconds()).map(|(before, after)| after - before);
    let counters = Counters {
        steps: counters.steps - before.steps,
        prefilled_tokens: counters.prefilled_tokens - before.prefilled_tokens,
        decoded_tokens: counters.decoded_tokens - before.decoded_tokens,
        drafted_tokens: counters.drafted_tokens - before.drafted_tokens,
        accepted_tokens: counters.accepted_tokens - before.accepted_tokens,
        ..counters
    };
    Ok(Run { seconds, processor_seconds, counters, answers })
}

/// Returns the measurements of the setting at `at`; `None` without rounds.
fn figures(ways: &[Drafting], runs: &[Vec<Run>], at: usize) -> Option<DraftFigures> {
    let first = ways.iter().position(|way| way.batch == ways[at].batch)?;
    let (seconds, speedup) = spreads(&runs[first], &runs[at], |run| Some(run.seconds))?;
    let processor = spreads(&runs[first], &runs[at], |run| run.processor_seconds.filter(|seconds| *seconds > 0.0));
    let counters = runs[at].last()?.counters;
    Some(DraftFigures {
        drafting: ways[at],
        steps: counters.steps,
        decoded_tokens: counters.decoded_tokens,
        drafted_tokens: counters.drafted_tokens,
        accepted_tokens: counters.accepted_tokens,
        prefilled_tokens: counters.prefilled_tokens,
        seconds,
        speedup,
        processor_seconds: processor.map(|(seconds, _)| seconds),
        processor_speedup: processor.map(|(_, speedup)| speedup),
    })
}

/// Returns the spread of the seconds of `own`, and of the seconds of `first` divided by them.
fn spreads(first: &[Run], own: &[Run], seconds: impl Fn(&Run) -> Option<f64>) -> Option<(Spread, Spread)> {
    let [first, own] = [first, own].map(|runs| runs.iter().map(&seconds).collect::<Option<Vec<f64>>>());
    let (first, own) = (first?, own?);
    let ratios: Vec<f64> = first.iter().zip(&own).map(|(first, own)| first / own).collect();
    Some((Spread::of(&own)?, Spread::of(&ratios)?))
}
