//! What the program says to experiment files, data and prompts, right and wrong: exit code, stdout and stderr of `validate`,
//! `plan`, `eval` and `compare`, word for word. The model is the program's own, so nothing else is needed.

use expect_test::{Expect, expect};
use std::fs;
use std::process::Command;

const CONFIG: &str = r#"schema = 1
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
"#;

/// An experiment in a folder of its own.
struct Experiment(tempfile::TempDir);

impl Experiment {
    fn new() -> Self {
        let experiment = Self(tempfile::tempdir().expect("a temporary folder"));
        experiment.write("x.toml", CONFIG.as_bytes());
        experiment.write("decide.txt", b"Given {context}, is {question} <answer>human</answer>?\n");
        experiment
            .write("pool.jsonl", b"{\"question\": \"one\"}\n{\"question\": \"two\"}\n{\"question\": \"three\"}\n");
        experiment.write(
            "test.jsonl",
            b"{\"id\": \"a\", \"question\": \"four\", \"gold\": \"human\"}\n{\"id\": \"b\", \"question\": \"five\", \"gold\": \"scraper\"}\n",
        );
        experiment
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.0.path().join(name), bytes).expect("a writable folder");
        self
    }

    /// The experiment with one text of its file replaced.
    fn with(&self, from: &str, to: &str) -> &Self {
        assert!(CONFIG.contains(from), "{from}");
        self.write("x.toml", CONFIG.replacen(from, to, 1).as_bytes())
    }

    fn run(&self, args: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_maspo"))
            .current_dir(self.0.path())
            .args(args.split_whitespace())
            .output()
            .expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
    }

    /// Runs the program in the folder; what it printed and its exit code, as one text.
    #[track_caller]
    fn check(&self, args: &str, expected: Expect) {
        let (code, stdout, stderr) = self.run(args);
        expected.assert_eq(&format!("{stdout}{stderr}exit {code}\n"));
    }
}

#[test]
fn a_sound_experiment_is_summed_up() {
    let experiment = Experiment::new();
    experiment.check("validate x.toml", expect![[""]]);
    experiment.check("validate x.toml --json", expect![[""]]);
    experiment.with("batch = 2", "batch = 4").check("validate x.toml --set seed=3", expect![[""]]);
}

#[test]
fn missing_files_are_named() {
    let experiment = Experiment::new();
    experiment.check("validate nowhere.toml", expect![[""]]);
    experiment.check("plan nowhere.toml", expect![[""]]);
    experiment.check("eval nowhere.toml", expect![[""]]);
    experiment.check("compare nowhere.toml seed seed", expect![[""]]);
    experiment.check("validate .", expect![[""]]);
    experiment.with("pool.jsonl", "nowhere.jsonl").check("validate x.toml", expect![[""]]);
    experiment.with("embedded:triage", "nowhere").check("validate x.toml", expect![[""]]);
    experiment.check("eval x.toml", expect![[""]]);
    // A plan opens no model.
    assert_eq!(experiment.run("plan x.toml").0, 0);
    experiment.with("decide.txt", "nowhere.txt").check("validate x.toml", expect![[""]]);
}

#[test]
fn files_that_are_not_text_are_named() {
    let experiment = Experiment::new();
    experiment.write("x.toml", b"schema = 1\nname = \"\xe9\"\n").check("validate x.toml", expect![[""]]);
    experiment.write("x.toml", CONFIG.as_bytes()).write("decide.txt", b"\xff").check("validate x.toml", expect![[""]]);
    let experiment = Experiment::new();
    experiment
        .write("pool.jsonl", b"{\"question\": \"a\"}\n{\"question\": \"\xe9\"}\n")
        .check("validate x.toml", expect![[""]]);
    experiment
        .write("pool.jsonl", b"\xef\xbb\xbf{\"question\": \"a\"}\n")
        .check("validate x.toml --skip-bad-rows", expect![[""]]);
}

