//! A run that is begun, interrupted, resumed and read from its folder.

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::BoxFuture;
use maspo::base::{AgentId, CancelToken, Digest, Seed};
use maspo::cache::CachedModel;
use maspo::chat::{Budget, ChatError, ChatModel, ScriptedModel};
use maspo::graph::{Agent, Edge, EdgeView, Graph};
use maspo::journal::{Journal, RunInfo, RunStatus, read, status, write_file};
use maspo::prompt::Template;
use maspo::search::{Event, EventSink, Options, SearchError, SearchInput, SearchOptions, SearchResult, optimize};
use maspo::store::Store;
use std::path::Path;
use std::sync::Arc;

fn info(settings: &str) -> RunInfo {
    RunInfo {
        name: "tiny".into(),
        settings: Digest::of(settings.as_bytes()),
        arguments: vec!["optimize".into(), "tiny.toml".into()],
    }
}

/// A model whose answers depend on the prompt, whose proposals depend on the seed, and whose
/// judgements depend on the texts.
fn model() -> Arc<ScriptedModel> {
    let number = |text: &str| u64::from_le_bytes(Digest::of(text.as_bytes()).0[..8].try_into().unwrap());
    let complete = move |request: &maspo::chat::Request| {
        let n = number(&format!("{request:?}")) % 1000;
        format!("<answer>{n}</answer> <prompt>Look {n} times at {{question}} {{context}}</prompt>")
    };
    let score = move |request: &maspo::chat::Request, answers: &[String]| {
        let of = |answer: &String| -((number(&format!("{:?}{answer}", request.messages)) % 1000) as f64 / 700.0 + 0.1);
        answers.iter().map(of).collect()
    };
    Arc::new(ScriptedModel::new(complete).with_scores(score))
}

fn graph() -> Arc<Graph> {
    let agent = |name: &str, prompt: &str| Agent {
        name: name.into(),
        role: "Counts.".into(),
        seed_prompt: Template::new(prompt),
        frozen: vec![],
        max_new_tokens: 8,
        optimize: true,
    };
    let agents = vec![agent("first", "Count {question}"), agent("second", "Check {context} of {question}")];
    let edges = vec![Edge { from: AgentId(0), to: AgentId(1), view: EdgeView::Raw }];
    Arc::new(Graph::new(agents, edges, 1000).unwrap())
}

/// A sink that fails after a number of events, as if the process were killed.
struct Killed<'a>(&'a mut Journal, usize);

impl EventSink for Killed<'_> {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        if self.1 == 0 {
            return async { Err(ChatError::Cancelled) }.boxed();
        }
        self.1 -= 1;
        self.0.emit(event)
    }
}

fn search(model: Arc<dyn ChatModel>, sink: &mut dyn EventSink, seed: u64) -> Result<SearchResult, SearchError> {
    let small = SearchOptions { rounds: 2, steps: 1, batch: 3, final_check: 3, ..SearchOptions::default() };
    block_on(optimize(
        SearchInput {
            graph: graph(),
            pool: (0..6).map(|i| Arc::from(format!("question {i}"))).collect(),
            worker: Arc::clone(&model),
            optimizer: Arc::clone(&model),
            judge: model,
            seed: Seed(seed),
            options: Options { search: small, ..Options::default() },
            cancel: CancelToken::new(),
            budget: Budget::default(),
            closing_check: true,
            method: None,
        },
        sink,
    ))
}

fn cached(store: &Arc<Store>) -> Arc<dyn ChatModel> {
    Arc::new(CachedModel::new(model(), Arc::clone(store)))
}

fn whole_run(dir: &Path) -> SearchResult {
    let store = Arc::new(Store::open(dir).unwrap());
    let mut journal = block_on(Journal::begin(Arc::clone(&store), &info("a"))).unwrap();
    search(cached(&store), &mut journal, 1).unwrap()
}

