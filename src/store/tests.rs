//! Tests of what a user of a run directory would notice: nothing acknowledged is lost, and each
//! fault has an error of its own.

use super::*;
use crate::base::Digest;
use futures::executor::block_on;
use futures::future::join_all;
use std::io::BufRead;
use std::path::Path;
use std::process::{Command, Stdio};

fn row(index: u64) -> CallRow {
    CallRow {
        key: Digest::of(&index.to_le_bytes()),
        kind: "complete",
        model: Digest::of(b"model"),
        request: format!(r#"{{"index":{index}}}"#),
        response: format!(r#"{{"text":"answer {index} {}"}}"#, "x".repeat(200)),
    }
}

#[track_caller]
fn check_open(dir: &Path, environment: bool, expected: &str) {
    let error = Store::open(dir).err().expect("the folder is not usable");
    assert_eq!(error.is_environment(), environment);
    assert_eq!(error.to_string().replace(&dir.display().to_string(), "DIR"), expected);
}

#[test]
fn stored_rows_survive_reopening_in_a_single_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    block_on(async {
        join_all((0..300).map(|i| store.put_call(row(i)))).await.into_iter().collect::<Result<(), _>>().unwrap();
        store.put_event(0, "{}".into()).await.unwrap();
        store.put_meta(vec![("settings".into(), "abc".into())]).await.unwrap();
    });
    assert_eq!(store.reader().call_count().unwrap(), 300);
    drop(store);
    let mut names: Vec<_> =
        dir.path().read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, [LOCK_FILE, DATABASE_FILE]);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.call(&row(299).key).unwrap(), Some(row(299).response));
    assert_eq!(reader.call(&row(300).key).unwrap(), None);
    assert_eq!((reader.event(0).unwrap().as_deref(), reader.event_count().unwrap()), (Some("{}"), 1));
    assert_eq!(reader.meta("settings").unwrap().as_deref(), Some("abc"));
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_a_new_database() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    block_on(store.put_event(0, "{}".into())).unwrap();
    for entry in dir.path().read_dir().unwrap().map(|entry| entry.unwrap()) {
        if entry.file_name() != LOCK_FILE {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        }
    }
}

#[test]
fn a_key_keeps_its_first_answer_and_a_restart_keeps_the_answers() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    block_on(async {
        store.put_call(row(1)).await.unwrap();
        store.put_call(CallRow { response: "other".into(), ..row(1) }).await.unwrap();
        store.put_event(0, "{}".into()).await.unwrap();
        store.put_meta(vec![("settings".into(), "abc".into())]).await.unwrap();
        store.restart().await.unwrap();
    });
    let reader = store.reader();
    assert_eq!(reader.call(&row(1).key).unwrap(), Some(row(1).response));
    assert_eq!((reader.event_count().unwrap(), reader.meta("settings").unwrap()), (0, None));
    assert_eq!(reader.meta("schema").unwrap(), Some(SCHEMA.to_string()));
}

#[test]
fn a_write_whose_future_is_dropped_still_happens() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    drop(store.put_call(row(7)));
    drop(store);
    assert_eq!(Reader::open(dir.path()).unwrap().call(&row(7).key).unwrap(), Some(row(7).response));
}

#[test]
fn a_repeated_event_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    block_on(store.put_event(0, "first".into())).unwrap();
    assert!(matches!(block_on(store.put_event(0, "second".into())), Err(StoreError::Write { .. })));
    assert_eq!(store.reader().event(0).unwrap().as_deref(), Some("first"));
}

#[test]
fn a_full_disk_is_reported_loses_nothing_acknowledged_and_stops_all_writing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_limited(dir.path(), Some(40)).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match block_on(store.put_call(row(acknowledged))) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(acknowledged > 50, "{acknowledged} rows of 0.5 KB fit into 40 pages of 4 KB");
    assert_eq!(
        error.to_string().replace(&dir.path().display().to_string(), "DIR"),
        "no space is left for DIR/run.sqlite; what was done so far is kept: free some space, \
         then go on with --resume"
    );
    assert_eq!(
        block_on(store.put_meta(vec![("a".into(), "b".into())])),
        Err(error),
        "nothing is written after a failure"
    );
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    for index in 0..acknowledged {
        assert_eq!(store.reader().call(&row(index).key).unwrap(), Some(row(index).response));
    }
    block_on(store.put_call(row(acknowledged))).unwrap();
}

#[test]
fn two_runs_cannot_share_a_folder_but_a_reader_may_look_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    check_open(
        dir.path(),
        false,
        "another maspo is at work in DIR; wait until it ends, or choose another folder with --out",
    );
    block_on(store.put_call(row(1))).unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().call_count().unwrap(), 1);
    drop(store);
    Store::open(dir.path()).unwrap();
}