#[test]
fn toml_errors_have_line_and_column() {
    Experiment::new().with("batch = 2", "batch = 2 2").check("validate x.toml", expect![[""]]);
    Experiment::new().with("[search]", "[search\n").check("plan x.toml", expect![[""]]);
}

#[test]
fn every_fault_is_told_at_once() {
    let experiment = Experiment::new();
    experiment.with("schema = 1", "schema = 1\nsede = 2").check(
        "validate x.toml --set search.beam=none --set judge.mode=vote --set data.pool.file=p.jsonl",
        expect![[""]],
    );
    experiment.with("schema = 1", "schema = 9").check("validate x.toml", expect![[""]]);
}

#[test]
fn graphs_that_cannot_run_are_refused() {
    let edges = "[[edge]]\nfrom = \"extract\"\nto = \"decide\"\n[[edge]]\nfrom = \"decide\"\nto = \"extract\"";
    Experiment::new().with("topology = \"sequential\"", edges).check("validate x.toml", expect![[""]]);
    Experiment::new().with("topology = \"sequential\"", "").check("validate x.toml", expect![[""]]);
    Experiment::new().with("signals of {question}", "signals").check("validate x.toml", expect![[""]]);
    let experiment = Experiment::new();
    experiment.write("decide.txt", b"is {question} <answer>human</answer>?").check("validate x.toml", expect![[""]]);
    experiment.with("name = \"decide\"", "name = \"extract\"").check("validate x.toml", expect![[""]]);
}

#[test]
fn bad_rows_are_told_or_left_out_on_request() {
    let experiment = Experiment::new();
    experiment.write(
        "pool.jsonl",
        b"{\"question\": \"one\"}\n{\"question\": \n{\"q\": \"two\"}\n{\"question\": \"three\"}\n",
    );
    experiment.check("validate x.toml", expect![[""]]);
    experiment.check("plan x.toml", expect![[""]]);
    let (code, stdout, stderr) = experiment.run("validate x.toml --skip-bad-rows");
    assert!(code == 0 && stdout.contains("2 queries"), "{stdout}");
    expect![[""]].assert_eq(&stderr);
}

#[test]
fn data_that_cannot_be_used_is_refused() {
    let experiment = Experiment::new();
    experiment.write("pool.jsonl", b"\n").check("validate x.toml", expect![[""]]);
    experiment
        .write("pool.jsonl", b"{\"question\": \" FOUR\"}\n{\"question\": \"x\"}\n")
        .check("validate x.toml", expect![[""]]);
    let experiment = Experiment::new();
    let twice = b"{\"id\": 1, \"question\": \"x\", \"gold\": \"human\"}\n{\"id\": \"1\", \"question\": \"y\", \"gold\": \"human\"}\n";
    experiment.write("test.jsonl", twice).check("validate x.toml --skip-bad-rows", expect![[""]]);
    let experiment = Experiment::new();
    experiment.with("pool =", "train = { file = \"train.jsonl\", answer = \"gold\", id = \"id\" }\npool =");
    experiment.write("train.jsonl", b"{\"id\": \"b\", \"question\": \"six\", \"gold\": \"human\"}\n");
    experiment.check("validate x.toml", expect![[""]]);
    experiment.with("\"scraper\"]", "\"robot\"]").check("validate x.toml", expect![[""]]);
}

#[test]
fn a_plan_bounds_the_run() {
    let experiment = Experiment::new();
    experiment.check("plan x.toml", expect![[""]]);
    experiment.check("plan x.toml --json --set search.rounds=1 --set search.steps=1", expect![[""]]);
}