#[test]
fn a_run_that_is_interrupted_after_any_event_and_resumed_has_the_same_result() {
    let whole = tempfile::tempdir().unwrap();
    let expected = whole_run(whole.path());
    let events = read(whole.path()).unwrap().unwrap().events;
    assert!(events.len() >= 10, "{} events", events.len());
    for after in 0..events.len() {
        let dir = tempfile::tempdir().unwrap();
        {
            let store = Arc::new(Store::open(dir.path()).unwrap());
            let mut journal = block_on(Journal::begin(Arc::clone(&store), &info("a"))).unwrap();
            let outcome = search(cached(&store), &mut Killed(&mut journal, after), 1);
            assert!(matches!(outcome, Err(SearchError::Cancelled)));
        }
        let store = Arc::new(Store::open(dir.path()).unwrap());
        assert_eq!(status(store.reader(), &info("a").settings).unwrap(), RunStatus::Unfinished);
        let mut journal = Journal::resume(Arc::clone(&store), &info("a")).unwrap();
        assert_eq!(journal.recorded(), after as u64);
        let result = search(cached(&store), &mut journal, 1).unwrap();
        assert_eq!(result.result_hash(), expected.result_hash());
        assert_eq!(result, expected);
        assert_eq!(read(dir.path()).unwrap().unwrap().events, events);
    }
}

#[test]
fn a_record_read_again_gives_the_result_of_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let result = whole_run(dir.path());
    let record = read(dir.path()).unwrap().unwrap();
    let again = SearchResult::from_events(&record.events).unwrap();
    assert_eq!(again.result_hash(), result.result_hash());
    assert_eq!((record.name.as_str(), record.result), ("tiny", None));
    assert!(record.calls > 0);
}

#[test]
fn a_resumed_run_that_diverges_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    whole_run(dir.path());
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let mut journal = Journal::resume(Arc::clone(&store), &info("a")).unwrap();
    // The digest says that the settings are equal, but the seed is not.
    let error = search(cached(&store), &mut journal, 2).unwrap_err();
    assert_eq!(
        error.to_string().replace(&dir.path().display().to_string(), "DIR"),
        "the journal could not be written: event 0 (`started`) differs from the one in DIR/run.sqlite; \
         the journal was written with other settings, another model or another version of maspo: \
         start the run again with --force"
    );
}

#[test]
fn the_status_of_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let look = |settings: &str| status(store.reader(), &info(settings).settings).unwrap();
    assert_eq!(look("a"), RunStatus::Empty);
    assert_eq!(read(dir.path()).unwrap(), None);
    let journal = block_on(Journal::begin(Arc::clone(&store), &info("a"))).unwrap();
    assert_eq!(look("a"), RunStatus::Unfinished);
    assert_eq!(look("b"), RunStatus::OtherSettings { finished: false });
    block_on(journal.put_evaluation("seed", &[true, false])).unwrap();
    block_on(journal.finish("{}".into())).unwrap();
    assert_eq!(look("a"), RunStatus::Finished);
    assert_eq!(look("b"), RunStatus::OtherSettings { finished: true });
    let record = read(dir.path()).unwrap().unwrap();
    assert_eq!(record.result.as_deref(), Some("{}"));
    assert_eq!(record.evaluations["seed"], "[true,false]");
    let error = Journal::resume(Arc::clone(&store), &info("b")).err().unwrap();
    assert!(!error.is_environment());
    assert_eq!(
        error.to_string().replace(&dir.path().display().to_string(), "DIR"),
        "the run in DIR was made with other settings; start it again with --force, or choose another folder with --out"
    );
    block_on(Journal::begin(Arc::clone(&store), &info("b"))).unwrap();
    assert_eq!(look("b"), RunStatus::Unfinished);
    assert_eq!(read(dir.path()).unwrap().unwrap().evaluations.len(), 0);
}

#[test]
fn a_malformed_event_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path()).unwrap());
    block_on(Journal::begin(Arc::clone(&store), &info("a"))).unwrap();
    block_on(store.put_event(0, r#"{"kind":"dance"}"#.into())).unwrap();
    let error = read(dir.path()).unwrap_err();
    assert!(!error.is_environment());
    let text = error.to_string().replace(&dir.path().display().to_string(), "DIR");
    assert!(text.starts_with("DIR/run.sqlite holds event 0 that cannot be read: unknown variant `dance`"), "{text}");
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("result.json");
    write_file(&path, "old").unwrap();
    write_file(&path, "new").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    let error = write_file(&dir.path().join("missing/result.json"), "x").unwrap_err();
    assert!(error.is_environment());
}
