//! One run with a folder: journal, response cache, search, held-out evaluation and result files.

use super::models::{Opened, Surroundings, open_models};
use super::verdicts::verdicts;
use super::{Observer, Optimizer, RunError, score, score_system};
use crate::base::{CancelToken, Stopwatch};
use crate::cache::CachedModel;
use crate::chat::{Budget, ChatError, ChatModel, Ledger, Metered, ModelRole, Spent};
use crate::config::Settings;
use crate::engine::Date;
use crate::eval::{Evaluation, Verdicts, compare};
use crate::journal::{self, Journal, JournalError, RunInfo, RunStatus, SpentSoFar, resume_command, status, write_file};
use crate::report::{
    Accuracy, Bill, Difference, EgressLock, Estimate, Files, Inputs, RunReport, ScoredBy, VerdictFigures,
    VerdictThreshold,
};
use crate::rollout::{Prompts, System};
use crate::search::{Event, EventSink, SearchResult};
use crate::store::Store;
use crate::task::{Convention, Scorer};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use std::path::Path;
use std::sync::Arc;

/// What happens to a run that the folder already holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// A folder that holds a run is rejected.
    Begin,
    /// An unfinished run is resumed.
    Resume,
    /// The run is replaced; its answered calls are reused.
    Replace,
}

/// A run to be carried out, and its folder.
pub struct RecordedRun<'a> {
    /// The experiment.
    pub settings: &'a Settings,
    /// The run folder.
    pub dir: &'a Path,
    /// What happens to a run that is already there.
    pub start: Start,
    /// The arguments that the program was started with; the journal keeps those of the last start
    /// for resuming the run.
    pub arguments: &'a [String],
    /// Reports, at the end, whether this process could have reached a network.
    pub egress_lock: fn() -> EgressLock,
}

