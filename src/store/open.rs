//! Opens a run directory: the lock against two runs at once, the schema and its version.

use super::RunDirError;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The schema that this program writes and reads.
pub const SCHEMA: u32 = 1;
/// The database's name in a run directory.
pub const DATABASE_FILE: &str = "run.sqlite";
/// The name of the file that is locked while a run is live. It is empty, and stays behind unlocked.
pub const LOCK_FILE: &str = "run.lock";

/// How long SQLite waits for another program (`sqlite3`, say) that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE meta (name TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        model TEXT NOT NULL,
        request TEXT NOT NULL,
        response TEXT NOT NULL
    );
    CREATE TABLE events (seq INTEGER PRIMARY KEY, json TEXT NOT NULL);
";

/// The lock of a run directory. It is released when this value is dropped, and at the latest when
/// the process ends.
pub(super) struct DirLock(File);

impl Drop for DirLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that another thread is spawning right now holds
        // a copy of the descriptor until it runs. If unlocking fails, the close still unlocks.
        let _left_to_close = self.0.unlock();
    }
}

/// Creates the directory if it is missing and takes its lock.
pub(super) fn lock_dir(dir: &Path) -> Result<DirLock, RunDirError> {
    let unwritable = |path: &Path, error: std::io::Error| match error.kind() {
        std::io::ErrorKind::StorageFull => RunDirError::Full { path: path.to_path_buf() },
        _ => RunDirError::Unwritable { path: path.to_path_buf(), reason: error.to_string() },
    };
    std::fs::create_dir_all(dir).map_err(|e| unwritable(dir, e))?;
    let path = dir.join(LOCK_FILE);
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(|e| unwritable(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(DirLock(file)),
        Err(TryLockError::WouldBlock) => Err(RunDirError::InUse { dir: dir.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(unwritable(&path, error)),
    }
}

/// Creates an empty database that only its owner can read, since it holds the words of the data.
/// One that is there stays as it is. SQLite gives its other files the same rights.
fn create_for_owner(path: &Path) -> Result<(), RunDirError> {
    let mut options = File::options();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            Err(RunDirError::Full { path: path.to_path_buf() })
        }
        // Whatever else is wrong with the path, SQLite says it.
        _ => Ok(()),
    }
}

/// Opens the writing connection, and creates the tables in an empty file.
pub(super) fn open_writer(dir: &Path, max_pages: Option<u32>) -> Result<Connection, RunDirError> {
    let path = dir.join(DATABASE_FILE);
    let fault = |error: rusqlite::Error| RunDirError::of_sqlite(&path, &error, true);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    create_for_owner(&path)?;
    let mut connection = Connection::open_with_flags(plain_name(&path), flags).map_err(fault)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(fault)?;
    let tables = table_count(&connection).map_err(fault)?;
    if tables > 0 {
        check_schema(&path, &connection, true)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(fault)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(fault)?;
    if let Some(pages) = max_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).map_err(fault)?;
    }
    if tables == 0 {
        // This is one transaction, so that a kill leaves either an empty file or the whole schema.
        let transaction = connection.transaction().map_err(fault)?;
        transaction.execute_batch(TABLES).map_err(fault)?;
        transaction
            .execute("INSERT INTO meta (name, value) VALUES ('schema', ?1)", [SCHEMA.to_string()])
            .map_err(fault)?;
        transaction.commit().map_err(fault)?;
    }
    Ok(connection)
}

/// Opens a connection that only reads. It works beside a live run and in a read-only folder.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, RunDirError> {
    let path = dir.join(DATABASE_FILE);
    if !path.is_file() {
        return Err(RunDirError::NoRun { dir: dir.to_path_buf() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let plain =
        Connection::open_with_flags(plain_name(&path), flags).and_then(|c| table_count(&c).map(|tables| (c, tables)));
    let (connection, tables) = match plain {
        // In a read-only folder SQLite cannot create the index of its write-ahead log. Without a
        // log the file is complete, and can be opened as immutable.
        Err(_) if !has_log(&path) => {
            Connection::open_with_flags(immutable_uri(&path), flags | OpenFlags::SQLITE_OPEN_URI)
                .and_then(|c| table_count(&c).map(|tables| (c, tables)))
        }
        other => other,
    }
    .map_err(|error| RunDirError::of_sqlite(&path, &error, false))?;
    if tables == 0 {
        return Err(RunDirError::NoRun { dir: dir.to_path_buf() });
    }
    connection.busy_timeout(BUSY_TIMEOUT).map_err(|error| RunDirError::of_sqlite(&path, &error, false))?;
    check_schema(&path, &connection, false)?;
    Ok(connection)
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(PathBuf::from(log)).is_ok_and(|file| file.len() > 0)
}

/// Returns the path in a form that SQLite takes for a path: a name that begins with `file:` would
/// be a URI.
fn plain_name(path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_path_buf() } else { Path::new(".").join(path) }
}

fn immutable_uri(path: &Path) -> String {
    // The two slashes are an empty host, so that a path may begin with slashes of its own.
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "file:./" });
    for byte in path.as_os_str().as_encoded_bytes().iter().copied() {
        match byte {
            b'?' | b'#' | b'%' => uri.push_str(&format!("%{byte:02x}")),
            _ if byte.is_ascii() => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}

fn table_count(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT count(*) FROM sqlite_master WHERE type = 'table'", [], |row| row.get(0))
}

fn check_schema(path: &Path, connection: &Connection, writing: bool) -> Result<(), RunDirError> {
    let fault = |error: rusqlite::Error| RunDirError::of_sqlite(path, &error, writing);
    let is_run: bool = connection
        .query_row("SELECT count(*) = 3 FROM sqlite_master WHERE name IN ('meta', 'calls', 'events')", [], |row| {
            row.get(0)
        })
        .map_err(fault)?;
    let has_meta: bool = connection
        .query_row("SELECT count(*) = 2 FROM pragma_table_info('meta') WHERE name IN ('name', 'value')", [], |row| {
            row.get(0)
        })
        .map_err(fault)?;
    if !has_meta {
        return Err(RunDirError::NotARun { path: path.to_path_buf() });
    }
    let found: Option<String> = connection
        .query_row("SELECT value FROM meta WHERE name = 'schema'", [], |row| row.get(0))
        .optional()
        .map_err(fault)?;
    let path = path.to_path_buf();
    match found.and_then(|text| text.parse::<u32>().ok()) {
        Some(found) if found < SCHEMA => Err(RunDirError::OlderSchema { path, found, expected: SCHEMA }),
        Some(found) if found > SCHEMA => Err(RunDirError::NewerSchema { path, found, expected: SCHEMA }),
        Some(_) if is_run => Ok(()),
        _ => Err(RunDirError::NotARun { path }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_holder_even_if_a_starting_program_has_a_copy_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock_dir(dir.path()).unwrap();
        let inherited = lock.0.try_clone().unwrap();
        assert!(matches!(lock_dir(dir.path()), Err(RunDirError::InUse { .. })));
        drop(lock);
        assert!(lock_dir(dir.path()).is_ok());
        drop(inherited);
    }
}
