//! `maspo study` on the embedded model at small size: a killed study resumes to the same tables,
//! finished runs are not made again, and every ready study runs.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The settings that make an experiment on the embedded model small.
const SMALL: &[&str] = &[
    "search.rounds=1",
    "search.steps=1",
    "search.batch=3",
    "search.final_check=3",
    "methods.trials=2",
    "methods.instructions=2",
    "methods.rounds=1",
    "methods.epochs=1",
    "methods.train_items=4",
    "data.pool.limit=6",
];

fn study(file: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    command.arg("study").arg(file).arg("--out").arg(out).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The same, with small settings and the first few test cases.
fn small(file: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = study(file, out, more);
    for set in SMALL.iter().chain(&["data.test.limit=8"]) {
        command.args(["--set", set]);
    }
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn report(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).expect("--json prints one JSON object")
}

/// The files of the report, by name.
fn tables(out: &Path) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = ["report.md", "report.csv", "report.json"].map(|name| out.join(name)).into();
    let plots = fs::read_dir(out.join("plots")).unwrap();
    files.extend(plots.map(|entry| entry.unwrap().path()));
    files.sort();
    let read =
        |path: &PathBuf| (path.strip_prefix(out).unwrap().display().to_string(), fs::read_to_string(path).unwrap());
    files.iter().map(read).collect()
}

const STUDY: &str = r#"
schema = 1
name = "tiny"
baseline = "maspo"
in_flight = 3
[unranked]
vanilla = "never learned"
[[experiment]]
config = "CONFIG"
seeds = [1, 2]
methods = ["maspo", "random", "spo", "spo@maspo", "tpe", "gepa", "vanilla", "sc", "self-refine"]
set = { "methods.compare" = "items" }
[[experiment.arm]]
name = "ideal"
prompts = "IDEAL"
"#;

fn written(dir: &Path) -> PathBuf {
    let path = |name: &str| root().join(name).display().to_string();
    let text = STUDY.replace("CONFIG", &path("configs/triage.toml"));
    let file = dir.join("tiny.toml");
    fs::write(&file, text.replace("IDEAL", &path("models/triage/ideal-prompts.json"))).unwrap();
    file
}

#[test]
fn a_killed_study_resumes_to_the_same_tables() {
    let dir = tempfile::tempdir().unwrap();
    let (file, whole, killed) = (written(dir.path()), dir.path().join("whole"), dir.path().join("killed"));
    let watch = Instant::now();
    let first = report(&small(&file, &whole, &["--json"]).output().unwrap());
    let took = watch.elapsed().as_millis() as u64;
    assert_eq!((&first["schema"], &first["runs"], &first["missing"]), (&1.into(), &20.into(), &0.into()));

    for point in [20, 50, 80] {
        let mut child = small(&file, &killed, &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(took * point / 100));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    report(&small(&file, &killed, &["--json"]).output().unwrap());
    assert_eq!(tables(&killed), tables(&whole));

    // Nothing is left to do, and the report alone needs no model.
    let again = small(&file, &whole, &[]).output().unwrap();
    assert!(stderr(&again).contains("all 20 runs are finished"), "{}", stderr(&again));
    let only = report(&study(&file, &whole, &["--report", "--json"]).output().unwrap());
    assert_eq!(only, first);

    let arms = first["experiments"][0]["arms"].as_array().unwrap();
    let arm = |name: &str| arms.iter().find(|arm| arm["arm"] == name).unwrap_or_else(|| panic!("no arm {name}"));
    assert_eq!(arm("ideal")["tokens"], 0.0);
    let spent = |name: &str| arm(name)["tokens"].as_f64().unwrap();
    assert!(spent("spo@maspo") <= spent("maspo") && spent("spo@maspo") > 0.0);
    assert_eq!(arm("spo@maspo")["budget_limited"], 2);
    assert_eq!(arm("vanilla")["unranked"], "never learned");
    assert!(arm("sc")["answer_tokens"].as_f64() > arm("vanilla")["answer_tokens"].as_f64());
    assert_eq!(arm("maspo")["difference"], Value::Null);
    let markdown = fs::read_to_string(whole.join("report.md")).unwrap();
    assert!(markdown.contains("| seed prompts | 2 |") && markdown.contains("within noise"), "{markdown}");
    assert!(!markdown.contains("NaN"), "{markdown}");

    // Another setup does not mix with it.
    let other = study(&file, &whole, &[]).output().unwrap();
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("holds a run of another model, other settings"), "{}", stderr(&other));
}

