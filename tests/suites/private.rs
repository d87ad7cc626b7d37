//! The rows of private data are in the run's journal, which only its owner can read, and nowhere
//! else.

use super::workspace::Workspace;

const SMALL: &str = "--set agent.predictor.max_new_tokens=6 --set agent.reflector.max_new_tokens=6 \
    --set propose.max_new_tokens=12 --set search.rounds=1 --set search.steps=1 --set search.batch=2 \
    --set search.final_check=2 --set engine.threads=1";

/// Words that stand in every question of the made-up rows.
const WORDS: &str = "counted in whole numbers";

#[test]
fn a_run_on_private_data_shows_no_row() {
    let workspace = Workspace::new();
    let config = "benchmarks/gpqa-diamond-sequential.toml";
    for command in ["validate", "plan", "eval", "optimize --out run", "show run", "show run --json"] {
        let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
        let args =
            if command == "show" { format!("show {rest}") } else { format!("{command} {config} {rest} {SMALL}") };
        let (code, stdout, stderr) = workspace.run(&args);
        assert_eq!(code, 0, "{args}: {stderr}");
        assert!(!stdout.contains(WORDS) && !stderr.contains(WORDS), "{args}: {stdout}{stderr}");
    }
    for (path, text) in workspace.texts_below("run") {
        if path.file_name().is_some_and(|name| name != "run.sqlite") {
            assert!(!text.contains(WORDS), "{}", path.display());
        }
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let facts = std::fs::metadata(workspace.path("run/run.sqlite")).expect("the journal");
        assert_eq!(facts.permissions().mode() & 0o777, 0o600, "only its owner can read the journal");
    }
}

#[test]
fn faults_of_private_rows_name_the_line_only() {
    let workspace = Workspace::new();
    let row = serde_json::json!({"question": "a wombat", "answer": "the numbat"});
    workspace.write_rows("gpqa_diamond.jsonl", (0..60).map(|_| row.clone()));
    let (code, _, stderr) = workspace.run("validate benchmarks/gpqa-diamond-sequential.toml");
    assert_eq!(code, 2);
    assert!(stderr.contains("gpqa_diamond.jsonl:1: the answer is none that the scorer can give"), "{stderr}");
    assert!(!stderr.contains("numbat") && !stderr.contains("wombat"), "{stderr}");
}
