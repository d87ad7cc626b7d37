//! What every command writes to a terminal, and to a reader that has gone away: the latter ends a
//! command quietly, and a terminal that refuses colours and cursor movements gets none.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, pipe};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const REQUEST: &str = r#"{"id": 1, "messages": [{"role": "user", "content": "rate: rapid"}]}"#;
const SCORE: &str = r#"{"id": 1, "messages": [{"role": "user", "content": "rate: rapid"}], "answers": ["A"]}"#;

/// A folder with a small labelled set, requests and one finished run.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let all = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/triage/test.jsonl")).unwrap();
        let few: String = all.lines().take(4).flat_map(|line| [line, "\n"]).collect();
        fs::write(desk.path("test.jsonl"), few).unwrap();
        fs::write(desk.path("generate.jsonl"), format!("{REQUEST}\n")).unwrap();
        fs::write(desk.path("score.jsonl"), format!("{SCORE}\n")).unwrap();
        let output = desk.command(&desk.optimize("run")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn named(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Returns a command on the demonstration with a small search.
    fn experiment(&self, command: &str) -> Vec<String> {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/triage.toml");
        let mut words = vec![command.to_string(), config.display().to_string()];
        let test = format!("data.test.file={:?}", self.path("test.jsonl"));
        for set in ["search.rounds=1", "search.steps=1", "search.batch=2", "search.final_check=2", &test] {
            words.extend(["--set".to_string(), set.to_string()]);
        }
        words
    }

    fn optimize(&self, out: &str) -> Vec<String> {
        [self.experiment("optimize"), vec!["--out".to_string(), self.named(out)]].concat()
    }

    fn command(&self, words: &[String]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
        command.args(words).stdin(Stdio::null());
        command
    }

    /// Returns every command that prints, in all the ways it prints.
    fn commands(&self) -> Vec<Vec<String>> {
        let words = |text: &str| text.split(' ').map(str::to_string).collect::<Vec<_>>();
        let compare = [self.experiment("compare"), words("seed seed")].concat();
        let plain = [
            words("--help"),
            self.optimize("other"),
            self.experiment("eval"),
            compare,
            self.experiment("validate"),
            self.experiment("plan"),
            vec!["show".to_string(), self.named("run")],
            words(&format!("generate --model embedded:triage --max-tokens 4 --input {}", self.named("generate.jsonl"))),
            words(&format!("score --model embedded:triage --input {}", self.named("score.jsonl"))),
            words("bench --model embedded:triage --batch 1 --prompt-tokens 4 --new-tokens 2"),
            words("doctor"),
        ];
        let json = plain[1..].iter().map(|words| {
            let forced = (words[0] == "optimize").then(|| "--force".to_string());
            words.iter().cloned().chain(["--json".to_string()]).chain(forced).collect()
        });
        plain.iter().cloned().chain(json).collect()
    }
}

/// Returns the writing end of a pipe whose reader has gone away.
fn nobody_reads() -> Stdio {
    pipe().unwrap().1.into()
}

#[track_caller]
fn quiet(words: &[String], output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains("error"), "{words:?}: {stderr}");
}

#[test]
fn a_reader_that_has_gone_away_ends_every_command_quietly() {
    let desk = Desk::new();
    for words in desk.commands() {
        let output = desk.command(&words).stdout(nobody_reads()).output().unwrap();
        quiet(&words, &output);
    }
    assert!(desk.path("other/result.json").exists(), "a run that nobody reads about is finished all the same");
}

#[test]
fn messages_that_nobody_reads_change_no_exit_code() {
    let desk = Desk::new();
    for words in desk.commands() {
        let output = desk.command(&words).stderr(nobody_reads()).output().unwrap();
        quiet(&words, &output);
        assert!(!output.stdout.is_empty(), "{words:?}");
    }
    let wrong = ["show".to_string(), desk.named("nothing")];
    let output = desk.command(&wrong).stderr(nobody_reads()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// Returns what a command writes to a terminal of 120 columns.
fn on_terminal(desk: &Desk, words: &[String], variable: (&str, &str)) -> String {
    let (mut ours, mut theirs) = (-1, -1);
    let size = libc::winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: both descriptors are ours to write, the name and the settings may be null, and `size`
    // outlives the call.
    let code = unsafe {
        libc::openpty(&raw mut ours, &raw mut theirs, std::ptr::null_mut(), std::ptr::null(), &raw const size)
    };
    assert_eq!(code, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the call gave two open descriptors, which nobody else owns.
    let (ours, theirs) = unsafe { (File::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) };
    let mut command = desk.command(words);
    command.env_remove("NO_COLOR").env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE").env_remove("CI");
    command.env("TERM", "xterm").env(variable.0, variable.1);
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut child = command.spawn().unwrap();
    // The terminal's other end closes when the child and the command that holds its copies are
    // gone.
    drop(command);
    let mut written = Vec::new();
    let mut ours = ours;
    // The end of a terminal is an error of reading.
    while let Ok(read @ 1..) = ours.by_ref().take(1 << 16).read_to_end(&mut written) {
        let _more = read;
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    String::from_utf8_lossy(&written).into_owned()
}

#[test]
fn colours_and_moving_lines_are_for_terminals_that_take_them() {
    let desk = Desk::new();
    let show = ["show".to_string(), desk.named("run")];
    let changed = on_terminal(&desk, &show, ("TERM", "xterm")).contains(": changed");
    assert!(changed, "the run has a difference to colour");
    assert!(on_terminal(&desk, &show, ("TERM", "xterm")).contains("\u{1b}[3"));
    for refusal in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert!(!on_terminal(&desk, &show, refusal).contains('\u{1b}'), "{refusal:?}");
    }
    let again = [desk.optimize("run"), vec!["--force".to_string()]].concat();
    assert!(on_terminal(&desk, &again, ("TERM", "xterm")).contains('\u{1b}'), "a moving line and colours");
    for words in desk.commands().into_iter().filter(|words| words[0] != "optimize").chain([again]) {
        assert!(!on_terminal(&desk, &words, ("TERM", "dumb")).contains('\u{1b}'), "{words:?}");
    }
}
