//! `maspo init`: the experiment that it writes is valid and runs, nothing is overwritten, and
//! mistakes leave no files behind.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::TinyModel;

const FILES: [&str; 3] = ["experiment.toml", "pool.jsonl", "test.jsonl"];

/// Runs the program in `folder`; returns the exit code, stdout and stderr.
fn maspo(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_maspo")).current_dir(folder).args(args).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn the_experiment_on_the_embedded_model_is_sound_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (code, stdout, stderr) = maspo(folder.path(), &["init", "first"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.contains("first/experiment.toml") && stdout.contains("maspo optimize first/experiment.toml"),
        "{stdout}"
    );
    let first = folder.path().join("first");
    assert_eq!(names(&first), FILES);

    let (code, stdout, stderr) = maspo(&first, &["validate", "experiment.toml"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "no fault and no warning");
    assert!(stdout.contains("40 queries") && stdout.contains("60 labelled cases"), "{stdout}");

    // The smallest search that has every kind of step; `tests/guide.rs` runs the experiment
    // unchanged.
    let small =
        ["search.steps=1", "search.candidates=1", "search.batch=2", "search.final_check=2", "data.test.limit=4"];
    let sets: Vec<&str> = small.iter().flat_map(|set| ["--set", set]).collect();
    let (code, stdout, stderr) = maspo(&first, &[&["optimize", "experiment.toml", "--json"][..], &sets].concat());
    assert_eq!(code, 0, "{stderr}");
    let result: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(result["steps"].as_array().unwrap().len(), 3, "one step for each agent");
    assert_eq!(result["optimized_accuracy"]["n"], 4);
}

#[test]
fn the_experiment_on_a_model_of_ones_own_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("a \"model\"");
    fs::create_dir(&model).unwrap();
    TinyModel::default().write(&model);
    let (code, stdout, stderr) = maspo(folder.path(), &["init", "--json", "--model", "a \"model\"", "deep/mine"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let printed: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&printed["schema"], &printed["command"]), (&1.into(), &"init".into()));
    assert_eq!(printed["files"], serde_json::json!(FILES.map(|name| format!("deep/mine/{name}"))));

    // It runs from any folder, because the model's path was made absolute.
    let (code, stdout, stderr) = maspo(&folder.path().join("deep"), &["validate", "mine/experiment.toml", "--json"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "no fault and no warning");
    let printed: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(printed["models"]["worker"], model.to_str().unwrap());
    assert_eq!((&printed["pool"], &printed["test"]), (&16.into(), &12.into()));

    // The answers are a few tokens long: the weights are random, so the texts are noise.
    let agents = ["collector", "analyst", "decider"].map(|agent| format!("agent.{agent}.max_new_tokens=4"));
    let small = ["propose.max_new_tokens=4", "data.test.limit=2", "search.batch=2", "search.final_check=2"];
    let sets: Vec<&str> = agents.iter().map(String::as_str).chain(small).flat_map(|set| ["--set", set]).collect();
    let (code, stdout, stderr) =
        maspo(&folder.path().join("deep/mine"), &[&["optimize", "experiment.toml", "--json"][..], &sets].concat());
    assert_eq!(code, 0, "{stderr}");
    let result: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(result["steps"].as_array().unwrap().len(), 3, "one step for each agent");
}

#[test]
fn existing_files_are_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pool.jsonl"), "mine").unwrap();
    let (code, stdout, stderr) = maspo(folder.path(), &["init"]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.starts_with("error: ./pool.jsonl exists already and is not overwritten"), "{stderr}");
    assert_eq!(names(folder.path()), ["pool.jsonl"], "nothing else was written");
    assert_eq!(fs::read_to_string(folder.path().join("pool.jsonl")).unwrap(), "mine");

    fs::remove_file(folder.path().join("pool.jsonl")).unwrap();
    assert_eq!(maspo(folder.path(), &["init"]).0, 0);
    let (code, _, stderr) = maspo(folder.path(), &["init"]);
    assert_eq!((code, stderr.lines().count()), (2, 3), "each file is named: {stderr}");
}

#[test]
fn a_failed_init_creates_no_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    let check = |args: &[&str], part: &str| {
        let (code, stdout, stderr) = maspo(folder.path(), args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(part), "{args:?}: {stderr}");
        assert_eq!(names(folder.path()), ["empty", "file"], "{args:?}");
    };
    check(&["init", "new", "--model", "nowhere"], "--model names no folder and no .gguf file: nowhere does not exist");
    check(&["init", "new", "--model", "empty"], "--model names empty, which lacks config.json, tokenizer.json");
    check(&["init", "new", "--model", "nowhere.gguf"], "--model names no file: nowhere.gguf");
    check(&["init", "new", "--model", "embedded:other"], "--model is \"embedded:other\"");
    check(&["init", "file"], "file cannot be written");
    check(&["init", "file/below"], "file/below cannot be written");
}
