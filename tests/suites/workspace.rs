//! A folder with a model of random weights and rows in the published forms, and the program run in
//! it.

use super::support::TinyModel;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The sets, each with the file names of its pool and its test.
pub(super) const SUITES: [(&str, &str, &str); 6] = [
    ("math500", "math500.jsonl", "math500.jsonl"),
    ("agieval-math", "agieval_math.jsonl", "agieval_math.jsonl"),
    ("aqua", "aqua_val.jsonl", "aqua_test.jsonl"),
    ("gpqa-diamond", "gpqa_diamond.jsonl", "gpqa_diamond.jsonl"),
    ("mbpp", "mbpp_sanitized.jsonl", "mbpp_sanitized.jsonl"),
    ("humaneval-et", "humaneval_et.jsonl", "humaneval_et.jsonl"),
];

/// The graphs, each with the names of its agents.
pub(super) const TOPOLOGIES: [(&str, usize); 3] = [("sequential", 2), ("hierarchical", 4), ("debate", 5)];

/// The rows of every made-up set: a pool of 50 and 6 more.
const ROWS: usize = 56;

/// A word that stands in the tests of code rows only.
pub(super) const SECRET: &str = "quokka";

pub(super) struct Workspace(tempfile::TempDir);

impl Workspace {
    /// A copy of the configurations without data and without a model.
    pub(super) fn without_data() -> Self {
        let workspace = Self(tempfile::tempdir().expect("a temporary folder"));
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/benchmarks");
        for folder in ["", "base"] {
            std::fs::create_dir_all(workspace.path("benchmarks").join(folder)).expect("a writable folder");
            for entry in from.join(folder).read_dir().expect("the configurations") {
                let entry = entry.expect("an entry");
                if entry.path().extension().is_some_and(|extension| extension == "toml") {
                    let to = workspace.path("benchmarks").join(folder).join(entry.file_name());
                    std::fs::copy(entry.path(), to).expect("a writable folder");
                }
            }
        }
        workspace
    }

    /// The configurations beside their data and a small model with random weights.
    pub(super) fn new() -> Self {
        let workspace = Self::without_data();
        let (model, data) = (workspace.path("benchmarks/models/Qwen3-8B"), workspace.path("benchmarks/data"));
        std::fs::create_dir_all(&model).expect("a writable folder");
        std::fs::create_dir_all(data).expect("a writable folder");
        TinyModel { config: json!({"max_position_embeddings": 40960}), ..TinyModel::default() }.write(&model);
        for (suite, pool, test) in SUITES {
            workspace.write_rows(pool, (0..ROWS).map(|at| row(suite, at)));
            if test != pool {
                // The first row is the pool's, in capitals: the same text.
                let shared = row(suite, 0).to_string().replace("Question", "QUESTION");
                let shared = serde_json::from_str(&shared).expect("JSON");
                workspace.write_rows(test, [shared].into_iter().chain((ROWS..ROWS + 6).map(|at| row(suite, at))));
            }
        }
        workspace
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write_rows(&self, name: &str, rows: impl Iterator<Item = Value>) {
        let text: String = rows.map(|row| format!("{row}\n")).collect();
        std::fs::write(self.path("benchmarks/data").join(name), text).expect("a writable folder");
    }

    /// Runs the program in the folder.
    pub(super) fn run(&self, args: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_maspo"))
            .current_dir(self.0.path())
            .args(args.split_whitespace())
            .output()
            .expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
    }

    /// Runs the program, which must print one JSON object.
    #[track_caller]
    pub(super) fn json(&self, args: &str) -> Value {
        let (code, stdout, stderr) = self.run(&format!("{args} --json"));
        assert_eq!(code, 0, "{args}: {stderr}");
        serde_json::from_str(&stdout).expect("one JSON object on stdout")
    }

    /// Returns the text of every file below a folder, as far as it is text.
    pub(super) fn texts_below(&self, folder: &str) -> Vec<(PathBuf, String)> {
        let mut texts = Vec::new();
        let mut open = vec![self.path(folder)];
        while let Some(folder) = open.pop() {
            for entry in folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if entry.is_dir() {
                    open.push(entry);
                } else {
                    let bytes = std::fs::read(&entry).expect("a file");
                    texts.push((entry, String::from_utf8_lossy(&bytes).into_owned()));
                }
            }
        }
        texts
    }
}

/// Returns a made-up row in the published form of a set.
pub(super) fn row(suite: &str, at: usize) -> Value {
    let question = format!("Question {at}: what is {at} plus {}, counted in whole numbers and nothing else?", at + 1);
    let sum = (2 * at + 1).to_string();
    match suite {
        "math500" => json!({
            "problem": question, "solution": "s", "answer": sum, "subject": "Algebra", "level": 1,
            "unique_id": format!("test/algebra/{at}.json"),
        }),
        "agieval-math" => json!({
            "passage": null, "question": question, "options": null, "label": null, "answer": sum,
            "other": {"solution": "s", "level": if at < 50 { 4 } else { 5 }, "type": "Algebra"},
        }),
        "aqua" => json!({
            "question": question, "options": [format!("A){sum}"), "B)7.5", "C)-1", "D)0.5", "E)none"],
            "rationale": "r", "correct": "A",
        }),
        "gpqa-diamond" => json!({"question": format!("{question}\nA) {sum}\nB) 7.5\nC) -1\nD) 0.5"), "answer": "A"}),
        "mbpp" => json!({
            "source_file": "f", "task_id": if at < 6 { 11 + at } else { 595 + at }, "prompt": question,
            "code": format!("def add_{at}(x):\n    return x + {at}"), "test_imports": [],
            "test_list": [format!("assert add_{at}(1) == {}, '{SECRET}'", at + 1)],
        }),
        "humaneval-et" => json!({
            "task_id": format!("HumanEval/{at}"), "entry_point": format!("add_{at}"),
            "prompt": format!("def add_{at}(x):\n    \"\"\"{question}\"\"\"\n"),
            "canonical_solution": format!("    return x + {at}\n"),
            "test": format!("def check(candidate):\n    assert candidate(1) == {}\n", at + 1),
            "test_case_list": [format!("assert add_{at}(1) == {}, '{SECRET}'", at + 1)],
        }),
        other => panic!("no set {other}"),
    }
}
