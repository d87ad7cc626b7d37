//! The database of a live run.

use super::writer::{Job, QUEUE, Write};
use super::{Reader, RunDirError, StoreError, open, writer};
use crate::base::Digest;
use futures::channel::oneshot;
use std::future::Future;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// One answered model call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallRow {
    /// The digest of everything that decides the answer.
    pub key: Digest,
    /// The kind of call: `complete` or `score`.
    pub kind: &'static str,
    /// The digest of the model's identity.
    pub model: Digest,
    /// The request as JSON.
    pub request: String,
    /// The response as JSON.
    pub response: String,
}

/// The database of a run, locked for this process. Dropping it waits for pending writes.
pub struct Store {
    // Fields are dropped in this order: the reader closes first, so that the writer is the last to
    // close and folds the write-ahead log into the file; the lock is released at the very end.
    reader: Reader,
    writer: Writer,
    _lock: open::DirLock,
}

impl Store {
    /// Opens or creates the database of a run directory, and locks the directory against a second
    /// run.
    ///
    /// # Errors
    /// The folder cannot be written, another run is live in it, or it holds something that is not a
    /// run of this schema.
    pub fn open(dir: &Path) -> Result<Self, RunDirError> {
        Self::open_limited(dir, None)
    }

    /// Opens the database with a limit on the file in pages of 4 KiB, beyond which the disk counts
    /// as full.
    pub(crate) fn open_limited(dir: &Path, max_pages: Option<u32>) -> Result<Self, RunDirError> {
        let lock = open::lock_dir(dir)?;
        let connection = open::open_writer(dir, max_pages)?;
        let reader = Reader::open(dir)?;
        let (sender, jobs) = sync_channel(QUEUE);
        let path = dir.join(open::DATABASE_FILE);
        let thread = std::thread::Builder::new()
            .name("maspo-store".into())
            .spawn({
                let path = path.clone();
                move || writer::run(connection, path, jobs)
            })
            .map_err(|error| RunDirError::Unwritable { path, reason: error.to_string() })?;
        let writer = Writer { sender: Some(sender), thread: Some(thread) };
        Ok(Self { reader, writer, _lock: lock })
    }

    /// A reader of what is committed so far.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Stores an answer; the future resolves when it is durable. The write happens even if the
    /// future is dropped. A key that exists already keeps its first answer.
    pub fn put_call(&self, row: CallRow) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        self.put(Write::Call(row))
    }

    /// Stores an event under an unused sequence number; the future resolves when it is durable.
    pub fn put_event(&self, seq: u64, json: String) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        self.put(Write::Event { seq, json })
    }

    /// Sets names in `meta`, either all of them or none; the future resolves when they are durable.
    pub fn put_meta(
        &self,
        values: Vec<(String, String)>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        self.put(Write::Meta(values))
    }

    /// Deletes all events and everything in `meta` but the schema. Answered calls are kept and
    /// answer the next run's equal calls.
    pub fn restart(&self) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        self.put(Write::Restart)
    }

    /// Sends the write to the writer thread at once, so that no write waits for its future to be
    /// polled.
    fn put(&self, write: Write) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (done, outcome) = oneshot::channel();
        let sent = self.writer.sender.as_ref().is_some_and(|sender| sender.send(Job { write, done }).is_ok());
        let path = self.reader.path().to_path_buf();
        async move {
            let gone = || StoreError::Write { path, reason: "the writer thread ended".into() };
            if !sent {
                return Err(gone());
            }
            outcome.await.unwrap_or_else(|_| Err(gone()))
        }
    }
}

/// The handle of the writer thread.
struct Writer {
    sender: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer thread was already reported to every waiting caller.
            let _panicked = thread.join();
        }
    }
}