#[test]
fn every_ready_study_runs_at_small_size() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["triage", "ablations", "landscape", "lookahead", "transfer", "noise"] {
        let (file, out) = (root().join(format!("studies/{name}.toml")), dir.path().join(name));
        // The arms and the data of these studies are as in the file, but for their sizes.
        let command = if name == "transfer" {
            let mut command = study(&file, &out, &["--json", "--seeds", "61"]);
            for set in &SMALL[..9] {
                command.args(["--set", set]);
            }
            command.args(["--set", "data.test.limit=8"]).output()
        } else {
            small(&file, &out, &["--json", "--seeds", "61"]).output()
        };
        let report = report(&command.unwrap());
        assert_eq!(report["missing"], 0, "{name}");
        assert!(fs::read_dir(out.join("plots")).unwrap().count() >= 2, "{name}");
        if name == "landscape" {
            let heat = fs::read_to_string(out.join("plots/triage-heat.svg")).unwrap();
            assert_eq!(heat.matches("<rect").count(), 1 + 25, "a square per pair of weights");
        }
    }
}

#[test]
fn faults_of_a_study_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let check = |text: &str, expected: &str| {
        let file = dir.path().join("s.toml");
        fs::write(&file, text).unwrap();
        let output = study(&file, &dir.path().join("out"), &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    };
    let text = fs::read_to_string(written(dir.path())).unwrap();
    check(&text.replace("\"random\"", "\"radnom\""), "there is no method `radnom`");
    check(&text.replace("seeds = [1, 2]", "seed = [1]"), "s.toml:10: unknown field `seed`");
    check(&text.replace("configs/triage", "configs/nowhere"), "no such file");
    check(&text.replace("\"methods.compare\"", "\"methods.compares\""), "methods.compares");
    let experiment = fs::read_to_string(root().join("configs/triage.toml")).unwrap();
    let models = root().join("models").display().to_string();
    let untested: String = experiment
        .replace("../models", &models)
        .lines()
        .filter(|line| !line.starts_with("test = "))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(dir.path().join("untested.toml"), untested).unwrap();
    let config = root().join("configs/triage.toml").display().to_string();
    check(&text.replace(&config, "untested.toml"), "every experiment needs `data.test`");
    let missing = study(&written(dir.path()), &dir.path().join("nothing"), &["--report"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("holds no finished run"), "{}", stderr(&missing));
}

#[test]
fn a_method_and_a_budget_of_the_experiment_file_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let optimize = |out: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
        command.arg("optimize").arg(root().join("configs/triage-hierarchical.toml")).arg("--json");
        command.arg("--out").arg(dir.path().join(out)).args(more);
        for set in SMALL.iter().chain(&["data.test.limit=8"]) {
            command.args(["--set", set]);
        }
        command.output().unwrap()
    };
    let dropout = report(&optimize("dropout", &["--set", "method=agentdropout"]));
    assert_eq!((&dropout["method"], &dropout["labelled"]), (&"agentdropout".into(), &4.into()));
    let limited = report(&optimize("limited", &["--set", "method=tpe", "--max-calls", "30"]));
    assert_eq!((&limited["stopped"], &limited["clock_limited"]), (&"budget".into(), &Value::Null));
    let stopped = report(&optimize("stopped", &["--max-seconds", "0"]));
    assert_eq!((&stopped["stopped"], &stopped["clock_limited"]), (&"clock".into(), &true.into()));
    let alone = report(&optimize("alone", &["--set", "method=sc"]));
    assert_eq!((&alone["system"]["rule"], &alone["system"]["samples"]), (&"vote".into(), &5.into()));
    assert!(dir.path().join("alone/system.json").exists());

    let plain = root().join("configs/triage.toml");
    let text = fs::read_to_string(&plain).unwrap().replace("../models", &root().join("models").display().to_string());
    let unlabelled: String =
        text.lines().filter(|line| !line.starts_with("train = ")).map(|l| format!("{l}\n")).collect();
    let file = dir.path().join("unlabelled.toml");
    fs::write(&file, unlabelled.replace("seed = 1", "method = \"agentdropout\"\nseed = 1")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_maspo")).arg("validate").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("learns from labels: add labelled cases as `data.train`"), "{}", stderr(&output));
}
