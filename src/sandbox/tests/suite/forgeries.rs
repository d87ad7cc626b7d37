//! Programs that answer wrong and try everything to be judged right, or to do harm. None may
//! succeed at either; the controls beside them, which answer right, have to be judged so.
//!
//! Where a forgery could only tell by doing harm, it answers right if the forbidden thing worked.

use crate::support;
use maspo_sandbox::{Limits, Outcome, Program, Sandbox, SandboxOptions, Verdict};
use std::fs;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the programs are tested by. It uses what forgeries go for: comparisons, lengths, loops,
/// operators, arguments that change.
const TESTS: [&str; 7] = [
    "assert solve([3, 1, 2]) == [1, 2, 3]",
    "assert len(solve([4, 4, 1])) == 3 and set(solve([5, 5])) == {5} and isinstance(solve([1]), list)",
    "assert abs(mean([1, 2, 3, 4]) - 2.5) < 1e-9",
    "assert all(map(is_even, [2, 4, 8])) and not any(map(is_even, [1, 3]))",
    "assert [is_even(number) for number in range(4)] == [True, False, True, False]",
    "items = [9, 7]\norder(items)\nassert items == [7, 9]",
    "given = [2, 1]\nassert solve(given) == sorted(given) == [1, 2]",
];

/// Forgeries that only waste time, and have to be found out as such.
const ENDLESS: [&str; 5] =
    ["endless_call", "endless_load", "endless_native_code", "endless_sleep", "swallows_everything"];

/// What stands for the file outside that some forgeries go for.
const CANARY: &str = "@CANARY@";

/// Returns the programs of a folder, as a model would write them.
fn programs(folder: &str, canary: &Path) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let code = fs::read_to_string(path).unwrap().replace(CANARY, canary.to_str().unwrap());
        (name, format!("Here is my answer.\n```python\n{code}```\n"))
    };
    paths.iter().map(read).collect()
}

fn verdicts(sandbox: &Sandbox, programs: &[(String, String)], limits: &Limits) -> Vec<Verdict> {
    let tests = support::texts(&TESTS);
    let rows: Vec<Program<'_>> =
        programs.iter().map(|(_, output)| Program { output, tests: &tests, imports: &[], entry_point: None }).collect();
    sandbox.judge_all(&rows, limits).unwrap()
}

/// What could be harmed.
struct Surroundings {
    scratch: tempfile::TempDir,
    /// Open in this process and not marked to be closed in others.
    inheritable: fs::File,
    sleeper: std::process::Child,
    outside: tempfile::TempDir,
    canary: (String, u32, i64, i64),
}

impl Surroundings {
    fn new() -> Self {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("file"), "unharmed").unwrap();
        let canary = canary(&outside.path().join("file"));
        let file = tempfile::tempfile().unwrap();
        // SAFETY: duplicates a descriptor that is open; the new one has no other owner.
        let mut inheritable = unsafe { fs::File::from_raw_fd(libc::dup(file.as_raw_fd())) };
        inheritable.write_all(b"unharmed").unwrap();
        let sleeper = Command::new("sleep").arg("600").spawn().unwrap();
        Self { scratch: tempfile::tempdir().unwrap(), inheritable, sleeper, outside, canary }
    }

    fn canary_path(&self) -> PathBuf {
        self.outside.path().join("file")
    }

    fn check(mut self) {
        assert_eq!(canary(&self.canary_path()), self.canary, "the file outside was changed");
        assert_eq!(self.outside.path().read_dir().unwrap().count(), 1, "something was added outside");
        let mut text = String::new();
        self.inheritable.rewind().unwrap();
        self.inheritable.read_to_string(&mut text).unwrap();
        assert_eq!(text, "unharmed", "a descriptor of the parent's was written to");
        assert!(self.sleeper.try_wait().unwrap().is_none(), "another process was ended");
        self.sleeper.kill().unwrap();
        self.sleeper.wait().unwrap();
        let left: Vec<_> = self.scratch.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 1, "only the compiled programs are left: {left:?}");
        assert_eq!(processes_of(self.scratch.path()), Vec::<String>::new(), "processes are left behind");
    }
}

fn canary(path: &Path) -> (String, u32, i64, i64) {
    let data = fs::metadata(path).unwrap();
    (fs::read_to_string(path).unwrap(), data.mode(), data.mtime(), data.mtime_nsec())
}

/// Returns the processes that were started with a script of this folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(folder.to_str().unwrap())).collect()
}

#[test]
fn no_forgery_is_judged_correct_and_none_does_harm() {
    let surroundings = Surroundings::new();
    let options = SandboxOptions { scratch: Some(surroundings.scratch.path().to_path_buf()), ..Default::default() };
    let Some(sandbox) = support::sandbox(&options) else { return };
    let forgeries = programs("forgeries", &surroundings.canary_path());
    assert!(forgeries.len() >= 40, "only {} forgeries", forgeries.len());
    let limits = Limits { cpu_ms: 1_000, wall_ms: 1_500, memory_mib: 512, scratch_mib: 4, ..Limits::default() };
    let verdicts = verdicts(&sandbox, &forgeries, &limits);
    let mut faults = Vec::new();
    for ((name, _), verdict) in forgeries.iter().zip(&verdicts) {
        println!("{name}: {:?}: {}", verdict.outcome, verdict.detail);
        let is_endless = ENDLESS.contains(&name.as_str());
        if verdict.outcome == Outcome::Correct || is_endless && verdict.outcome != Outcome::Timeout {
            faults.push(format!("{name}: {verdict:?}"));
        }
        if verdict.outcome == Outcome::Unparsable {
            faults.push(format!("{name}: its code was not even found"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    surroundings.check();
}

#[test]
fn programs_that_do_what_is_asked_are_judged_correct() {
    let Some(sandbox) = support::sandbox(&SandboxOptions::default()) else { return };
    let controls = programs("controls", Path::new("none"));
    for ((name, _), verdict) in controls.iter().zip(verdicts(&sandbox, &controls, &Limits::default())) {
        assert_eq!(verdict.outcome, Outcome::Correct, "{name}: {}", verdict.detail);
    }
}
