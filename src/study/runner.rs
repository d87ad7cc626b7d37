//! Makes the runs that a study lacks: several at once on shared models, each in a folder of its
//! own, whose record is written last. A killed study goes on where it was.

use super::file::{StudyError, StudyFile};
use super::matrix::{Cell, Source, cells};
use super::memo::Memo;
use super::record::{self, CellRecord};
use crate::base::{AgentId, CancelToken, Digest, Hasher};
use crate::chat::{Budget, ChatModel, Metered, ModelRole, Panel, Spent, each_member};
use crate::config::{self, ModelCheck, ModelSpec, Settings};
use crate::engine::Date;
use crate::eval::Evaluation;
use crate::journal::write_file;
use crate::prompt::Template;
use crate::report::EgressLock;
use crate::rollout::Prompts;
use crate::run::{Carried, Observer, Opened, RecordedRun, RunError, Start, Surroundings, open_models, score};
use crate::search::SearchError;
use crate::task::{CodeJudge, Scorer};
use futures::FutureExt;
use futures::executor::block_on;
use futures::stream::{self, StreamExt};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that holds the date which all runs of a study see.
const DATE_FILE: &str = "date";

/// A study to be run.
pub struct Study<'a> {
    /// The study.
    pub file: &'a StudyFile,
    /// The folder that its paths are relative to.
    pub base: &'a Path,
    /// The study's folder.
    pub out: &'a Path,
    /// Settings that are changed for every run.
    pub sets: &'a [String],
    /// The arguments that the program was started with.
    pub arguments: &'a [String],
    /// Whether model-written programs run even where this machine cannot confine them.
    pub unsafe_exec: bool,
    /// Reports whether this process could have reached a network.
    pub egress_lock: fn() -> EgressLock,
}

/// News of a running study.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    /// Nothing ran yet: so many runs of so many are there, and the others take so many calls at
    /// most.
    Planned {
        /// The number of finished runs.
        finished: usize,
        /// The number of all runs.
        all: usize,
        /// The most calls of the missing runs.
        calls: u64,
    },
    /// A run is finished.
    Finished {
        /// The number of finished runs.
        finished: usize,
        /// The number of all runs.
        all: usize,
        /// Its record.
        record: &'a CellRecord,
    },
}

/// A run with its settings.
struct Prepared {
    cell: Cell,
    settings: Settings,
    folder: PathBuf,
    /// The digest of what decides the result, but for the model and for other runs.
    setup: Digest,
}

/// An observer that can only stop a run.
struct Stoppable(CancelToken);

impl Observer for Stoppable {
    fn cancel(&self) -> CancelToken {
        self.0.clone()
    }
}

