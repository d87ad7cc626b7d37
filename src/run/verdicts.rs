//! Reads verdicts on labelled cases: runs the team, and has the worker score the labels.

use crate::chat::{ChatError, ChatModel};
use crate::config::Settings;
use crate::eval::{Evaluation, VerdictCase, VerdictOptions, evaluate_traces, score_labels};
use crate::rollout::{Prompts, Runner};
use crate::task::{Case, Scorer};
use std::sync::Arc;

/// Scores `prompts` on labelled cases and reads how likely each label is; `worker` runs the agents.
///
/// # Errors
/// Returns an error if a call failed for another reason than a prompt that is too long.
pub(super) async fn read_verdicts(
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
