//! `maspo optimize`: the search, the held-out evaluation, and the files of the run.

use super::interrupt::cancel_on_ctrl_c;
use super::models::{Models, open_models};
use super::progress::Progress;
use super::settings::ExperimentArgs;
use super::{CliError, Exit, lock};
use crate::base::Stopwatch;
use crate::cache::CachedModel;
use crate::chat::{ChatError, ChatModel, Ledger, Metered, ModelRole};
use crate::config::{ModelCheck, Settings};
use crate::eval::{Evaluation, compare, evaluate};
use crate::journal::{Journal, JournalError, RunInfo, RunStatus, status, write_file};
use crate::report::{Accuracy, Bill, Colour, Difference, Files, Inputs, RunReport};
use crate::rollout::{Prompts, Runner};
use crate::search::{Event, EventSink, SearchError, SearchInput, SearchResult, optimize, plan};
use crate::store::Store;
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Optimize the prompts of an agent graph
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Where the run's files go; default `runs/<config name>-<seed>`.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Go on with an unfinished run.
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Start again in a folder that has a run; answered model calls are used again.
    #[arg(long)]
    force: bool,
    /// The run's seed; default is the experiment file's.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) fn run(args: Args) -> Result<Exit, CliError> {
    let cancel = cancel_on_ctrl_c()?;
    let settings = args.experiment.load_with(args.seed.map(|seed| format!("seed={seed}")), ModelCheck::Files)?;
    let dir =
        args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{}-{}", settings.name, settings.seed.0)));
    let store = Arc::new(Store::open(&dir).map_err(JournalError::from).map_err(journal_error)?);
    let info = RunInfo {
        name: settings.name.clone(),
        settings: settings.digest(),
        resume_command: resume_command(&args, &dir),
    };
    let journal = open_journal(&args, &dir, store.clone(), &info)?;
    // Another format gives other answers: a run goes on in those that it began in, however much memory is free today.
    let began_in = if args.resume { journal.dtypes().map_err(journal_error)? } else { None };
    let models = open_models(&settings, &ModelRole::ALL, began_in)?;
    block_on(journal.put_dtypes(&models.dtypes(&settings))).map_err(journal_error)?;
    let run = Run { settings: &settings, dir: &dir, ledger: Ledger::new(), watch: Stopwatch::start() };
    let outcome = block_on(run.carry_out(&models, store, journal, cancel.clone()));
    match outcome {
        Ok(report) => {
            print_report(&report, args.experiment.json);
            Ok(Exit::Ok)
        }
        Err(RunError::Search(SearchError::Cancelled)) => {
            eprintln!("stopped; everything done so far is kept. Go on with:\n  {}", info.resume_command);
            Ok(Exit::Interrupted)
        }
        Err(RunError::Search(SearchError::Chat(ChatError::Storage(reason)))) => {
            Err(CliError::new(Exit::Environment, format!("the run could not be recorded: {reason}")))
        }
        Err(RunError::Search(error @ SearchError::Chat(_))) => Err(CliError::new(Exit::RunFailed, error)),
        Err(RunError::Search(error)) => Err(CliError::bad_input(error)),
        Err(RunError::Journal(error)) => Err(journal_error(error)),
    }
}

/// The command that goes on with this run, with the flags that change what it does or keeps.
fn resume_command(args: &Args, dir: &Path) -> String {
    let mut command = format!("maspo optimize {}", shell_word(&args.experiment.config.display().to_string()));
    for set in &args.experiment.set {
        command += &format!(" --set {}", shell_word(set));
    }
    command += &args.experiment.device.words();
    if args.experiment.no_weight_cache {
        command += " --no-weight-cache";
    }
    if let Some(seed) = args.seed {
        command += &format!(" --seed {seed}");
    }
    if args.experiment.skip_bad_rows {
        command += " --skip-bad-rows";
    }
    format!("{command} --out {} --resume", shell_word(&dir.display().to_string()))
}

fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Decides, from what the folder holds and what the user asked for, whether to begin, to go on, or to refuse.
fn open_journal(args: &Args, dir: &Path, store: Arc<Store>, info: &RunInfo) -> Result<Journal, CliError> {
    let begin = |store| block_on(Journal::begin(store, info)).map_err(journal_error);
    let found = status(store.reader(), &info.settings).map_err(journal_error)?;
    let shown = dir.display();
    match found {
        _ if args.force => {
            remove_results(dir)?;
            begin(store)
        }
        RunStatus::Empty => begin(store),
        RunStatus::Unfinished if args.resume => Journal::resume(store, info).map_err(journal_error),
        RunStatus::Unfinished => Err(CliError::bad_input(format!(
            "{shown} holds an unfinished run; go on with it:\n  {}",
            info.resume_command
        ))),
        RunStatus::Finished if args.resume => Err(CliError::bad_input(format!(
            "the run in {shown} is finished; there is nothing to resume. `maspo show {shown}` prints it again"
        ))),
        RunStatus::Finished | RunStatus::OtherSettings { finished: true } => Err(CliError::bad_input(format!(
            "{shown} holds a finished run; `maspo show {shown}` prints it again, --force replaces it, --out names another folder"
        ))),
        RunStatus::OtherSettings { finished: false } => Err(CliError::bad_input(format!(
            "{shown} holds an unfinished run of other settings; --force replaces it, --out names another folder"
        ))),
    }
}