impl RecordedRun<'_> {
    /// Carries out the run: opens the models, searches, scores both sets of prompts on the held-out
    /// cases and writes the files.
    ///
    /// # Errors
    /// Returns any [`RunError`]. What was acknowledged before is kept.
    pub fn carry_out(&self, observer: &mut dyn Observer) -> Result<RunReport, RunError> {
        let store = Arc::new(Store::open(self.dir).map_err(JournalError::from)?);
        let journal = block_on(self.open_journal(store.clone()))?;
        // Another weight format, backend or date gives other answers, so a resumed run keeps those
        // that it began with, whatever memory is free now and whatever the device check says.
        let mut surroundings =
            Surroundings { dtypes: None, backend: None, date: self.settings.date.unwrap_or_else(Date::today) };
        if self.start == Start::Resume {
            surroundings.dtypes = journal.dtypes()?;
            surroundings.backend = journal.backend()?;
            surroundings.date = journal.date()?.unwrap_or(surroundings.date);
        }
        let cancel = observer.cancel();
        let models = open_models(self.settings, &ModelRole::ALL, &surroundings, observer)?;
        let opened = models.opened(self.settings);
        block_on(self.put_start(&journal, &opened, &surroundings.date))?;
        opened.notes.iter().for_each(|note| observer.noticed(note));
        Ok(block_on(self.search(&opened, store, journal, cancel, observer))?.report)
    }

    /// Carries out the run on models that are open already, so that several runs can share them.
    ///
    /// # Errors
    /// Returns any [`RunError`]. What was acknowledged before is kept.
    pub async fn carry_out_on(&self, opened: &Opened, observer: &mut dyn Observer) -> Result<Carried, RunError> {
        let store = Arc::new(Store::open(self.dir).map_err(JournalError::from)?);
        let journal = self.open_journal(store.clone()).await?;
        let date = self.settings.date.unwrap_or_else(Date::today);
        self.put_start(&journal, opened, &date).await?;
        let cancel = observer.cancel();
        self.search(opened, store, journal, cancel, observer).await
    }

    /// Records how the run is started: what its answers depend on, and how to resume it.
    async fn put_start(&self, journal: &Journal, opened: &Opened, date: &Date) -> Result<(), RunError> {
        journal.put_surroundings(&opened.dtypes, &opened.backend, date).await?;
        journal.put_kernels(&opened.kernels).await?;
        journal.put_arguments(self.arguments).await?;
        journal.put_team(&self.settings.team()).await?;
        if self.settings.private {
            journal.put_private().await?;
        }
        Ok(())
    }

    /// Decides, from what the folder holds and what the user requested, whether to begin, to
    /// resume, or to refuse.
    async fn open_journal(&self, store: Arc<Store>) -> Result<Journal, RunError> {
        let settings = self.settings.digest();
        let info = RunInfo { name: self.settings.name.clone(), settings, arguments: self.arguments.to_vec() };
        let dir = || self.dir.to_path_buf();
        let found = status(store.reader(), &info.settings)?;
        match (found, self.start) {
            (_, Start::Replace) => {
                remove_results(self.dir)?;
                Ok(Journal::begin(store, &info).await?)
            }
            (RunStatus::Empty, _) => Ok(Journal::begin(store, &info).await?),
            (RunStatus::Unfinished, Start::Resume) => Ok(Journal::resume(store, &info)?),
            (RunStatus::Unfinished, Start::Begin) => {
                let recorded = journal::recorded_command(store.reader())?;
                let resume_command = recorded.unwrap_or_else(|| resume_command(self.arguments));
                Err(RunError::Unfinished { dir: dir(), resume_command })
            }
            (RunStatus::Finished, Start::Resume) => Err(RunError::NothingToResume { dir: dir() }),
            (RunStatus::Finished | RunStatus::OtherSettings { finished: true }, _) => {
                Err(RunError::Finished { dir: dir() })
            }
            (RunStatus::OtherSettings { finished: false }, _) => Err(RunError::OtherRun { dir: dir() }),
        }
    }

    async fn search(
        &self,
        opened: &Opened,
        store: Arc<Store>,
        journal: Journal,
        cancel: CancelToken,
        observer: &mut dyn Observer,
    ) -> Result<Carried, RunError> {
        let (settings, watch) = (self.settings, Stopwatch::start());
        let cached = ModelRole::ALL.map(|role| -> Arc<dyn ChatModel> {
            Arc::new(CachedModel::new(opened.roles[role as usize].clone(), store.clone()))
        });
        let worker = cached[ModelRole::Worker as usize].clone();
        let in_roles = ModelRole::ALL.map(|role| settings.in_role(role, cached[role as usize].clone()));
        let optimizer = Optimizer::of_settings(settings, in_roles).cancel(cancel.clone());
        let metered = Metered::new(worker, ModelRole::Worker, optimizer.ledger().clone(), cancel);
        observer.started(&settings.graph, &optimizer.plan(), optimizer.ledger());
        let mut recorder = Recorder { journal, observer, meter: optimizer.clone(), watch };
        let result = optimizer.search(&mut recorder).await?;
        let spent = ModelRole::ALL.map(|role| optimizer.spent(role));
        let held_out = self.held_out(&result, metered.clone(), &mut recorder).await?;
        let verdicts = self.verdicts(&result, metered, &recorder.journal).await?;
        let report = self.report(&result, held_out.as_ref(), opened, (optimizer.ledger(), watch));
        let report = RunReport { verdicts: verdicts.as_ref().map(figures), ..report };
        let report = self.write(report, &recorder.journal).await?;
        Ok(Carried { report, prompts: result.prompts, held_out, spent })
    }

    /// Scores the seed prompts and the system to use on the test set; `None` if there is none. The
    /// worker is the model before it is in its role.
    async fn held_out(
        &self,
        result: &SearchResult,
        worker: Metered,
        recorder: &mut Recorder<'_>,
    ) -> Result<Option<HeldOut>, RunError> {
        let settings = self.settings;
        let (Some(cases), Some(scorer)) = (settings.split("test"), settings.scorer.as_ref()) else { return Ok(None) };
        let mut scored = async |name: &str, prompts: &Prompts, system: Option<&System>| {
            recorder.observer.scoring(name, cases.len());
            let budget = Budget::default();
            let worker: Arc<dyn ChatModel> = Arc::new(worker.clone().charged_to(budget.clone()));
            let evaluation = match system {
                None => {
                    let worker = settings.in_role(ModelRole::Worker, worker);
                    score(settings, worker, prompts, (cases, scorer)).await?
                }
                Some(system) => score_system(settings, worker, system, (cases, scorer)).await?,
            };
            recorder.journal.put_evaluation(name, &evaluation).await?;
            Ok::<_, RunError>((evaluation, budget.spent(ModelRole::Worker)))
        };
        let (seed, _) = scored("seed", &result.seed_prompts, None).await?;
        let (optimized, answering) = scored("optimized", &result.prompts, result.system.as_ref()).await?;
        recorder.observer.scored();
        Ok(Some(HeldOut { seed, optimized, answering }))
    }

    /// Reads the verdicts of the prompts to use on the test set, if the experiment wants them. The
    /// agents' calls come from the cache.
    async fn verdicts(
        &self,
        result: &SearchResult,
        worker: Metered,
        journal: &Journal,
    ) -> Result<Option<Verdicts>, RunError> {
        let settings = self.settings;
        let (Some(options), Some(cases)) = (&settings.verdicts, settings.split("test")) else { return Ok(None) };
        if result.system.is_some() {
            // Another system may not end in one answer of one agent.
            return Ok(None);
        }
        let worker = settings.in_role(ModelRole::Worker, Arc::new(worker));
        let (_, verdicts) = verdicts(settings, worker, &result.prompts, (cases, "test"), options).await?;
        journal.put_evaluation("verdicts", &verdicts).await?;
        Ok(Some(verdicts))
    }

    fn report(
        &self,
        result: &SearchResult,
        held_out: Option<&HeldOut>,
        opened: &Opened,
        (ledger, watch): (&Ledger, Stopwatch),
    ) -> RunReport {
        let seed_cases = held_out.map(|held_out| correct(&held_out.seed));
        let optimized_cases = held_out.map(|held_out| correct(&held_out.optimized));
        RunReport::new(Inputs {
            name: &self.settings.name,
            result,
            seed_accuracy: held_out.map(|h| accuracy(&h.seed)).zip(seed_cases.as_deref()),
            optimized_accuracy: held_out.map(|h| accuracy(&h.optimized)).zip(optimized_cases.as_deref()),
            difference: held_out.map(|h| {
                let difference = compare(&h.seed, &h.optimized, self.settings.seed);
                Difference { value: difference.value, ci95: difference.ci95, mcnemar_p: difference.mcnemar_p }
            }),
            scored_by: held_out.and(self.settings.scorer.as_ref()).map(scored_by),
            bill: Bill::of(ledger),
            egress_lock: (self.egress_lock)(),
            seconds: watch.seconds(),
            warnings: [self.settings.warnings.clone(), opened.notes.clone()].concat(),
            dir: self.dir,
        })
    }

    /// Writes the files first, then the journal's last entry: a run counts as finished only if its
    /// files exist.
    async fn write(&self, report: RunReport, journal: &Journal) -> Result<RunReport, RunError> {
        write_file(&report.files.prompts, &report.prompts_json())?;
        if let Some(system) = &report.system {
            let json = serde_json::to_string_pretty(system).expect("a system is plain data") + "\n";
            write_file(&self.dir.join(SYSTEM_FILE), &json)?;
        }
        let report = match self.settings.private {
            true => report.without_words_of(self.settings.queries().map(|query| &*query.question)),
            false => report,
        };
        write_file(&report.files.result, &report.json())?;
        journal.finish(report.json()).await?;
        Ok(report)
    }
}

