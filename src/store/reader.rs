//! Reads rows, while the run is live and afterwards.

use super::{RunDirError, StoreError, open};
use crate::base::Digest;
use rusqlite::{Connection, OptionalExtension, Params};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A connection that only reads. It sees committed rows only.
pub struct Reader {
    connection: Mutex<Connection>,
    path: PathBuf,
}

impl Reader {
    /// Opens the database of a run directory, which may be finished, unfinished or live.
    ///
    /// # Errors
    /// No run there, one of another schema, or a damaged one.
    pub fn open(dir: &Path) -> Result<Self, RunDirError> {
        Ok(Self { connection: Mutex::new(open::open_reader(dir)?), path: dir.join(open::DATABASE_FILE) })
    }

    /// Returns the stored response of a call.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn call(&self, key: &Digest) -> Result<Option<String>, StoreError> {
        self.optional("SELECT response FROM calls WHERE key = ?1", [key.to_string()])
    }

    /// Returns the number of stored calls.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn call_count(&self) -> Result<u64, StoreError> {
        Ok(self.optional::<i64>("SELECT count(*) FROM calls", [])?.unwrap_or(0).unsigned_abs())
    }

    /// Returns the event with a sequence number.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn event(&self, seq: u64) -> Result<Option<String>, StoreError> {
        self.optional("SELECT json FROM events WHERE seq = ?1", [seq.cast_signed()])
    }

    /// Returns the number of stored events.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn event_count(&self) -> Result<u64, StoreError> {
        Ok(self.optional::<i64>("SELECT count(*) FROM events", [])?.unwrap_or(0).unsigned_abs())
    }

    /// Returns the value of a name in `meta`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.optional("SELECT value FROM meta WHERE name = ?1", [name])
    }

    /// Returns all names in `meta` that begin with `prefix`, without the prefix, and their values.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn meta_under(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let sql =
            "SELECT substr(name, length(?1) + 1), value FROM meta WHERE substr(name, 1, length(?1)) = ?1 ORDER BY 1";
        let connection = self.connection.lock().expect("no thread panics while it holds the connection");
        let read = || {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map([prefix], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|e| StoreError::of_read(&self.path, &e))
    }

    /// The path of the database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn optional<T: rusqlite::types::FromSql>(&self, sql: &str, params: impl Params) -> Result<Option<T>, StoreError> {
        let connection = self.connection.lock().expect("no thread panics while it holds the connection");
        let mut statement = connection.prepare_cached(sql).map_err(|e| StoreError::of_read(&self.path, &e))?;
        statement.query_row(params, |row| row.get(0)).optional().map_err(|e| StoreError::of_read(&self.path, &e))
    }
}