/// The results of the run that is being replaced must not outlive it.
fn remove_results(dir: &Path) -> Result<(), CliError> {
    let files = Files::in_dir(dir);
    for path in [files.prompts, files.result] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(CliError::new(Exit::Environment, format!("{} cannot be removed: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}

fn journal_error(error: JournalError) -> CliError {
    let exit = if error.is_environment() { Exit::Environment } else { Exit::BadInput };
    CliError::new(exit, error)
}

fn print_report(report: &RunReport, json: bool) {
    if json {
        print!("{}", report.json());
        return;
    }
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    print!("{}", report.text(if colour { Colour::On } else { Colour::Off }));
}

/// Why a run ended early.
enum RunError {
    Search(SearchError),
    Journal(JournalError),
}

impl From<SearchError> for RunError {
    fn from(error: SearchError) -> Self {
        Self::Search(error)
    }
}

impl From<ChatError> for RunError {
    fn from(error: ChatError) -> Self {
        Self::Search(error.into())
    }
}

impl From<JournalError> for RunError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// One run, from its first event to its files.
struct Run<'a> {
    settings: &'a Settings,
    dir: &'a Path,
    ledger: Ledger,
    watch: Stopwatch,
}

impl Run<'_> {
    async fn carry_out(
        &self,
        models: &Models,
        store: Arc<Store>,
        journal: Journal,
        cancel: crate::base::CancelToken,
    ) -> Result<RunReport, RunError> {
        let settings = self.settings;
        let role = |role: ModelRole| -> Arc<dyn ChatModel> {
            let cached = Arc::new(CachedModel::new(models.role(settings, role), store.clone()));
            Arc::new(Metered::new(cached, role, self.ledger.clone(), cancel.clone()))
        };
        let input = SearchInput {
            graph: settings.graph.clone(),
            pool: settings.pool.iter().map(|query| query.question.clone()).collect(),
            worker: role(ModelRole::Worker),
            optimizer: role(ModelRole::Optimizer),
            judge: role(ModelRole::Judge),
            seed: settings.seed,
            options: settings.options.clone(),
            cancel,
        };
        let steps = plan(&settings.graph, &settings.options, settings.pool.len()).steps;
        let progress = Progress::new(settings.graph.clone(), self.ledger.clone(), steps);
        let worker = input.worker.clone();
        let mut sink = Recorder { journal, progress, events: Vec::new() };
        let result = optimize(input, &mut sink).await?;
        let held_out = self.held_out(&result, worker, &sink).await?;
        let report = self.report(&result, held_out.as_ref());
        self.write(&report, &sink.journal).await?;
        Ok(report)
    }

    /// Seed and optimized prompts on the test set; `None` where there is none.
    async fn held_out(
        &self,
        result: &SearchResult,
        worker: Arc<dyn ChatModel>,
        sink: &Recorder,
    ) -> Result<Option<HeldOut>, RunError> {
        let settings = self.settings;
        let (Some(cases), Some(scorer)) = (settings.split("test"), settings.scorer.as_ref()) else { return Ok(None) };
        let runner = Runner::new(settings.graph.clone(), worker, settings.options.rollout.clone());
        let score = async |name: &str, prompts: &Prompts| -> Result<Evaluation, RunError> {
            sink.progress.say(format!("{name} prompts on {} held-out cases", cases.len()));
            let evaluation = evaluate(&runner, prompts, cases, scorer).await?;
            sink.journal.put_evaluation(name, &evaluation).await?;
            Ok(evaluation)
        };
        let seed = score("seed", &result.seed_prompts).await?;
        let optimized = score("optimized", &result.prompts).await?;
        sink.progress.clear();
        Ok(Some(HeldOut { seed, optimized }))
    }

    fn report(&self, result: &SearchResult, held_out: Option<&HeldOut>) -> RunReport {
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
            bill: Bill::of(&self.ledger),
            egress_lock: lock::read_back(),
            seconds: self.watch.seconds(),
            warnings: self.settings.warnings.clone(),
            dir: self.dir,
        })
    }

    /// The files first, then the journal's last word: a run counts as finished only when its files are there.
    async fn write(&self, report: &RunReport, journal: &Journal) -> Result<(), RunError> {
        write_file(&report.files.prompts, &report.prompts_json())?;
        write_file(&report.files.result, &report.json())?;
        journal.finish(report.json()).await?;
        Ok(())
    }
}

/// Seed and optimized prompts on the same cases.
struct HeldOut {
    seed: Evaluation,
    optimized: Evaluation,
}

fn correct(evaluation: &Evaluation) -> Vec<bool> {
    evaluation.items.iter().map(|item| item.is_correct()).collect()
}

fn accuracy(evaluation: &Evaluation) -> Accuracy {
    let crate::eval::Accuracy { n, correct, accuracy, ci95, .. } = evaluation.accuracy;
    Accuracy { n, correct, accuracy, ci95 }
}

/// Makes every event durable, then shows it.
struct Recorder {
    journal: Journal,
    progress: Progress,
    events: Vec<Event>,
}

impl EventSink for Recorder {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        let event = event.clone();
        async move {
            self.journal.emit(&event).await?;
            self.progress.show(&event);
            self.events.push(event);
            Ok(())
        }
        .boxed()
    }
}