/// Removes the results of the run that is being replaced, since they must not outlive it.
fn remove_results(dir: &Path) -> Result<(), RunError> {
    let files = Files::in_dir(dir);
    for path in [files.prompts, files.result, dir.join(SYSTEM_FILE)] {
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(RunError::NotRemoved { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The file of a system that is not the experiment's graph with the prompts to use, run once.
const SYSTEM_FILE: &str = "system.json";

/// The evaluations of the seed prompts and of what the method ended with, on the same cases.
pub struct HeldOut {
    /// The seed prompts.
    pub seed: Evaluation,
    /// The system to use.
    pub optimized: Evaluation,
    /// What the system to use took for all of the cases.
    pub answering: Spent,
}

/// A run that was carried out.
pub struct Carried {
    /// Its report.
    pub report: RunReport,
    /// The prompts to use. In the report, words of private data are hidden.
    pub prompts: Prompts,
    /// The evaluations; `None` without test cases.
    pub held_out: Option<HeldOut>,
    /// What every role took before the evaluation, whether the cache answered or not.
    pub spent: [Spent; 3],
}

fn correct(evaluation: &Evaluation) -> Vec<bool> {
    evaluation.items.iter().map(|item| item.is_correct()).collect()
}

/// Returns what a report says of a scorer.
pub fn scored_by(scorer: &Scorer) -> ScoredBy {
    let Convention { scorer, version, rules } = scorer.convention();
    ScoredBy { scorer: scorer.to_string(), scorer_version: version, convention: rules.to_string() }
}

fn accuracy(evaluation: &Evaluation) -> Accuracy {
    let crate::eval::Accuracy { n, correct, accuracy, ci95, .. } = evaluation.accuracy;
    Accuracy { n, correct, accuracy, ci95 }
}

/// Returns what a report says of verdicts.
fn figures(verdicts: &Verdicts) -> VerdictFigures {
    let Verdicts { positive, unread, log_loss, calibration_error, .. } = verdicts.clone();
    let area = verdicts.roc.as_ref().map(|roc| Estimate { value: roc.auc, ci95: roc.ci95 });
    let precision = verdicts.precision_recall.map(|of| Estimate { value: of.average_precision, ci95: of.ci95 });
    let threshold = verdicts.threshold.as_ref().map(|threshold| VerdictThreshold {
        max_fpr: threshold.max_fpr,
        above: threshold.above,
        negatives: threshold.chosen.negatives,
        needed_negatives: threshold.needed_negatives,
        held_out_fpr: threshold.checked.map(|rates| rates.fpr),
        held_out_recall: threshold.checked.map(|rates| rates.recall),
    });
    VerdictFigures {
        positive,
        unread,
        log_loss,
        calibration_error,
        roc_area: area,
        average_precision: precision,
        threshold,
    }
}

/// An event sink that makes every event durable with what was spent by then, and then shows it to
/// the observer.
struct Recorder<'a> {
    journal: Journal,
    observer: &'a mut dyn Observer,
    /// The search whose budget says what was taken.
    meter: Optimizer,
    watch: Stopwatch,
}

impl Recorder<'_> {
    fn spent(&self) -> SpentSoFar {
        let spent = ModelRole::ALL.map(|role| self.meter.spent(role));
        let calls = spent.iter().map(|role| role.calls).sum();
        SpentSoFar { calls, tokens: spent.map(|role| role.tokens), seconds: self.watch.seconds() }
    }
}

impl EventSink for Recorder<'_> {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        let event = event.clone();
        async move {
            self.journal.emit(&event).await?;
            let spent = self.journal.put_spent(self.spent()).await;
            spent.map_err(|error| ChatError::Storage(error.to_string()))?;
            self.observer.event(&event);
            Ok(())
        }
        .boxed()
    }
}