impl Study<'_> {
    /// Makes every run that the study's folder lacks, and tells `news` of each.
    ///
    /// # Errors
    /// Returns the first fault of a run or of the folder. What is finished is kept.
    pub fn run(&self, observer: &mut dyn Observer, mut news: impl FnMut(Step<'_>)) -> Result<(), StudyError> {
        let cancel = observer.cancel();
        let mut prepared = Vec::new();
        for cell in cells(self.file) {
            let settings = self.settings(&cell)?;
            let folder = self.out.join(cell.folder());
            let setup = self.setup(&cell, &settings)?;
            prepared.push(Prepared { cell, settings, folder, setup });
        }
        let all = prepared.len();
        let date = self.date()?;
        let mut finished = 0;
        let mut missing = Vec::new();
        for one in prepared {
            match record::read(&one.folder)? {
                None => missing.push(one),
                Some(record) if record.setup != one.setup => return Err(StudyError::OtherSetup(one.folder)),
                Some(_) => finished += 1,
            }
        }
        self.check_code(&missing, observer)?;
        let calls = missing.iter().map(planned_calls).fold(0_u64, u64::saturating_add);
        news(Step::Planned { finished, all, calls });
        let (waiting, mut ready): (Vec<_>, Vec<_>) = missing.into_iter().partition(|one| one.cell.waits());
        for later in [waiting, Vec::new()] {
            for group in by_models(ready) {
                self.run_group(group, date, &cancel, observer, &mut |record| {
                    finished += 1;
                    news(Step::Finished { finished, all, record });
                })?;
            }
            ready = later;
        }
        Ok(())
    }

    /// Makes runs that share their models.
    fn run_group(
        &self,
        group: Vec<Prepared>,
        date: Date,
        cancel: &CancelToken,
        observer: &mut dyn Observer,
        done: &mut dyn FnMut(&CellRecord),
    ) -> Result<(), StudyError> {
        let Some(first) = group.first() else { return Ok(()) };
        let label = first.cell.label();
        let failed = |label: String| move |error: RunError| StudyError::Run { label, error: Box::new(error) };
        let surroundings = Surroundings { dtypes: None, backend: None, date };
        let models = open_models(&first.settings, &ModelRole::ALL, &surroundings, observer)
            .map_err(|error| failed(label)(error))?;
        let mut memos: HashMap<Digest, Arc<dyn ChatModel>> = HashMap::new();
        let mut opened = models.opened(&first.settings);
        let mut remembered = |model: Arc<dyn ChatModel>| -> Arc<dyn ChatModel> {
            memos.entry(model.identity().digest).or_insert_with(|| Arc::new(Memo::new(model))).clone()
        };
        opened.roles =
            opened.roles.map(|model| Panel::of(each_member(&model).into_iter().map(&mut remembered).collect()));
        let one = |prepared: Prepared| {
            let opened = opened.clone();
            async move {
                let label = prepared.cell.label();
                self.make(prepared, opened, date, cancel).await.map_err(|error| match error {
                    Failure::Study(error) => error,
                    Failure::Run(error) => StudyError::Run { label, error: Box::new(error) },
                })
            }
            .boxed_local()
        };
        let mut runs =
            stream::iter(group.into_iter().map(one).collect::<Vec<_>>()).buffer_unordered(self.file.in_flight);
        block_on(async {
            while let Some(record) = runs.next().await {
                done(&record?);
            }
            Ok(())
        })
    }

    async fn make(
        &self,
        prepared: Prepared,
        opened: Opened,
        date: Date,
        cancel: &CancelToken,
    ) -> Result<CellRecord, Failure> {
        let Prepared { cell, mut settings, folder, setup } = prepared;
        settings.date = Some(date);
        if let Some(arm) = cell.budget_arm() {
            let spent = self.finished(&cell.experiment, &arm, cell.seed)?.tokens();
            settings.method.budget.tokens = Some(spent as usize);
        }
        let fixed = self.fixed(&cell, &settings)?;
        std::fs::create_dir_all(&folder).map_err(|error| files(&folder, &error))?;
        let record = match fixed {
            Some(prompts) => self.score_fixed(&cell, &settings, &opened, &prompts, (setup, cancel)).await?,
            None => {
                let carried = self.carry_out(&settings, &folder, &opened, cancel).await?;
                of_run(&cell, (&settings, &opened), carried, setup)
            }
        };
        let json = serde_json::to_string_pretty(&record).expect("a record is plain data") + "\n";
        write_file(&folder.join(record::FILE), &json).map_err(RunError::from)?;
        if !self.file.keep_journals {
            for name in ["run.sqlite", "run.sqlite-wal", "run.sqlite-shm"] {
                // What cannot be removed only takes space.
                let _left_behind = std::fs::remove_file(folder.join(name));
            }
        }
        Ok(record)
    }

    /// Carries out a run: goes on with one that was interrupted, and begins anew where the folder
    /// holds something else.
    async fn carry_out(
        &self,
        settings: &Settings,
        folder: &Path,
        opened: &Opened,
        cancel: &CancelToken,
    ) -> Result<Carried, RunError> {
        let start = |start| RecordedRun {
            settings,
            dir: folder,
            start,
            arguments: self.arguments,
            egress_lock: self.egress_lock,
        };
        let mut observer = Stoppable(cancel.clone());
        match start(Start::Resume).carry_out_on(opened, &mut observer).await {
            Err(RunError::NothingToResume { .. } | RunError::OtherRun { .. } | RunError::Finished { .. }) => {
                start(Start::Replace).carry_out_on(opened, &mut observer).await
            }
            other => other,
        }
    }

    /// Scores prompts that no method of this run finds.
    async fn score_fixed(
        &self,
        cell: &Cell,
        settings: &Settings,
        opened: &Opened,
        prompts: &Prompts,
        (setup, cancel): (Digest, &CancelToken),
    ) -> Result<CellRecord, Failure> {
        let (cases, scorer) = settings.test.as_deref().zip(settings.scorer.as_ref()).expect("checked when it was read");
        let budget = Budget::default();
        let model = settings.in_role(ModelRole::Worker, opened.roles[ModelRole::Worker as usize].clone());
        let metered = Metered::new(model, ModelRole::Worker, Default::default(), cancel.clone());
        let worker: Arc<dyn ChatModel> = Arc::new(metered.charged_to(budget.clone()));
        let of = async |prompts: &Prompts| score(settings, worker.clone(), prompts, (cases, scorer)).await;
        let seed = of(&Prompts::seed(&settings.graph)).await.map_err(RunError::from)?;
        let before = budget.spent(ModelRole::Worker);
        let own = of(prompts).await.map_err(RunError::from)?;
        let after = budget.spent(ModelRole::Worker);
        let answering = Spent { calls: after.calls - before.calls, tokens: after.tokens - before.tokens };
        Ok(CellRecord {
            method: "prompts".to_string(),
            items: ids(&own),
            seed_right: right(&seed),
            right: right(&own),
            answering,
            prompts: by_name(settings, prompts),
            ..blank(cell, setup, opened)
        })
    }

    /// The prompts of a run that searches for none.
    fn fixed(&self, cell: &Cell, settings: &Settings) -> Result<Option<Prompts>, StudyError> {
        match &cell.source {
            Source::Method { .. } => Ok(None),
            Source::File(file) => {
                let path = self.base.join(file);
                let text = std::fs::read_to_string(&path).map_err(|error| files(&path, &error))?;
                let texts: BTreeMap<String, String> = serde_json::from_str(&text)
                    .map_err(|error| StudyError::Files { path: path.clone(), reason: error.to_string() })?;
                self.prompts_by_name(cell, settings, &texts, &path.display().to_string()).map(Some)
            }
            Source::PromptsOf { experiment, arm } => {
                let tuned = self.finished(experiment, arm, cell.seed)?;
                self.prompts_by_name(cell, settings, &tuned.prompts, experiment).map(Some)
            }
        }
    }

    /// The prompts of the experiment's agents, out of those of a file or of another experiment,
    /// which may have more agents.
    fn prompts_by_name(
        &self,
        cell: &Cell,
        settings: &Settings,
        texts: &BTreeMap<String, String>,
        origin: &str,
    ) -> Result<Prompts, StudyError> {
        let mut prompts = Prompts::seed(&settings.graph);
        for (id, agent) in settings.graph.agents().iter().enumerate().map(|(at, agent)| (AgentId(at), agent)) {
            let Some(text) = texts.get(&agent.name) else {
                let problem =
                    format!("{origin} has no prompt for the agent `{}`, which `{}` needs", agent.name, cell.arm);
                return Err(StudyError::Faulty { file: settings.file.clone(), problem });
            };
            prompts = prompts.with(id, Template::new(text.as_str()));
        }
        Ok(prompts)
    }

    /// The record of a run that another one needs.
    fn finished(&self, experiment: &str, arm: &str, seed: u64) -> Result<CellRecord, StudyError> {
        let find = |cell: &Cell| cell.experiment == experiment && cell.arm == arm && cell.seed == seed;
        let cell = cells(self.file).into_iter().find(find);
        let folder = cell.map(|cell| self.out.join(cell.folder()));
        let record = folder.as_deref().map(record::read).transpose()?.flatten();
        record.ok_or_else(|| {
            let problem =
                format!("a run needs `{arm}` of `{experiment}` with seed {seed}, which the study does not have");
            StudyError::Faulty { file: self.out.to_path_buf(), problem }
        })
    }

    /// Checks, before any model is opened, that this machine can judge model-written programs if a
    /// run needs it, and says what does not confine them.
    fn check_code(&self, runs: &[Prepared], observer: &mut dyn Observer) -> Result<(), StudyError> {
        let is_code = |run: &Prepared| matches!(run.settings.scorer, Some(Scorer::Code { .. }));
        if runs.iter().any(is_code) {
            let judge = CodeJudge::new(self.unsafe_exec).map_err(|error| StudyError::Sandbox(error.to_string()))?;
            if !judge.missing().is_empty() {
                observer.noticed(&format!("model-written programs are not confined: {}", judge.missing().join("; ")));
            }
        }
        Ok(())
    }

    fn setup(&self, cell: &Cell, settings: &Settings) -> Result<Digest, StudyError> {
        let mut hasher = Hasher::new("maspo study");
        hasher.field(&settings.digest().0);
        if let Source::File(file) = &cell.source {
            let path = self.base.join(file);
            hasher.field(&std::fs::read(&path).map_err(|error| files(&path, &error))?);
        }
        Ok(hasher.finish())
    }

    fn settings(&self, cell: &Cell) -> Result<Settings, StudyError> {
        let config = self.base.join(&cell.config);
        let sets: Vec<String> = cell.sets.iter().chain(self.sets).cloned().collect();
        let mut settings = config::load(&config, &sets, false, ModelCheck::Files).map_err(StudyError::Config)?;
        if let Some(Scorer::Code { unsafe_exec }) = &mut settings.scorer {
            *unsafe_exec = self.unsafe_exec;
        }
        if settings.test.is_none() {
            let problem = "a study compares accuracies, so every experiment needs `data.test`".to_string();
            return Err(StudyError::Faulty { file: config, problem });
        }
        Ok(settings)
    }

    /// The date that all runs of the study see: the day on which its first run began.
    fn date(&self) -> Result<Date, StudyError> {
        let path = self.out.join(DATE_FILE);
        if let Ok(text) = std::fs::read_to_string(&path)
            && let Ok(date) = text.trim().parse()
        {
            return Ok(date);
        }
        std::fs::create_dir_all(self.out).map_err(|error| files(self.out, &error))?;
        let date = Date::today();
        std::fs::write(&path, format!("{date}\n")).map_err(|error| files(&path, &error))?;
        Ok(date)
    }
}