#[test]
fn prompts_that_do_not_fit_are_refused_before_a_model_is_opened() {
    let experiment = Experiment::new();
    experiment.write("p.json", b"{\"extract\": \"no slot\", \"decid\": \"x\"}");
    experiment.check("eval x.toml --prompts p.json", expect![[""]]);
    experiment.check("compare x.toml seed p.json", expect![[""]]);
    experiment.check("eval x.toml --prompts nowhere.json", expect![[""]]);
    experiment.write("p.json", b"[1]").check("eval x.toml --prompts p.json", expect![[""]]);
    experiment.check("eval x.toml --split train", expect![[""]]);
}

#[test]
fn prompts_are_scored_and_compared() {
    let experiment = Experiment::new();
    experiment.write("p.json", b"{\"decide\": \"{question} {context} <answer>\", \"extract\": \"Say {question}\"}");
    let json = |args: &str| -> serde_json::Value {
        let (code, stdout, stderr) = experiment.run(args);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).expect("one JSON object on stdout")
    };
    let eval = json("eval x.toml --prompts p.json --json");
    assert_eq!((&eval["schema"], &eval["command"], &eval["split"]), (&1.into(), &"eval".into(), &"test".into()));
    assert_eq!(eval["accuracy"]["n"], 2);
    assert_eq!(eval["items"][1]["id"], "b");
    assert_eq!(eval["ledger"]["worker"]["calls"], 4);

    let compare = json("compare x.toml seed p.json --json");
    assert_eq!(compare["difference"]["n"], 2);
    assert_eq!(compare["b"]["accuracy"], eval["accuracy"], "the same prompts have the same score");
    let same = json("compare x.toml seed seed --json");
    assert_eq!((&same["difference"]["value"], &same["difference"]["mcnemar_p"]), (&0.0.into(), &1.0.into()));
    assert_eq!(same["ledger"]["worker"]["calls"], 4, "equal prompts are run once");

    let (code, stdout, stderr) = experiment.run("eval x.toml");
    assert!(code == 0 && stderr.is_empty(), "{stderr}");
    let line = stdout.lines().nth(1).expect("a second line");
    assert!(line.starts_with("accuracy   0.") && line.contains("(n 2, correct "), "{stdout}");
}

#[test]
fn a_question_longer_than_the_model_is_counted_and_the_run_goes_on() {
    let experiment = Experiment::new();
    let long = format!("{{\"id\": \"a\", \"question\": \"{}\", \"gold\": \"human\"}}\n", "word ".repeat(20_000));
    let rows = format!("{long}{{\"id\": \"b\", \"question\": \"five\", \"gold\": \"human\"}}\n");
    experiment.write("test.jsonl", rows.as_bytes());
    let (code, stdout, stderr) = experiment.run("eval x.toml --json");
    assert_eq!(code, 0, "{stderr}");
    let eval: serde_json::Value = serde_json::from_str(&stdout).expect("one JSON object on stdout");
    assert_eq!((&eval["accuracy"]["n"], &eval["accuracy"]["overflow"]), (&2.into(), &1.into()));
    assert_eq!((&eval["items"][0]["overflow"], &eval["items"][1]["overflow"]), (&true.into(), &false.into()));
}

#[test]
fn the_paper_presets_are_sound() {
    let experiment = Experiment::new();
    let row = |at: usize| format!("{{\"question\": \"q{at}\", \"options\": [\"A)1\", \"B)2\"], \"correct\": \"B\"}}\n");
    experiment.write("aqua.jsonl", (0..60).map(row).collect::<String>().as_bytes());
    for (preset, agents) in [("paper-sequential", 2), ("paper-hierarchical", 4)] {
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/configs");
        let sets = "--set data.pool.file=aqua.jsonl --set model.path=embedded:triage --json";
        let (code, stdout, stderr) = experiment.run(&format!("validate {config}/{preset}.toml {sets}"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{preset}");
        let facts: serde_json::Value = serde_json::from_str(&stdout).expect("one JSON object on stdout");
        assert_eq!(facts["agents"].as_array().map(Vec::len), Some(agents));
        assert_eq!((&facts["pool"], &facts["test"]), (&50.into(), &10.into()));
    }
}
