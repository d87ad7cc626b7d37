//! `maspo judge` on the embedded model.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn judge(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(["judge", "configs/triage.toml"]).args(arguments);
    command.output().unwrap()
}

#[test]
fn the_embedded_judge_is_better_than_a_coin_on_pairs_of_known_order() {
    let labels = tempfile::NamedTempFile::new().unwrap();
    let row = r#"{"question": "q", "better": "<answer>human</answer>", "worse": "none", "agent": "verdict"}"#;
    std::fs::write(labels.path(), format!("{row}\n{row}\n")).unwrap();
    let output = judge(&["--json", "--queries", "6", "--labels", labels.path().to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["schema"], &report["command"], &report["queries"]), (&1.into(), &"judge".into(), &6.into()));
    let check = &report["check"];
    assert_eq!(check["unparsable"]["count"], 0);
    assert!(check["letter_mass"].as_f64().unwrap() > 0.5, "{check}");
    let known = check["known"].as_array().unwrap();
    assert!(known.iter().any(|line| line["known"] == "labelled" && line["agent"] == "verdict"), "{check}");
    assert!(report["ledger"]["judge"]["calls"].as_u64().unwrap() > 0);
    assert_eq!(report["check"], serde_json::from_slice::<Value>(&judge_again(&labels).stdout).unwrap()["check"]);
}

fn judge_again(labels: &tempfile::NamedTempFile) -> Output {
    judge(&["--json", "--queries", "6", "--labels", labels.path().to_str().unwrap()])
}

#[test]
fn wrong_labels_are_named_by_line() {
    let labels = tempfile::NamedTempFile::new().unwrap();
    let rows = [
        r#"{"question": "q", "better": "a"}"#,
        r#"{"question": "q", "better": "a", "worse": "b", "agent": "nobody"}"#,
        r#"{"question": "q", "better": "a", "worse": "a"}"#,
    ];
    std::fs::write(labels.path(), rows.join("\n")).unwrap();
    let output = judge(&["--labels", labels.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(":1: missing field `worse`"), "{stderr}");
    assert!(stderr.contains(":2: there is no agent `nobody`"), "{stderr}");
    assert!(stderr.contains(":3: `better` and `worse` are the same text"), "{stderr}");
    let coin = judge(&["--set", "judge.mode=coin"]);
    assert_eq!(coin.status.code(), Some(2));
    assert!(String::from_utf8(coin.stderr).unwrap().contains("asks no model"));
}

/// The embedded model, once more with other numbers.
const SECOND: &str = r#"model.judges=[{ path = "embedded:triage", dtype = "f32" }]"#;

#[test]
fn several_judges_are_compared_with_each_other_and_with_what_is_known() {
    let output = judge(&["--json", "--queries", "3", "--set", SECOND]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["model"]["name"], "embedded:triage + embedded:triage");
    let check = &report["check"];
    assert!(check["model_agreement"]["n"].as_u64().unwrap() > 0, "{check}");
    let models = check["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    assert_ne!(models[0]["model"], models[1]["model"], "models of one name are told apart");
    let twice = judge(&["--set", "model.judges=[{}]"]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(String::from_utf8(twice.stderr).unwrap().contains("twice among the judges"));
}

#[test]
fn a_search_with_several_judges_asks_all_of_them() {
    let run = |more: &[&str]| -> Value {
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).args(["optimize", "configs/triage.toml", "--json"]);
        command.arg("--out").arg(out.path());
        for set in ["search.rounds=1", "search.steps=1", "search.batch=3", "search.final_check=3", "data.test.limit=4"]
        {
            command.args(["--set", set]);
        }
        let output = command.args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (one, two) = (run(&[]), run(&["--set", SECOND]));
    let judged = |report: &Value| report["judge"]["counts"].clone();
    assert!(judged(&one).get("models_agreed").is_none());
    let votes = |name: &str| judged(&two).get(name).and_then(Value::as_u64).unwrap_or(0);
    assert!(votes("models_agreed") + votes("models_split") > 0, "{two}");
    assert_ne!(one["model"]["judge"], two["model"]["judge"]);
    assert_eq!(one["model"]["worker"], two["model"]["worker"]);
}
