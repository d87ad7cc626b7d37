//! Scores prompts on labelled cases. Gold answers are used here and in `eval` only; the search
//! never gets them.

use super::models::{Surroundings, open_models};
use super::verdicts::verdicts;
use super::{Observer, RunError};
use crate::chat::{ChatError, ChatModel, Ledger, LedgerLine, Metered, ModelIdentity, ModelRole};
use crate::config::Settings;
use crate::engine::Date;
use crate::eval::{
    Evaluation, ItemResult, SampleOptions, Samples, VerdictOptions, Verdicts, evaluate, evaluate_samples,
};
use crate::method::{Answering, Outputs};
use crate::rollout::{Prompts, Runner, System};
use crate::task::{Case, Scored, Scorer};
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

/// Scores a system on labelled cases; `worker` is the model before it is in its role. Where a
/// question has several answers, they vote as the scorer groups them. Programs cannot vote, so that
/// the first one counts.
///
/// # Errors
/// Returns an error if a call failed for another reason than a prompt that is too long.
pub async fn score_system(
    settings: &Settings,
    worker: Arc<dyn ChatModel>,
    system: &System,
    (cases, scorer): (&[Case], &Scorer),
) -> Result<Evaluation, ChatError> {
    let answering = Answering {
        worker,
        decoding: settings.model(ModelRole::Worker).decoding,
        seed: settings.seed,
        options: settings.options.rollout.clone(),
        summary: settings.templates().summary.clone(),
    };
    let questions: Vec<_> = cases.iter().map(|case| case.query.question.clone()).collect();
    let outputs = answering.answer(system, &questions).await?;
    let voting = |outputs: &Outputs| if scorer.can_vote() { outputs.answers.len() } else { 1 };
    let pairs: Vec<(&str, &str)> = cases
        .iter()
        .zip(&outputs)
        .flat_map(|(case, outputs)| {
            outputs.answers.iter().take(voting(outputs)).map(|answer| (&**answer, &*case.answer))
        })
        .collect();
    let scored = scorer.score_all(&pairs).map_err(|error| ChatError::Model(error.to_string()))?;
    let mut scored = scored.into_iter();
    let results = cases.iter().zip(&outputs).map(|(case, outputs)| {
        let mut samples: Vec<Scored> = scored.by_ref().take(voting(outputs)).collect();
        let answers: Vec<_> = samples.iter().map(|sample| sample.answer.as_deref()).collect();
        // Without any answer all samples are alike.
        let winner = scorer.vote(&answers).unwrap_or(0);
        let Scored { answer, outcome, .. } = samples.swap_remove(winner);
        ItemResult {
            id: case.query.id.clone(),
            answer,
            outcome,
            overflow: outputs.overflow,
            cut_in_reasoning: outputs.cut_in_reasoning,
        }
    });
    Ok(Evaluation::new(results.collect()).of_cases(cases))
}

/// Labelled cases with an opened worker model whose calls are counted.
pub struct LabelledRun<'a> {
    settings: &'a Settings,
    labelled: (&'a [Case], &'a Scorer),
    /// The worker model as it is opened, with its calls counted.
    model: Arc<dyn ChatModel>,
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
        let models = open_models(settings, &[ModelRole::Worker], &surroundings, observer)?;
        let model = models.role(settings, ModelRole::Worker);
        let (identity, ledger) = (model.identity(), Ledger::new());
        let model = Metered::new(model, ModelRole::Worker, ledger.clone(), observer.cancel());
        Ok(Self { settings, labelled, model: Arc::new(model), identity, ledger })
    }

    /// Scores `prompts` on the cases.
    ///
    /// # Errors
    /// Returns an error if a call failed for another reason than a prompt that is too long.
    pub fn score(&self, prompts: &Prompts) -> Result<Evaluation, ChatError> {
        let worker = self.settings.in_role(ModelRole::Worker, self.model.clone());
        block_on(score(self.settings, worker, prompts, self.labelled))
    }

    /// Scores several samples of every case with `prompts`, and returns the evaluation of the first
    /// ones, too.
    ///
    /// # Errors
    /// Returns an error if a call failed for another reason than a prompt that is too long.
    pub fn score_samples(
        &self,
        prompts: &Prompts,
        options: &SampleOptions,
    ) -> Result<(Evaluation, Samples), ChatError> {
        let settings = self.settings;
        let workers = options.workers(&self.model, settings.model(ModelRole::Worker).decoding, settings.seed);
        let summary = &settings.templates().summary;
        let runner =
            |worker| Runner::new(settings.graph.clone(), worker, settings.options.rollout.clone(), summary.clone());
        let runners: Vec<Runner> = workers.into_iter().map(runner).collect();
        let (cases, scorer) = self.labelled;
        block_on(evaluate_samples(&runners, prompts, cases, scorer, options))
    }

    /// Scores `prompts` on the cases, which are those of `split`, and reads the verdicts. A
    /// threshold is chosen on `data.train`, which is run, too, unless it is the split.
    ///
    /// # Errors
    /// Returns an error if a call failed for another reason than a prompt that is too long.
    ///
    /// # Panics
    /// Panics if a threshold is wanted and there is no `data.train`.
    pub fn score_verdicts(
        &self,
        prompts: &Prompts,
        options: &VerdictOptions,
        split: &str,
    ) -> Result<(Evaluation, Verdicts), ChatError> {
        let worker = self.settings.in_role(ModelRole::Worker, self.model.clone());
        block_on(verdicts(self.settings, worker, prompts, (self.labelled.0, split), options))
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