/// Why a run has no record.
enum Failure {
    Study(StudyError),
    Run(RunError),
}

impl From<StudyError> for Failure {
    fn from(error: StudyError) -> Self {
        Self::Study(error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

impl StudyError {
    /// Whether the study was stopped on request.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Run { error, .. } if matches!(**error, RunError::Search(SearchError::Cancelled)))
    }
}

fn files(path: &Path, error: &std::io::Error) -> StudyError {
    StudyError::Files { path: path.to_path_buf(), reason: error.to_string() }
}

/// The models of a run, and how they are computed.
type ModelsKey = (Vec<ModelSpec>, String);

/// The runs in groups that share their models and how these are computed.
fn by_models(runs: Vec<Prepared>) -> Vec<Vec<Prepared>> {
    let key = |settings: &Settings| -> ModelsKey {
        let specs = ModelRole::ALL.map(|role| settings.model(role).clone());
        ([&specs, settings.more_judges()].concat(), format!("{:?}", settings.engine))
    };
    let mut groups: Vec<(ModelsKey, Vec<Prepared>)> = Vec::new();
    for run in runs {
        let own = key(&run.settings);
        match groups.iter_mut().find(|(known, _)| *known == own) {
            Some((_, group)) => group.push(run),
            None => groups.push((own, vec![run])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The most calls of a run, with both evaluations. A run with the budget of another takes about
/// what that one takes.
fn planned_calls(Prepared { cell, settings, .. }: &Prepared) -> u64 {
    let sizes = (settings.pool.len(), settings.train.as_ref().map_or(0, Vec::len));
    let method = &settings.method;
    let kind = match cell.source {
        Source::Method { budget_of: Some(of), .. } => of,
        _ => method.kind,
    };
    let plan = crate::method::plan(kind, &method.options, &settings.graph, &settings.options, sizes);
    let evaluation = (2 * settings.test.as_ref().map_or(0, Vec::len) * settings.graph.agents().len()) as u64;
    let search = plan.worker.calls.saturating_add(plan.optimizer.calls).saturating_add(plan.judge.calls);
    search.saturating_add(evaluation)
}

fn of_run(cell: &Cell, (settings, opened): (&Settings, &Opened), carried: Carried, setup: Digest) -> CellRecord {
    let Carried { report, prompts, held_out, spent } = carried;
    let (items, seed_right, own) = match &held_out {
        None => (Vec::new(), String::new(), String::new()),
        Some(held) => (ids(&held.optimized), right(&held.seed), right(&held.optimized)),
    };
    CellRecord {
        method: settings.method.kind.name().to_string(),
        items,
        seed_right,
        right: own,
        kept_seed: report.kept_seed,
        stopped: report.stopped,
        spent,
        answering: held_out.map(|held| held.answering).unwrap_or_default(),
        judge: report.judge.counts,
        prompts: by_name(settings, &prompts),
        result_hash: Some(report.result_hash),
        seconds: report.seconds,
        ..blank(cell, setup, opened)
    }
}

/// A record without results.
fn blank(cell: &Cell, setup: Digest, opened: &Opened) -> CellRecord {
    let mut models = Hasher::new("maspo study models");
    opened.roles.iter().for_each(|model| {
        models.field(&model.identity().digest.0);
    });
    CellRecord {
        version: CellRecord::VERSION,
        experiment: cell.experiment.clone(),
        arm: cell.arm.clone(),
        seed: cell.seed,
        method: String::new(),
        sets: cell.sets.clone(),
        varied: cell.varied.clone(),
        setup,
        model: opened.roles[0].identity().name,
        models: models.finish(),
        items: Vec::new(),
        seed_right: String::new(),
        right: String::new(),
        kept_seed: false,
        stopped: None,
        spent: Default::default(),
        answering: Spent::default(),
        judge: Default::default(),
        prompts: BTreeMap::new(),
        result_hash: None,
        seconds: 0.0,
    }
}

fn ids(evaluation: &Evaluation) -> Vec<String> {
    evaluation.items.iter().map(|item| item.id.clone()).collect()
}

fn right(evaluation: &Evaluation) -> String {
    evaluation.items.iter().map(|item| if item.is_correct() { '1' } else { '0' }).collect()
}

fn by_name(settings: &Settings, prompts: &Prompts) -> BTreeMap<String, String> {
    let named = |(id, prompt): (AgentId, &Template)| (settings.graph.agent(id).name.clone(), prompt.text().to_string());
    prompts.iter().map(named).collect()
}
