//! The writer thread: it drains its queue into one transaction, and acknowledges all of its rows
//! after the commit.

use super::{CallRow, StoreError};
use futures::channel::oneshot;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;

/// The most rows that wait for the writer; further senders block.
pub(super) const QUEUE: usize = 256;
/// The most writes of one transaction.
const GROUP: usize = 256;

/// One write.
pub(super) enum Write {
    Call(CallRow),
    Event { seq: u64, json: String },
    Meta(Vec<(String, String)>),
    Restart,
}

/// A write, and the channel of its acknowledgement.
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// Writes until every sender is gone.
pub(super) fn run(mut connection: Connection, path: PathBuf, jobs: Receiver<Job>) {
    // A failed flush leaves unknown pages behind, so nothing is written after the first failure.
    let mut failed: Option<StoreError> = None;
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        let outcome = match &failed {
            Some(error) => Err(error.clone()),
            None => commit(&mut connection, &group).map_err(|error| StoreError::of_write(&path, &error)),
        };
        failed = outcome.clone().err();
        for job in group {
            // The caller may have been dropped; the row is durable all the same.
            let _gone = job.done.send(outcome.clone());
        }
    }
}

/// Writes a group in one transaction; an early return drops it, which rolls it back.
fn commit(connection: &mut Connection, group: &[Job]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for job in group {
        match &job.write {
            Write::Call(row) => {
                // Equal keys have equal answers; the first one stays.
                let sql = "INSERT INTO calls (key, kind, model, request, response) VALUES (?1, ?2, ?3, ?4, ?5) \
                           ON CONFLICT (key) DO NOTHING";
                let CallRow { key, kind, model, request, response } = row;
                let values = (key.to_string(), kind, model.to_string(), request, response);
                transaction.prepare_cached(sql)?.execute(values)?;
            }
            Write::Event { seq, json } => {
                let sql = "INSERT INTO events (seq, json) VALUES (?1, ?2)";
                transaction.prepare_cached(sql)?.execute((seq.cast_signed(), json))?;
            }
            Write::Meta(values) => {
                let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
                for value in values {
                    transaction.prepare_cached(sql)?.execute((&value.0, &value.1))?;
                }
            }
            Write::Restart => {
                transaction.execute_batch("DELETE FROM events; DELETE FROM meta WHERE name <> 'schema';")?;
            }
        }
    }
    transaction.commit()
}
