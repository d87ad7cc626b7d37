//! What `maspo eval` does for builds: gates with their exit code, the JUnit file, annotations.

use super::experiment::Experiment;
use super::junit::Element;
use expect_test::expect;
use serde_json::{Value, json};

/// Forty cases of the triage experiment, whose prompts answer some of them.
fn triage() -> (Experiment, String) {
    let experiment = Experiment::new();
    let config = format!("{}/configs/triage.toml", env!("CARGO_MANIFEST_DIR"));
    let flags = "--set data.test.limit=40 --set search.rounds=1 --set search.steps=1 --set search.final_check=2";
    (experiment, format!("{config} {flags}"))
}

#[track_caller]
fn run(experiment: &Experiment, args: &str) -> (i32, String, String) {
    let (code, stdout, stderr) = experiment.run(args);
    // What was said of the model's weights is not what these tests are about.
    let stderr = stderr.lines().filter(|line| !line.starts_with("note: ")).map(|line| format!("{line}\n")).collect();
    (code, stdout, stderr)
}

#[test]
fn a_gate_that_fails_ends_with_exit_code_1_and_says_so() {
    let (experiment, config) = triage();
    let (code, stdout, stderr) = run(&experiment, &format!("eval {config} --fail-below 0.1"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("gate       passed: the accuracy 0."), "{stdout}");
    let (code, stdout, stderr) = run(&experiment, &format!("eval {config} --json --fail-below 0.99 --junit out.xml"));
    assert_eq!(code, 1);
    let eval: Value = serde_json::from_str(&stdout).expect("one JSON object on stdout");
    let accuracy = eval["accuracy"]["accuracy"].as_f64().expect("a number");
    assert!(stderr.starts_with("error: gate --fail-below 0.99: the accuracy 0."), "{stderr}");
    assert_eq!(eval["gates"], json!([{"gate": "fail-below", "least": 0.99, "accuracy": accuracy, "passed": false}]));

    let junit = Element::read(&std::fs::read_to_string(experiment.path("out.xml")).expect("the file"));
    let [cases, gates] = &junit.children[..] else { panic!("two suites") };
    assert_eq!((cases.get("name"), cases.get("tests")), ("triage.test", "40"));
    let tests: Vec<&Element> = cases.children.iter().filter(|child| child.name == "testcase").collect();
    let items = eval["items"].as_array().expect("a list");
    for (test, item) in tests.iter().zip(items) {
        assert_eq!(test.get("name"), item["id"].as_str().expect("a text"));
        let expected = (item["outcome"] != "correct").then(|| item["outcome"].as_str().expect("a text"));
        assert_eq!(test.children.first().map(|failure| failure.get("type")), expected);
    }
    assert_eq!((gates.get("name"), gates.children[0].get("name")), ("triage.gates", "--fail-below 0.99"));
    assert!(gates.children[0].children[0].get("message").ends_with(" is below 0.99"));
}

#[test]
fn prompts_are_compared_with_a_recorded_evaluation_with_a_run_and_with_prompts() {
    let (experiment, config) = triage();
    let (code, report, _) = run(&experiment, &format!("eval {config} --json"));
    assert_eq!(code, 0);
    experiment.write("before.json", report.as_bytes());
    let (code, _, stderr) = run(&experiment, &format!("optimize {config} --out run"));
    assert_eq!(code, 0, "{stderr}");

    for baseline in ["before.json", "run"] {
        // Two tokens hold no answer.
        let args =
            format!("eval {config} --set agent.verdict.max_new_tokens=2 --fail-if-worse-than {baseline} --github");
        let (code, stdout, stderr) = run(&experiment, &args);
        assert_eq!(code, 1, "{baseline}: {stdout}{stderr}");
        assert!(stdout.contains("gate       FAILED: the accuracy is worse, with p below 0.05: -"), "{stdout}");
        let lines: Vec<&str> = stderr.lines().collect();
        assert!(lines[0].starts_with("::notice title=maspo eval triage::`test`: accuracy 0."), "{stderr}");
        assert!(lines[0].contains("95 %25 interval"), "{stderr}");
        let start =
            format!("::error title=maspo eval triage::gate --fail-if-worse-than {baseline} failed: the accuracy");
        assert!(lines[1].starts_with(&start), "{stderr}");
        assert!(
            lines[2].starts_with("::warning title=maspo eval triage::case ")
                && lines[2].contains(": right before, now "),
            "{stderr}"
        );
        let start = format!("error: gate --fail-if-worse-than {baseline}: the accuracy is worse");
        assert!(lines[lines.len() - 1].starts_with(&start), "{stderr}");
    }
    for baseline in ["before.json", "seed"] {
        let (code, stdout, stderr) = run(&experiment, &format!("eval {config} --fail-if-worse-than {baseline}"));
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(stdout.contains("gate       passed: the accuracy is equally high: +0.000 against 0."), "{stdout}");
    }
}

#[test]
fn a_baseline_that_cannot_be_compared_is_refused_before_a_model_is_opened() {
    let experiment = Experiment::new();
    let (code, report, _) = experiment.run("eval x.toml --json");
    assert_eq!(code, 0);
    experiment.write("before.json", report.as_bytes());
    let mut other: Value = serde_json::from_str(&report).expect("one JSON object");
    other["scorer_version"] = 7.into();
    experiment.write("other.json", other.to_string().as_bytes());
    experiment.check(
        "eval x.toml --fail-if-worse-than other.json",
        expect![[r#"
            error: --fail-if-worse-than other.json: it was scored by `label` version 7, and this is `label` version 1: score it again
            exit 2
        "#]],
    );
    experiment.write("test.jsonl", b"{\"id\": \"a\", \"question\": \"six\", \"gold\": \"human\"}\n");
    experiment.check(
        "eval x.toml --fail-if-worse-than before.json",
        expect![[r#"
            error: --fail-if-worse-than before.json: it was scored on other cases (2) than `data.test` has now: score it again
            exit 2
        "#]],
    );
    experiment.check(
        "eval x.toml --fail-if-worse-than nowhere",
        expect![[r#"
            error: cannot read nowhere: no such file
            exit 2
        "#]],
    );
    std::fs::create_dir(experiment.path("empty")).expect("a folder");
    experiment.check(
        "eval x.toml --fail-if-worse-than empty",
        expect![[r#"
            error: there is no run in empty (it has no run.sqlite)
            exit 2
        "#]],
    );
    experiment.check(
        "eval x.toml --junit nowhere/out.xml",
        expect![[r#"
            error: --junit nowhere/out.xml: there is no folder nowhere
            exit 2
        "#]],
    );
    experiment.check(
        "eval x.toml --fail-below 80",
        expect![[r#"
            error: invalid value '80' for '--fail-below <ACCURACY>': it must be between 0 and 1

            For more information, try '--help'.
            exit 2
        "#]],
    );
}

#[test]
fn names_and_answers_in_the_file_are_text_whatever_they_hold() {
    let experiment = Experiment::new();
    let row = json!({"id": "<a href='x'>&\u{1}\"\u{202e}", "question": "four", "gold": "human"});
    experiment.write("test.jsonl", format!("{row}\n").as_bytes());
    experiment.with("scorer = \"label\"\nlabels = [\"human\", \"scraper\"]", "scorer = \"text\"");
    let (code, _, stderr) = experiment.run("eval x.toml --junit out.xml");
    assert_eq!(code, 0, "{stderr}");
    let junit = Element::read(&std::fs::read_to_string(experiment.path("out.xml")).expect("the file"));
    let case = junit.children[0].children.last().expect("a case");
    assert_eq!(case.get("name"), "<a href='x'>&\u{fffd}\"\u{fffd}");
    assert!(case.children[0].get("message").starts_with("wrong: the answer was \""));
}
