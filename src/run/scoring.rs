//! Scores prompts on labelled cases. Gold answers are used here and in `eval` only; the search
//! never gets them.

use super::models::{Surroundings, open_models};
use super::{Observer, RunError};
use crate::chat::{ChatError, ChatModel, Ledger, LedgerLine, Metered, ModelIdentity, ModelRole};
use crate::config::Settings;
use crate::engine::Date;
use crate::eval::{Evaluation, ItemResult, evaluate};
use crate::method::answer_all;
use crate::rollout::{Prompts, Runner, System};
use crate::task::{Case, Scorer};
use futures::executor::block_on;
use std::sync::Arc;

/// Scores `prompts` on labelled cases; `worker` runs the agents.
///
/// # Errors
/// Returns an error if a call failed for another reason than a prompt that is too long.
pub async fn score(
    settings: &Settings,
    worker: Arc<dyn ChatModel>,
    prompts: &Prompts,
    (cases, scorer): (&[Case], &Scorer),
) -> Result<Evaluation, ChatError> {
    let summary = settings.templates().summary.clone();
    let runner = Runner::new(settings.graph.clone(), worker, settings.options.rollout.clone(), summary);
    evaluate(&runner, prompts, cases, scorer).await
}

/// Scores a system on labelled cases; `worker` runs its agents. Where several answers vote, they
/// vote by the classes of the scorer.
///
/// # Errors
/// Returns an error if a call failed for another reason than a prompt that is too long.
pub async fn score_system(
    settings: &Settings,
    worker: Arc<dyn ChatModel>,
    system: &System,
    (cases, scorer): (&[Case], &Scorer),
) -> Result<Evaluation, ChatError> {
    let how = (&settings.options.rollout, &settings.templates().summary);
    let questions: Vec<_> = cases.iter().map(|case| case.query.question.clone()).collect();
    let outputs = answer_all(system, worker, how, settings.seed, &questions).await?;
    let answer = |outputs: &'_ crate::method::Outputs| -> String {
        let answers: Vec<&str> = outputs.answers.iter().map(String::as_str).collect();
        answers[scorer.vote(&answers)].to_string()
    };
    let answers: Vec<String> = outputs.iter().map(answer).collect();
    let pairs: Vec<_> = cases.iter().zip(&answers).map(|(case, answer)| (&**answer, &*case.answer)).collect();
    let scored = scorer.score_all(&pairs).map_err(|error| ChatError::Model(error.to_string()))?;
    let results = cases.iter().zip(&outputs).zip(scored).map(|((case, outputs), scored)| ItemResult {
        id: case.query.id.clone(),
        answer: scored.answer,
        outcome: scored.outcome,
        overflow: outputs.overflow,
        cut_in_reasoning: outputs.cut_in_reasoning,
    });
    Ok(Evaluation::new(results.collect()))
}

/// Labelled cases with an opened worker model whose calls are counted.
pub struct LabelledRun<'a> {
    settings: &'a Settings,
    labelled: (&'a [Case], &'a Scorer),
    worker: Arc<dyn ChatModel>,
    identity: ModelIdentity,
    ledger: Ledger,
}

impl<'a> LabelledRun<'a> {
    /// Opens the settings' worker model.
    ///
    /// # Errors
    /// Returns an error if the model cannot be opened.
    pub fn open(
        settings: &'a Settings,
        labelled: (&'a [Case], &'a Scorer),
        observer: &mut dyn Observer,
    ) -> Result<Self, RunError> {
        let surroundings =
            Surroundings { dtypes: None, backend: None, date: settings.date.unwrap_or_else(Date::today) };
        let models = open_models(settings, &[ModelRole::Worker], surroundings, observer)?;
        let model = settings.in_role(ModelRole::Worker, models.role(settings, ModelRole::Worker));
        let (identity, ledger) = (model.identity(), Ledger::new());
        let worker = Metered::new(model, ModelRole::Worker, ledger.clone(), observer.cancel());
        Ok(Self { settings, labelled, worker: Arc::new(worker), identity, ledger })
    }

    /// Scores `prompts` on the cases.
    ///
    /// # Errors
    /// Returns an error if a call failed for another reason than a prompt that is too long.
    pub fn score(&self, prompts: &Prompts) -> Result<Evaluation, ChatError> {
        block_on(score(self.settings, self.worker.clone(), prompts, self.labelled))
    }

    /// The name and the digest of the model.
    pub fn identity(&self) -> &ModelIdentity {
        &self.identity
    }

    /// The costs of the worker so far.
    pub fn bill(&self) -> LedgerLine {
        self.ledger.line(ModelRole::Worker)
    }
}
