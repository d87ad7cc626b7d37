//! The models and the cache of a finished run, opened again to measure what its changes are worth.
//! Calls that the run made are answered from its cache; new ones are added to it.

use super::change::{CaseView, Change, diverse};
use crate::base::{AgentId, Seed};
use crate::bundle::{Bundle, JudgedEvidence, TestEvidence};
use crate::cache::CachedModel;
use crate::chat::{ChatError, ChatModel, Ledger, LedgerLine, Metered, ModelRole};
use crate::config::Settings;
use crate::engine::Date;
use crate::eval::Evaluation;
use crate::graph::Graph;
use crate::journal::{Journal, JournalError, RunInfo};
use crate::judge::Judge;
use crate::prompt::Template;
use crate::report::without_words;
use crate::reward::compare;
use crate::rollout::{Prompts, Runner, Trace};
use crate::run::{Observer, RunError, Surroundings, open_models, score};
use crate::store::Store;
use futures::executor::block_on;
use futures::future::try_join_all;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The counter of comparisons that a review makes; only the coin uses it.
const DRAW: u64 = 5;

/// Why a run cannot be reviewed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The experiment is no longer what it was.
    #[error(
        "{file} or its data has changed since the run in {} was made: review it with the files as they were",
        dir.display()
    )]
    Changed {
        /// The experiment file.
        file: String,
        /// The run.
        dir: PathBuf,
    },
    /// The run's method ended with agents of its own.
    #[error(
        "the method `{method}` of the run in {} ended with agents of its own, which cannot be accepted one by one; \
         `maspo run {}` uses them as they are",
        dir.display(), dir.display()
    )]
    OwnSystem {
        /// The method.
        method: String,
        /// The run.
        dir: PathBuf,
    },
    /// The models could not be opened, or the run's record could not be used.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A run that is being reviewed.
pub struct Session<'a> {
    settings: &'a Settings,
    graph: Arc<Graph>,
    worker: Arc<dyn ChatModel>,
    runner: Runner,
    judge: Judge,
    ledger: Ledger,
    seed_prompts: Prompts,
    optimized: Prompts,
    /// The queries that changes are measured on.
    items: Vec<(usize, Arc<str>)>,
    notes: Vec<String>,
}

impl<'a> Session<'a> {
    /// Opens the models of the run in `dir`, whose bundle is `bundle`. Changes are measured on the
    /// first `queries` of the pool.
    ///
    /// # Errors
    /// The experiment has changed, or a model cannot be opened.
    pub fn open(
        settings: &'a Settings,
        dir: &Path,
        bundle: &Bundle,
        queries: usize,
        observer: &mut dyn Observer,
    ) -> Result<Self, SessionError> {
        if bundle.method.own_system {
            let method = bundle.method.name.clone();
            return Err(SessionError::OwnSystem { method, dir: dir.to_path_buf() });
        }
        let changed = || SessionError::Changed { file: settings.file.display().to_string(), dir: dir.to_path_buf() };
        let store = Arc::new(Store::open(dir).map_err(JournalError::from).map_err(RunError::from)?);
        let info = RunInfo { name: settings.name.clone(), settings: settings.digest(), arguments: Vec::new() };
        let journal = Journal::resume(store.clone(), &info).map_err(|error| match error {
            JournalError::OtherSettings { .. } => changed(),
            error => RunError::from(error).into(),
        })?;
        let recorded = |error: JournalError| SessionError::from(RunError::from(error));
        let surroundings = Surroundings {
            dtypes: journal.dtypes().map_err(recorded)?,
            backend: journal.backend().map_err(recorded)?,
            date: journal.date().map_err(recorded)?.unwrap_or_else(Date::today),
        };
        let (graph, optimized) = bundle.graph_with_prompts().map_err(|_| changed())?;
        let models = open_models(settings, &[ModelRole::Worker, ModelRole::Judge], &surroundings, observer)?;
        let (ledger, cancel) = (Ledger::new(), observer.cancel());
        let opened = |role| -> Arc<dyn ChatModel> {
            let cached = CachedModel::new(models.role(settings, role), store.clone());
            Arc::new(Metered::new(Arc::new(cached), role, ledger.clone(), cancel.clone()))
        };
        let worker = settings.in_role(ModelRole::Worker, opened(ModelRole::Worker));
        let judge = settings.in_role(ModelRole::Judge, opened(ModelRole::Judge));
        let mut notes = Vec::new();
        if let Some(measured) = bundle.team.model.identity.as_ref().filter(|model| **model != worker.identity()) {
            notes.push(format!(
                "the run was made on {} ({}), and this machine computes {} ({}): what is measured here is another \
                 model's",
                measured.name,
                measured.digest.short(),
                worker.identity().name,
                worker.identity().digest.short()
            ));
        }
        let (graph, templates) = (Arc::new(graph), settings.templates());
        let rollout = settings.options.rollout.clone();
        Ok(Self {
            runner: Runner::new(graph.clone(), worker.clone(), rollout, templates.summary.clone()),
            judge: Judge::new(judge, settings.options.judge.clone(), settings.seed, templates.judge.clone()),
            seed_prompts: Prompts::seed(&graph),
            items: settings.pool.iter().take(queries).map(|query| query.question.clone()).enumerate().collect(),
            settings,
            graph,
            worker,
            ledger,
            optimized,
            notes,
        })
    }