#[test]
fn each_kind_of_unusable_folder_has_its_own_error() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join(DATABASE_FILE);
    let read = |dir: &Path| Reader::open(dir).err().unwrap().to_string().replace(&dir.display().to_string(), "DIR");
    assert_eq!(read(dir.path()), "there is no run in DIR (it has no run.sqlite)");

    std::fs::write(&database, "this is a letter, and a rather long one, not a database at all. ".repeat(100)).unwrap();
    let not_a_run = "DIR/run.sqlite is not a maspo run; move it away or choose another folder with --out";
    assert_eq!(read(dir.path()), not_a_run);
    check_open(dir.path(), false, not_a_run);

    std::fs::remove_file(&database).unwrap();
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    check_open(dir.path(), false, not_a_run);
    connection.execute_batch("DROP TABLE notes; CREATE TABLE meta (id INTEGER)").unwrap();
    check_open(dir.path(), false, not_a_run);
    drop(connection);

    std::fs::remove_file(&database).unwrap();
    drop(Store::open(dir.path()).unwrap());
    let set_schema = |value: &str| {
        let connection = rusqlite::Connection::open(&database).unwrap();
        connection.execute("UPDATE meta SET value = ?1 WHERE name = 'schema'", [value]).unwrap();
    };
    set_schema("0");
    let older = "DIR/run.sqlite has schema 0, and this maspo reads schema 1; start the run again in \
                 another folder (--out), or use the maspo that wrote it";
    assert_eq!(read(dir.path()), older);
    check_open(dir.path(), false, older);
    set_schema("2");
    check_open(dir.path(), false, "DIR/run.sqlite has schema 2, and this maspo reads schema 1; use a newer maspo");
}

#[test]
fn a_damaged_file_is_reported_as_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    block_on(join_all((0..200).map(|i| store.put_call(row(i)))));
    drop(store);
    let database = dir.path().join(DATABASE_FILE);
    let mut bytes = std::fs::read(&database).unwrap();
    // The page header and cells of the schema page, after the 100 bytes of the file's own header.
    bytes[100..4096].fill(0xff);
    std::fs::write(&database, bytes).unwrap();
    check_open(
        dir.path(),
        false,
        "DIR/run.sqlite is damaged: database disk image is malformed; move it away and run again",
    );
}

#[test]
fn an_unwritable_folder_is_an_environment_error() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    check_open(
        &blocked.join("run"),
        true,
        "DIR cannot be written: Not a directory (os error 20); choose another folder with --out",
    );
    // The common case. For the superuser every folder is writable, so that it shows nothing there.
    let closed = dir.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    if std::fs::write(closed.join("probe"), "").is_err() {
        check_open(
            &closed,
            true,
            "DIR/run.lock cannot be written: Permission denied (os error 13); choose another folder with --out",
        );
    }
}

const CHILD_DIR: &str = "MASPO_TEST_STORE_CHILD";

/// The child process of the test below: it writes rows eight at a time and prints which are
/// acknowledged. Without its environment variable it is an ordinary test that does nothing.
#[test]
fn child_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD_DIR) else { return };
    let store = Store::open(Path::new(&dir)).unwrap();
    let start = store.reader().call_count().unwrap();
    for group in 0..100_000 {
        let indices: Vec<_> = (0..8).map(|i| start + group * 8 + i).collect();
        for outcome in block_on(join_all(indices.iter().map(|i| store.put_call(row(*i))))) {
            outcome.unwrap();
        }
        println!("\nacknowledged {} {}", indices[0], indices[7]);
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..20_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::child_that_is_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The child is killed after a varying number of acknowledgements, and at a varying moment
        // after the last of them.
        let mut groups = 1 + round * 7 % 23;
        for line in std::io::BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(range) = line.strip_prefix("acknowledged ") else { continue };
            let ends: Vec<u64> = range.split(' ').filter_map(|end| end.parse().ok()).collect();
            if let [first, last] = ends[..] {
                acknowledged.extend(first..=last);
            }
            groups = groups.saturating_sub(1);
            if groups == 0 {
                std::thread::sleep(std::time::Duration::from_micros(round * 137 % 1500));
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let reader = Reader::open(dir.path()).unwrap();
        for index in &acknowledged {
            assert_eq!(
                reader.call(&row(*index).key).unwrap(),
                Some(row(*index).response),
                "row {index}, round {round}"
            );
        }
    }
    assert!(acknowledged.len() >= 20 * 8);
}
