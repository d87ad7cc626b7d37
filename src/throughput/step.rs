//! Times a recorded step in every mode. Each run starts with an empty prefix tree, the modes take
//! turns, and all of them must give the same tokens and bitwise the same scores.

use super::replay::{Answer, Mode, Replayed, replay};
use super::workload::Workload;
use crate::engine::{BareEngine, EngineError, EngineOptions};
use crate::stats::quantile;
use serde::Serialize;
use std::sync::Arc;

/// The median, minimum and maximum over the rounds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The minimum.
    pub min: f64,
    /// The maximum.
    pub max: f64,
}

impl Spread {
    /// Returns the spread of some values; `None` without values.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let at = |level| quantile(values, level);
        Some(Self { median: at(0.5)?, min: at(0.0)?, max: at(1.0)? })
    }
}

/// The measurements of one mode.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModeFigures {
    /// The mode.
    #[serde(flatten)]
    pub mode: Mode,
    /// The number of requests to the engine.
    pub requests: u64,
    /// The number of prompt tokens computed in the last round.
    pub prefilled_tokens: u64,
    /// The number of prompt tokens whose keys and values were reused in the last round.
    pub reused_tokens: u64,
    /// The number of tokens decoded.
    pub decoded_tokens: u64,
    /// The number of forward passes in the last round.
    pub steps: u64,
    /// The number of drafted tokens in the last round.
    pub drafted_tokens: u64,
    /// The number of these that were accepted.
    pub accepted_tokens: u64,
    /// The most sequences in one forward pass in the last round.
    pub peak_running: u64,
    /// The number of sequences that were put back into the queue because blocks ran out, in the
    /// last round.
    pub preemptions: u64,
    /// The wall-clock seconds for the whole step.
    pub seconds: Spread,
    /// These seconds divided by those of the first mode in the same round.
    pub speedup_of_first: Spread,
}

/// Why the measurement failed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum StepError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An answer depended on batch-mates or on cached prefixes, which the engine excludes.
    #[error(
        "call {call} was answered differently in the mode `{mode}` of round {round}: the engine is not batch-invariant"
    )]
    Differs {
        /// The first call that differs.
        call: usize,
        /// The mode that it differs in.
        mode: &'static str,
        /// The round, from 1.
        round: usize,
    },
}

/// Replays `workload` in every mode, `rounds` times; the measurements are in the order of
/// [`Mode::ALL`]. The engine of `bare` is restarted with `options` for every run, with only prefix
/// reuse changed. `report` is called after every run with its round, mode and seconds.
///
/// # Errors
/// Returns an error if the engine fails, or if answers differ between the modes.
pub fn measure_step(
    bare: &mut BareEngine,
    options: &EngineOptions,
    workload: &Workload,
    rounds: usize,
    mut report: impl FnMut(usize, Mode, f64),
) -> Result<Vec<ModeFigures>, StepError> {
    let mut runs: [Vec<Replayed>; Mode::ALL.len()] = Default::default();
    let mut expected: Option<Vec<Arc<Answer>>> = None;
    for round in 1..=rounds {
        for turn in 0..Mode::ALL.len() {
            // Every round starts with another mode, so that a drift of the machine's speed affects
            // all of them.
            let at = (turn + round - 1) % Mode::ALL.len();
            let mode = Mode::ALL[at];
            bare.restart(&EngineOptions { prefix_reuse: mode.prefix_reuse, ..options.clone() })?;
            let mut run = replay(&bare.engine, workload, bare.config.vocab_size, mode.concurrent)?;
            report(round, mode, run.seconds);
            let answers = std::mem::take(&mut run.answers);
            let expected = expected.get_or_insert_with(|| answers.clone());
            if let Some(call) = first_difference(&answers, expected) {
                return Err(StepError::Differs { call, mode: mode.name(), round });
            }
            runs[at].push(run);
        }
    }
    let first: Vec<f64> = runs[0].iter().map(|run| run.seconds).collect();
    Ok(Mode::ALL.into_iter().zip(&runs).filter_map(|(mode, runs)| figures(mode, runs, &first)).collect())
}

/// Returns the first call that was answered differently.
fn first_difference(answers: &[Arc<Answer>], expected: &[Arc<Answer>]) -> Option<usize> {
    answers.iter().zip(expected).position(|(answer, expected)| answer != expected)
}

/// Returns the measurements of one mode; `None` without rounds.
fn figures(mode: Mode, runs: &[Replayed], first: &[f64]) -> Option<ModeFigures> {
    let counters = runs.last()?.counters;
    let seconds: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
    let ratios: Vec<f64> = seconds.iter().zip(first).map(|(own, first)| own / first).collect();
    Some(ModeFigures {
        mode,
        requests: counters.requests,
        prefilled_tokens: counters.prefilled_tokens,
        reused_tokens: counters.reused_tokens,
        decoded_tokens: counters.decoded_tokens,
        steps: counters.steps,
        drafted_tokens: counters.drafted_tokens,
        accepted_tokens: counters.accepted_tokens,
        peak_running: counters.peak_running,
        preemptions: counters.preemptions,
        seconds: Spread::of(&seconds)?,
        speedup_of_first: Spread::of(&ratios)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::token_engine::Counters;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let run = |seconds| Replayed { seconds, counters: Counters::default(), answers: vec![] };
        let figures = figures(Mode::ALL[1], &[run(8.0), run(6.0), run(30.0)], &[2.0, 3.0, 5.0]).unwrap();
        assert_eq!(figures.seconds, Spread { median: 8.0, min: 6.0, max: 30.0 });
        assert_eq!(figures.speedup_of_first, Spread { median: 4.0, min: 2.0, max: 6.0 });
        assert!(super::figures(Mode::ALL[1], &[], &[]).is_none());
    }

    #[test]
    fn one_bit_of_one_score_is_a_difference() {
        let scores = |p: f64| Arc::new(Answer::Scores(vec![p.to_bits()]));
        let tokens = |tokens: &[u32]| Arc::new(Answer::Tokens(tokens.to_vec()));
        let expected = [tokens(&[1, 2]), scores(-0.5)];
        assert_eq!(first_difference(&expected, &expected), None);
        assert_eq!(first_difference(&[tokens(&[1, 2]), scores((-0.5_f64).next_up())], &expected), Some(1));
        assert_eq!(first_difference(&[tokens(&[1, 3]), scores(-0.5)], &expected), Some(0));
    }
}
