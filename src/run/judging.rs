//! Checks the judge of an experiment on runs of its seed prompts.

use super::models::{Surroundings, open_models};
use super::{Observer, RunError};
use crate::base::{AgentId, Stage};
use crate::chat::{ChatModel, Decoding, Ledger, LedgerLine, Metered, ModelIdentity, ModelRole, RoleModel};
use crate::config::Settings;
use crate::engine::Date;
use crate::eval::SAMPLE_TEMPERATURE;
use crate::judge::Judge;
use crate::judge_check::{CheckInput, JudgeCheck, Known, KnownPair, Pair, check};
use crate::rollout::{Prompts, Runner};
use crate::task::{Case, Outcome, Scorer};
use futures::executor::block_on;
use std::sync::Arc;

/// What a check found, and what it cost.
#[derive(Clone, PartialEq, Debug)]
pub struct CheckedJudge {
    /// The name and the digest of the judge's model.
    pub model: ModelIdentity,
    /// The number of queries whose outputs were judged.
    pub queries: usize,
    /// What was found.
    pub check: JudgeCheck,
    /// What running the agents cost.
    pub worker: LedgerLine,
    /// What judging cost.
    pub judge: LedgerLine,
}

/// Checks the judge on the first `queries` of the pool, on the labelled cases of `data.train`, and
/// on `labelled` pairs of known order.
///
/// # Errors
/// A model cannot be opened, or a call failed.
pub fn check_judge(
    settings: &Settings,
    queries: usize,
    labelled: Vec<KnownPair>,
    observer: &mut dyn Observer,
) -> Result<CheckedJudge, RunError> {
    let roles = [ModelRole::Worker, ModelRole::Judge];
    let surroundings = Surroundings { dtypes: None, backend: None, date: settings.date.unwrap_or_else(Date::today) };
    let models = open_models(settings, &roles, &surroundings, observer)?;
    let (ledger, cancel) = (Ledger::new(), observer.cancel());
    let metered = |role| Metered::new(models.role(settings, role), role, ledger.clone(), cancel.clone());
    let [worker, judge_model] = [Arc::new(metered(ModelRole::Worker)), Arc::new(metered(ModelRole::Judge))];

    let summary = &settings.templates().summary;
    let runner = |model| Runner::new(settings.graph.clone(), model, settings.options.rollout.clone(), summary.clone());
    let prompts = Prompts::seed(&settings.graph);
    let items: Vec<(usize, Arc<str>)> =
        settings.pool.iter().take(queries).map(|query| query.question.clone()).enumerate().collect();
    let runs = block_on(runner(settings.in_role(ModelRole::Worker, worker.clone())).run(&prompts, &items))?;
    let own = settings.model(ModelRole::Worker).decoding;
    let warm = own.temperature.filter(|temperature| *temperature > 0.0).or(Some(SAMPLE_TEMPERATURE));
    let sampled = RoleModel::wrap(
        worker,
        ModelRole::Worker,
        Decoding { temperature: warm, ..own },
        settings.seed.derive(Stage::Sample, &[0]),
    );
    let again = block_on(runner(sampled).run(&prompts, &items))?;

    let model = judge_model.identity();
    let judge = Judge::new(
        settings.in_role(ModelRole::Judge, judge_model),
        settings.options.judge.clone(),
        settings.seed,
        settings.templates().judge.clone(),
    );
    let train = settings.split("train").zip(settings.scorer.as_ref());
    let gold =
        train.map(|(cases, scorer)| gold_pairs(settings.graph.terminal(), &cases[..queries.min(cases.len())], scorer));
    let known = gold.into_iter().flatten().chain(labelled).collect();
    let input =
        CheckInput { graph: &settings.graph, judge: &judge, runs: &runs, again: &again, known, seed: settings.seed };
    let check = block_on(check(input))?;
    Ok(CheckedJudge {
        model,
        queries: items.len(),
        check,
        worker: ledger.line(ModelRole::Worker),
        judge: ledger.line(ModelRole::Judge),
    })
}

/// Returns, for each case, its gold answer beside that of the next case which the scorer calls
/// wrong. Cases of a scorer that does not compare answers, such as programs, have none.
fn gold_pairs(terminal: AgentId, cases: &[Case], scorer: &Scorer) -> Vec<KnownPair> {
    if matches!(scorer, Scorer::Code { .. }) {
        return Vec::new();
    }
    let output = |case: &Case| format!("<answer>{}</answer>", case.answer);
    let is = |outcome, output: &str, gold: &str| {
        scorer.score_all(&[(output, gold)]).is_ok_and(|scored| scored.first().is_some_and(|one| one.outcome == outcome))
    };
    let pair = |at: usize| {
        let case = &cases[at];
        let right = Some(output(case)).filter(|output| is(Outcome::Correct, output, &case.answer))?;
        let others = (1..cases.len()).map(|step| output(&cases[(at + step) % cases.len()]));
        let wrong = others.take(16).find(|output| is(Outcome::Wrong, output, &case.answer))?;
        let question = case.query.question.to_string();
        let pair = Pair { agent: terminal, question, context: None, answers: [right, wrong] };
        Some(KnownPair { pair, known: Known::Gold })
    };
    (0..cases.len()).filter_map(pair).collect()
}
