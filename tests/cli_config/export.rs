//! What `maspo export` writes of a run, and what it refuses.

use super::experiment::Experiment;
use expect_test::expect;
use serde_json::{Value, json};

/// A finished run of the small experiment in the folder `run`.
fn with_run() -> Experiment {
    let experiment = Experiment::new();
    experiment.with("batch = 2", "batch = 2\nrounds = 1\nsteps = 1\nfinal_check = 2");
    let (code, _, stderr) = experiment.run("optimize x.toml --out run");
    assert_eq!(code, 0, "{stderr}");
    experiment
}

#[test]
fn a_run_is_exported_in_every_format() {
    let experiment = with_run();
    let (code, stdout, stderr) = experiment.run("export run --format json");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let team: Value = serde_json::from_str(&stdout).expect("one JSON object");
    assert_eq!((&team["schema"], &team["kind"], &team["name"]), (&1.into(), &"maspo-team".into(), &"small".into()));
    let prompts = std::fs::read_to_string(experiment.path("run/prompts.json")).expect("the run's prompts");
    let prompts: Value = serde_json::from_str(&prompts).expect("one JSON object");
    for agent in team["system"]["agents"].as_array().expect("a list") {
        assert_eq!(agent["prompt"], prompts[agent["name"].as_str().expect("a name")]);
    }
    assert_eq!(team["order"], json!(["extract", "decide"]));
    for (format, start) in [
        ("markdown", "# small\n\nAgents in the order in which they run: extract, decide."),
        ("openai-messages", "{\n  \"schema\": 1,\n  \"kind\": \"maspo-openai-messages\","),
        ("dspy", "#!/usr/bin/env python3\n\"\"\"A team of agents as a DSPy program, exported by maspo."),
        ("promptfoo", "# A team of agents for promptfoo, exported by maspo."),
    ] {
        let (code, stdout, _) = experiment.run(&format!("export run --format {format}"));
        assert!(code == 0 && stdout.starts_with(start), "{format}: {stdout}");
        assert!(stdout.contains("decide"), "{format}: {stdout}");
    }
    assert_eq!(experiment.run("export run --format dspy --out team.py"), (0, String::new(), String::new()));
    experiment.check(
        "export run --format json --out team.py",
        expect![[r#"
            error: --out team.py: it is there already; --force replaces it
            exit 2
        "#]],
    );
    assert_eq!(experiment.run("export run --format json --out team.py --force").0, 0);
    assert_eq!(std::fs::read_to_string(experiment.path("team.py")).expect("the file"), stdout);

    // The run's folder is enough: the experiment file may have changed since.
    experiment.write("decide.txt", b"Another prompt: {context} {question} <answer>\n");
    assert_eq!(experiment.run("export run --format json"), (0, stdout, String::new()));
}

#[test]
fn a_bundle_is_exported_like_the_run_that_it_is_made_of() {
    let experiment = with_run();
    let result = std::fs::read_to_string(experiment.path("run/result.json")).expect("the run's result");
    let result: Value = serde_json::from_str(&result).expect("one JSON object");
    let changed = result["prompts"].as_array().expect("a list").iter().filter(|line| line["before"] != line["after"]);
    let accepted: serde_json::Map<String, Value> = changed
        .map(|line| (line["agent"].as_str().expect("a name").to_string(), json!({"decision": "accept"})))
        .collect();
    assert!(!accepted.is_empty(), "the run changed a prompt");
    let decisions = json!({"schema": 1, "reviewer": "Ann", "agents": accepted});
    experiment.write("all.json", decisions.to_string().as_bytes());
    let (code, _, stderr) = experiment.run("review run --decisions all.json --out bundle.json");
    assert_eq!(code, 0, "{stderr}");
    for format in ["json", "dspy"] {
        let of = |path: &str| experiment.run(&format!("export {path} --format {format}"));
        assert_eq!(of("bundle.json"), of("run"));
        assert_eq!(of("run").0, 0);
    }
}

#[test]
fn what_is_no_finished_run_is_refused() {
    let experiment = Experiment::new();
    experiment.check(
        "export run --format json",
        expect![[r#"
            error: cannot read run: no such file
            exit 2
        "#]],
    );
    experiment.check(
        "export x.toml --format json",
        expect![[r#"
            error: x.toml:1:1: expected value
            exit 2
        "#]],
    );
    experiment.check(
        "export run --format yaml",
        expect![[r#"
            error: invalid value 'yaml' for '--format <FORMAT>'
              [possible values: json, markdown, dspy, openai-messages, promptfoo]

            For more information, try '--help'.
            exit 2
        "#]],
    );
    experiment.check(
        "export run --format json --out nowhere/x.json",
        expect![[r#"
        error: --out nowhere/x.json: there is no folder nowhere
        exit 2
    "#]],
    );
}
