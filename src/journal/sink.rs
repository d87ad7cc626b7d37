//! The writing side: an event sink that makes each event durable, or compares it with the recorded
//! one.

use super::JournalError;
use super::record::{ARGUMENTS, BACKEND, DATE, DTYPES, EVALUATION, NAME, PRIVATE, RESULT, SETTINGS, TEAM};
use crate::base::Digest;
use crate::chat::ChatError;
use crate::search::{Event, EventSink};
use crate::store::{Reader, Store};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;

/// The identity of a run, as the journal stores it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunInfo {
    /// The experiment's name.
    pub name: String,
    /// The digest of everything that decides the result: settings, data, prompts, model identities.
    pub settings: Digest,
    /// The arguments that the program was started with, without those that decide what happens to
    /// an earlier run.
    pub arguments: Vec<String>,
}

fn arguments_json(arguments: &[String]) -> String {
    serde_json::to_string(arguments).expect("arguments are plain data")
}

/// The state of a run directory, compared with the settings of a new run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunStatus {
    /// There is no run. There may be answered calls of an earlier one.
    Empty,
    /// There is an unfinished run of these settings.
    Unfinished,
    /// There is a finished run of these settings.
    Finished,
    /// There is a run of other settings.
    OtherSettings {
        /// Whether it is finished.
        finished: bool,
    },
}

/// Returns the state of an opened run directory.
///
/// # Errors
/// The database cannot be read.
pub fn status(reader: &Reader, settings: &Digest) -> Result<RunStatus, JournalError> {
    let finished = reader.meta(RESULT)?.is_some();
    Ok(match reader.meta(SETTINGS)? {
        None => RunStatus::Empty,
        Some(found) if found != settings.to_string() => RunStatus::OtherSettings { finished },
        Some(_) if finished => RunStatus::Finished,
        Some(_) => RunStatus::Unfinished,
    })
}

/// The journal of one run, which is being written.
pub struct Journal {
    store: Arc<Store>,
    /// The sequence number of the next event.
    next: u64,
    /// The number of events that an earlier process recorded; these must be emitted again.
    recorded: u64,
}

