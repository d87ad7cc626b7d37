//! Times a recorded step in every mode and compares: each run starts from an empty prefix tree, the
//! modes take turns, and all of them must give the same tokens and scores to the bit.

use super::replay::{Answer, Mode, Replayed, replay};
use super::workload::Workload;
use crate::engine::{Bare, EngineError, EngineOptions};
use crate::stats::quantile;
use serde::Serialize;
use std::sync::Arc;

/// Median, least and greatest of the rounds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of some values; `None` without any.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let at = |level| quantile(values, level);
        Some(Self { median: at(0.5)?, min: at(0.0)?, max: at(1.0)? })
    }
}

/// What one mode took.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ModeFigures {
    /// Which one.
    #[serde(flatten)]
    pub mode: Mode,
    /// Requests to the engine.
    pub requests: u64,
    /// Prompt tokens computed, in the last round.
    pub prefilled_tokens: u64,
    /// Prompt tokens whose keys and values were already there, in the last round.
    pub reused_tokens: u64,
    /// Tokens decoded.
    pub decoded_tokens: u64,
    /// Forward passes, in the last round.
    pub steps: u64,
    /// Tokens that were drafted, in the last round.
    pub drafted_tokens: u64,
    /// Of these, those that were accepted.
    pub accepted_tokens: u64,
    /// Most sequences in one forward pass, in the last round.
    pub peak_running: u64,
    /// Sequences put back into the queue because blocks ran out, in the last round.
    pub preemptions: u64,
    /// Seconds for the whole step.
    pub seconds: Spread,
    /// This mode's seconds over those of the first mode in the same round.
    pub speedup_of_first: Spread,
}

/// Why there are no figures.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum StepError {
    /// The engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The engine broke its promise that no answer depends on batch-mates and cached prefixes.
    #[error(
        "call {call} was answered differently in the mode `{mode}` of round {round}: the engine is not batch-invariant"
    )]
    Differs {
        /// The first call that differs.
        call: usize,
        /// In which mode.
        mode: &'static str,
        /// In which round, from 1.
        round: usize,
    },
}

/// Replays `workload` in every mode, `rounds` times; figures in the order of [`Mode::ALL`]. The
/// engine of `bare` is started anew with `options` for every run, but for prefix reuse. `report` is
/// called after every run with its round, mode and seconds.
///
/// # Errors
/// An engine that fails, or answers that differ between the modes.
pub fn measure_step(
    bare: &mut Bare,
    options: &EngineOptions,
    workload: &Workload,
    rounds: usize,
    mut report: impl FnMut(usize, Mode, f64),
) -> Result<Vec<ModeFigures>, StepError> {
    let mut runs: [Vec<Replayed>; Mode::ALL.len()] = Default::default();
    let mut expected: Option<Vec<Arc<Answer>>> = None;
    for round in 1..=rounds {
        for turn in 0..Mode::ALL.len() {
            // Every round starts with another mode, so that a drift of the machine's speed meets
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

/// The first call that was not answered alike.
fn first_difference(answers: &[Arc<Answer>], expected: &[Arc<Answer>]) -> Option<usize> {
    answers.iter().zip(expected).position(|(answer, expected)| answer != expected)
}

/// `None` without rounds.
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
