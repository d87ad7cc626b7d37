//! A valid experiment in a folder of its own, and the program run in it.

use expect_test::Expect;
use std::fs;
use std::process::Command;

/// A valid experiment, of which tests replace texts.
pub(super) const CONFIG: &str = r#"schema = 1
name = "small"
[model]
path = "embedded:triage"
[graph]
topology = "sequential"
[[agent]]
name = "extract"
role = "Lists the signals."
prompt = "List the signals of {question}"
max_new_tokens = 4
[[agent]]
name = "decide"
role = "Decides."
prompt = { file = "decide.txt" }
max_new_tokens = 4
frozen = ["<answer>"]
[data]
pool = { file = "pool.jsonl" }
test = { file = "test.jsonl", answer = "gold", id = "id" }
[eval]
scorer = "label"
labels = ["human", "scraper"]
[search]
batch = 2
[engine]
threads = 1
[propose]
max_new_tokens = 120
"#;

/// An experiment in a folder of its own.
pub(super) struct Experiment(tempfile::TempDir);

impl Experiment {
    pub(super) fn new() -> Self {
        let experiment = Self(tempfile::tempdir().expect("a temporary folder"));
        experiment.write("x.toml", CONFIG.as_bytes());
        experiment.write("decide.txt", b"Given {context}, is {question} <answer>human</answer>?\n");
        experiment
            .write("pool.jsonl", b"{\"question\": \"one\"}\n{\"question\": \"two\"}\n{\"question\": \"three\"}\n");
        experiment.write(
            "test.jsonl",
            b"{\"id\": \"a\", \"question\": \"four\", \"gold\": \"human\"}\n\
            {\"id\": \"b\", \"question\": \"five\", \"gold\": \"scraper\"}\n",
        );
        experiment
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.path(name), bytes).expect("a writable folder");
        self
    }

    /// Replaces one text of the experiment's file.
    pub(super) fn with(&self, from: &str, to: &str) -> &Self {
        assert!(CONFIG.contains(from), "{from}");
        self.write("x.toml", CONFIG.replacen(from, to, 1).as_bytes())
    }

    pub(super) fn run(&self, args: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_maspo"))
            .current_dir(self.0.path())
            .args(args.split_whitespace())
            .output()
            .expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
    }

    /// Runs the program in the folder and compares its output and exit code, as one text, with
    /// `expected`.
    #[track_caller]
    pub(super) fn check(&self, args: &str, expected: Expect) {
        let (code, stdout, stderr) = self.run(args);
        expected.assert_eq(&format!("{stdout}{stderr}exit {code}\n"));
    }
}