impl Journal {
    /// Begins a run. Events and the result of an earlier run in the same directory are deleted; its
    /// answered calls stay.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn begin(store: Arc<Store>, info: &RunInfo) -> Result<Self, JournalError> {
        store.restart().await?;
        let RunInfo { name, settings, arguments } = info;
        let settings = settings.to_string();
        let values = [
            (NAME, name.clone()),
            (SETTINGS, settings),
            (ARGUMENTS, arguments_json(arguments)),
            (DTYPES, String::new()),
            (BACKEND, String::new()),
            (DATE, String::new()),
            (PRIVATE, String::new()),
            (TEAM, String::new()),
        ];
        store.put_meta(values.map(|(name, value)| (name.to_string(), value)).into()).await?;
        Ok(Self { store, next: 0, recorded: 0 })
    }

    /// Resumes the run that the directory holds.
    ///
    /// # Errors
    /// It was made with other settings, or the database cannot be read.
    pub fn resume(store: Arc<Store>, info: &RunInfo) -> Result<Self, JournalError> {
        let reader = store.reader();
        if reader.meta(SETTINGS)? != Some(info.settings.to_string()) {
            let dir = reader.path().parent().unwrap_or(Path::new("")).to_path_buf();
            return Err(JournalError::OtherSettings { dir });
        }
        let recorded = reader.event_count()?;
        Ok(Self { store, next: 0, recorded })
    }

    /// The number of events that were recorded before this process began.
    pub fn recorded(&self) -> u64 {
        self.recorded
    }

    /// Stores an evaluation under a name, and replaces one with the same name.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn put_evaluation<T: Serialize + Sync>(&self, name: &str, evaluation: &T) -> Result<(), JournalError> {
        let json = serde_json::to_string(evaluation).expect("an evaluation is plain data");
        Ok(self.store.put_meta(vec![(format!("{EVALUATION}{name}"), json)]).await?)
    }

    /// The formats in which the weights of the models were kept, per role; `None` if the run did
    /// not get that far.
    ///
    /// # Errors
    /// The database cannot be read, or holds something else.
    pub fn dtypes<T: DeserializeOwned>(&self) -> Result<Option<T>, JournalError> {
        self.kept(DTYPES)
    }

    /// The backend that the models were computed by; `None` if the run did not get that far.
    ///
    /// # Errors
    /// The database cannot be read, or holds something else.
    pub fn backend<T: DeserializeOwned>(&self) -> Result<Option<T>, JournalError> {
        self.kept(BACKEND)
    }

    /// The date that chat templates saw; `None` if the run did not get that far.
    ///
    /// # Errors
    /// The database cannot be read, or holds something else.
    pub fn date<T: DeserializeOwned>(&self) -> Result<Option<T>, JournalError> {
        self.kept(DATE)
    }

    fn kept<T: DeserializeOwned>(&self, what: &str) -> Result<Option<T>, JournalError> {
        let reader = self.store.reader();
        let Some(json) = reader.meta(what)?.filter(|json| !json.is_empty()) else { return Ok(None) };
        let malformed = |error: serde_json::Error| JournalError::Malformed {
            path: reader.path().to_path_buf(),
            what: what.to_string(),
            reason: error.to_string(),
        };
        serde_json::from_str(&json).map(Some).map_err(malformed)
    }

    /// Stores what every answer of the run depends on beside its settings: the formats in which the
    /// weights of the models are kept, the backend that computes them, and the date that chat
    /// templates see.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn put_surroundings(
        &self,
        dtypes: &(impl Serialize + Sync),
        backend: &(impl Serialize + Sync),
        date: &(impl Serialize + Sync),
    ) -> Result<(), JournalError> {
        let dtypes = serde_json::to_string(dtypes).expect("names are plain data");
        let backend = serde_json::to_string(backend).expect("a name is plain data");
        let date = serde_json::to_string(date).expect("a date is plain data");
        let values = [(DTYPES, dtypes), (BACKEND, backend), (DATE, date)];
        Ok(self.store.put_meta(values.map(|(name, value)| (name.to_string(), value)).into()).await?)
    }

    /// Stores the arguments that the program was started with. Those of the last start that opened
    /// the models are the ones that resume the run.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn put_arguments(&self, arguments: &[String]) -> Result<(), JournalError> {
        Ok(self.store.put_meta(vec![(ARGUMENTS.to_string(), arguments_json(arguments))]).await?)
    }

    /// Records that the words of the run's data must not be shown.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn put_private(&self) -> Result<(), JournalError> {
        Ok(self.store.put_meta(vec![(PRIVATE.to_string(), "true".to_string())]).await?)
    }

    /// Stores the team and how it is run, so that the run's folder can be used without the
    /// experiment file.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn put_team(&self, team: &(impl Serialize + Sync)) -> Result<(), JournalError> {
        let json = serde_json::to_string(team).expect("a team is plain data");
        Ok(self.store.put_meta(vec![(TEAM.to_string(), json)]).await?)
    }

    /// Stores the result; the run is finished from then on.
    ///
    /// # Errors
    /// The database cannot be written.
    pub async fn finish(&self, result_json: String) -> Result<(), JournalError> {
        Ok(self.store.put_meta(vec![(RESULT.to_string(), result_json)]).await?)
    }

    async fn record(&self, seq: u64, kind: &'static str, json: String) -> Result<(), ChatError> {
        let storage = |error: crate::store::StoreError| ChatError::Storage(error.to_string());
        if seq >= self.recorded {
            return self.store.put_event(seq, json).await.map_err(storage);
        }
        let reader = self.store.reader();
        if reader.event(seq).map_err(storage)?.as_deref() == Some(json.as_str()) {
            return Ok(());
        }
        Err(ChatError::Storage(format!(
            "event {seq} (`{kind}`) differs from the one in {}; the journal was written with other settings, \
             another model or another version of maspo: start the run again with --force",
            reader.path().display()
        )))
    }
}

impl EventSink for Journal {
    fn emit(&mut self, event: &Event) -> BoxFuture<'_, Result<(), ChatError>> {
        let json = serde_json::to_string(event).expect("an event is plain data");
        let seq = self.next;
        self.next += 1;
        let kind = match event {
            Event::Started(_) => "started",
            Event::Refreshed(_) => "refreshed",
            Event::Proposed(_) => "proposed",
            Event::Step(_) => "step",
            Event::GateTest(_) => "gate-test",
            Event::FinalCheck(_) => "final-check",
            Event::Trial(_) => "trial",
            Event::Learned(_) => "learned",
            Event::System(_) => "system",
            Event::Finished(_) => "finished",
        };
        async move { self.record(seq, kind, json).await }.boxed()
    }
}
