//! Reads verdicts on labelled cases: runs the team, and has the worker score the labels.

use crate::chat::{ChatError, ChatModel};
use crate::config::Settings;
use crate::eval::{Evaluation, VerdictCase, VerdictInput, VerdictOptions, Verdicts, evaluate_traces, score_labels};
use crate::rollout::{Prompts, Runner};
use crate::task::{Case, Scorer};
use std::sync::Arc;

/// Scores `prompts` on the cases of `split` and reads their verdicts; `worker` runs the agents. A
/// threshold is chosen on `data.train`, which is run, too, unless it is the split.
///
/// # Errors
/// Returns an error if a call failed for another reason than a prompt that is too long.
///
/// # Panics
/// Panics if there is no scorer, or if a threshold is wanted and there is no `data.train`.
pub(super) async fn verdicts(
    settings: &Settings,
    worker: Arc<dyn ChatModel>,
    prompts: &Prompts,
    (cases, split): (&[Case], &str),
    options: &VerdictOptions,
) -> Result<(Evaluation, Verdicts), ChatError> {
    let scorer = settings.scorer.as_ref().expect("settings with labelled cases have a scorer");
    let read = async |cases| read_verdicts(settings, worker.clone(), prompts, (cases, scorer), options).await;
    let (evaluation, cases) = read(cases).await?;
    let train = match options.max_fpr.is_some() && split != "train" {
        true => Some(read(settings.split("train").expect("settings with a threshold have cases")).await?.1),
        false => None,
    };
    let input = VerdictInput { split, cases: &cases, train: train.as_deref(), seed: settings.seed };
    Ok((evaluation, Verdicts::new(options, &input)))
}

/// Scores `prompts` on labelled cases and reads how likely each label is; `worker` runs the agents.
///
/// # Errors
/// Returns an error if a call failed for another reason than a prompt that is too long.
async fn read_verdicts(
    settings: &Settings,
    worker: Arc<dyn ChatModel>,
    prompts: &Prompts,
    (cases, scorer): (&[Case], &Scorer),
    options: &VerdictOptions,
) -> Result<(Evaluation, Vec<VerdictCase>), ChatError> {
    let (graph, rollout) = (&settings.graph, &settings.options.rollout);
    let summary = settings.templates().summary.clone();
    let runner = Runner::new(graph.clone(), worker.clone(), rollout.clone(), summary);
    let (evaluation, traces) = evaluate_traces(&runner, prompts, cases, scorer).await?;
    let scores = score_labels(&worker, graph, prompts, &traces, &options.labels, rollout.max_in_flight).await?;
    let rows = cases.iter().zip(&evaluation.items).zip(scores);
    let verdict = rows.map(|((case, item), scores)| VerdictCase {
        id: item.id.clone(),
        // Cases with another gold answer were refused when they were loaded.
        gold: scorer.gold(&case.answer).unwrap_or_default(),
        written: item.answer.clone(),
        scores,
    });
    let verdicts = verdict.collect();
    Ok((evaluation, verdicts))
}