    /// What the reviewer should know of how things are measured here.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The prompts that the search started from.
    pub fn seed_prompts(&self) -> &Prompts {
        &self.seed_prompts
    }

    /// The prompts that the run ended with.
    pub fn optimized(&self) -> &Prompts {
        &self.optimized
    }

    /// The longest prompt in bytes.
    pub fn max_prompt_bytes(&self) -> usize {
        self.settings.options.propose.max_prompt_bytes
    }

    /// Whether there are labelled test cases.
    pub fn has_test(&self) -> bool {
        self.settings.split("test").is_some() && self.settings.scorer.is_some()
    }

    /// Whether the words of the data must not be printed.
    pub fn is_private(&self) -> bool {
        self.settings.private
    }

    /// Returns a prompt as it may be printed: without the words of private rows, except for those
    /// of the seed prompts, which the user wrote.
    pub fn shown(&self, prompt: &Template) -> String {
        if !self.settings.private {
            return prompt.text().to_string();
        }
        let seeds: Vec<&str> = self.seed_prompts.iter().map(|(_, prompt)| prompt.text()).collect();
        without_words(prompt.text(), self.settings.queries().map(|query| &*query.question), &seeds)
    }

    /// What a role took so far.
    pub fn bill(&self, role: ModelRole) -> LedgerLine {
        self.ledger.line(role)
    }

    /// The agents whose prompts the run changed.
    pub fn changed(&self) -> Vec<AgentId> {
        let pairs = self.seed_prompts.iter().zip(self.optimized.iter());
        pairs.filter(|((_, before), (_, after))| before != after).map(|((id, _), _)| id).collect()
    }

    /// Measures one agent's change on the pool: the team with all changes, against the team without
    /// this one.
    ///
    /// # Errors
    /// A model call failed.
    pub fn change(&self, agent: AgentId) -> Result<Change, ChatError> {
        block_on(async {
            let before = self.seed_prompts.get(agent).clone();
            let without = self.runner.run(&self.optimized.with(agent, before.clone()), &self.items).await?;
            let with = self.runner.rerun_all(&without, agent, &self.optimized).await?;
            let values = self.verdicts(&without, &with).await?;
            let questions: Vec<&str> = self.items.iter().map(|(_, question)| &**question).collect();
            let chosen = |test: fn(f64) -> bool| -> (usize, Vec<CaseView>) {
                let positions: Vec<usize> = (0..values.len()).filter(|at| test(values[*at])).collect();
                let view = |at: usize| {
                    let id = &self.settings.pool[at].id;
                    CaseView::new(id, &self.graph, agent, [&without[at], &with[at]])
                };
                (positions.len(), diverse(&questions, &positions).into_iter().map(view).collect())
            };
            let (better, won) = chosen(|value| value > 0.5);
            let (worse, lost) = chosen(|value| value < 0.5);
            Ok(Change {
                agent,
                name: self.graph.agent(agent).name.clone(),
                before,
                after: self.optimized.get(agent).clone(),
                worth: JudgedEvidence::of(&values, self.draws()),
                counts: [better, worse],
                won,
                lost,
            })
        })
    }

    /// Judges the team's answers to the pool with these prompts against those with the seed
    /// prompts.
    ///
    /// # Errors
    /// A model call failed.
    pub fn on_pool(&self, prompts: &Prompts) -> Result<Option<JudgedEvidence>, ChatError> {
        block_on(async {
            let base = self.runner.run(&self.seed_prompts, &self.items).await?;
            let new = self.runner.run(prompts, &self.items).await?;
            Ok(JudgedEvidence::of(&self.verdicts(&base, &new).await?, self.draws()))
        })
    }

    /// Scores these prompts and the seed prompts on the labelled test cases; `None` without such.
    ///
    /// # Errors
    /// A model call failed.
    pub fn on_test(&self, prompts: &Prompts) -> Result<Option<TestEvidence>, ChatError> {
        let (Some(cases), Some(scorer)) = (self.settings.split("test"), &self.settings.scorer) else { return Ok(None) };
        let evaluate = |prompts: &Prompts| -> Result<Evaluation, ChatError> {
            block_on(score(self.settings, self.worker.clone(), prompts, (cases, scorer)))
        };
        Ok(Some(TestEvidence::of(&evaluate(&self.seed_prompts)?, &evaluate(prompts)?, self.draws())))
    }

    async fn verdicts(&self, base: &[Trace], new: &[Trace]) -> Result<Vec<f64>, ChatError> {
        let terminal = self.graph.terminal();
        let one = |(base, new)| compare(&self.judge, &self.graph, terminal, false, base, new, &[DRAW]);
        try_join_all(base.iter().zip(new).map(one)).await
    }

    fn draws(&self) -> Seed {
        self.settings.seed
    }
}
