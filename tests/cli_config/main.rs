//! What the program prints for experiment files, data and prompts, right and wrong: exit code,
//! stdout and stderr of `validate`, `plan`, `eval` and `compare`, word for word. The model is the
//! program's own, so nothing else is needed.

mod data;
mod experiment;
mod export;
mod faults;
mod gates;
mod junit;
mod verdicts;

use expect_test::expect;
use experiment::Experiment;

#[test]
fn a_sound_experiment_is_summed_up() {
    let experiment = Experiment::new();
    experiment.check(
        "validate x.toml",
        expect![[r#"
            x.toml: sound

            name      small (seed 1, settings 1105ca32728d)
            worker    embedded:triage
            optimizer embedded:triage
            judge     embedded:triage
            agents    extract, decide
            edges     extract -> decide
            pool      3 queries
            train     none
            test      2 labelled cases
            templates terse, no task preset
            exit 0
        "#]],
    );
    experiment.check(
        "validate x.toml --json",
        expect![[r#"
            {
              "schema": 1,
              "command": "validate",
              "name": "small",
              "seed": 1,
              "agents": [
                {
                  "name": "extract",
                  "optimize": true
                },
                {
                  "name": "decide",
                  "optimize": true
                }
              ],
              "edges": [
                {
                  "from": "extract",
                  "to": "decide",
                  "view": "raw"
                }
              ],
              "models": {
                "worker": "embedded:triage",
                "optimizer": "embedded:triage",
                "judge": "embedded:triage"
              },
              "more_judges": [],
              "pool": 3,
              "train": null,
              "test": 2,
              "excluded": {
                "train": 0,
                "test": 0
              },
              "private": false,
              "templates": {
                "optimizer": "terse",
                "judge": "terse",
                "summary": "terse",
                "task": null
              },
              "scorer": {
                "kind": "label",
                "labels": [
                  "human",
                  "scraper"
                ]
              },
              "digest": "1105ca32728dd5533ea60f5d04e8dec164bec68a7d8f5b186eeeb9bb9bb820d8",
              "warnings": []
            }
            exit 0
        "#]],
    );
    experiment.with("batch = 2", "batch = 4").check(
        "validate x.toml --set seed=3",
        expect![[r#"
            x.toml: sound

            name      small (seed 3, settings 003594876b3f)
            worker    embedded:triage
            optimizer embedded:triage
            judge     embedded:triage
            agents    extract, decide
            edges     extract -> decide
            pool      3 queries
            train     none
            test      2 labelled cases
            templates terse, no task preset
            warning: the pool has 3 queries, fewer than `search.batch` = 4: every step uses all of them
            exit 0
        "#]],
    );
}

#[test]
fn a_plan_bounds_the_run() {
    let experiment = Experiment::new();
    experiment.check("plan x.toml", expect![[r#"
        small (seed 1): 18 steps, at most 68 candidates

                            calls         new tokens          prompt tokens
                          at most            at most   rough upper estimate
        worker                364              1 456                980 616
        optimizer              68              8 160              1 577 056
        judge                 438                  0                 64 386
        held-out                8                 32                 21 552

        Calls and new tokens are bounds. A run stays below them: repeated calls come from the cache, outputs that did not
        change are not judged, and most answers end before their limit. Prompt tokens are an estimate that takes every
        prompt to be the longest possible, at 3 bytes a token; prefixes that calls share are computed once.
        exit 0
    "#]]);
    experiment.check(
        "plan x.toml --json --set search.rounds=1 --set search.steps=1",
        expect![[r#"
            {
              "schema": 1,
              "command": "plan",
              "name": "small",
              "seed": 1,
              "steps": 2,
              "candidates_at_most": 4,
              "roles": {
                "worker": {
                  "calls_at_most": 32,
                  "new_tokens_at_most": 128,
                  "prompt_tokens_estimate": 86208
                },
                "optimizer": {
                  "calls_at_most": 4,
                  "new_tokens_at_most": 480,
                  "prompt_tokens_estimate": 92768
                },
                "judge": {
                  "calls_at_most": 30,
                  "new_tokens_at_most": 0,
                  "prompt_tokens_estimate": 4410
                },
                "held_out": {
                  "calls_at_most": 8,
                  "new_tokens_at_most": 32,
                  "prompt_tokens_estimate": 21552
                }
              }
            }
            exit 0
        "#]],
    );
}

#[test]
fn prompts_that_do_not_fit_are_refused_before_a_model_is_opened() {
    let experiment = Experiment::new();
    experiment.write("p.json", b"{\"extract\": \"no slot\", \"decid\": \"x\"}");
    experiment.check(
        "eval x.toml --prompts p.json",
        expect![[r#"
        error: p.json: agent `extract`: the prompt lacks {question}
        error: p.json: the graph has no agent `decid`; did you mean `decide`?
        error: p.json: there is no prompt for the agent `decide`
        exit 2
    "#]],
    );
    experiment.check(
        "compare x.toml seed p.json",
        expect![[r#"
        error: p.json: agent `extract`: the prompt lacks {question}
        error: p.json: the graph has no agent `decid`; did you mean `decide`?
        error: p.json: there is no prompt for the agent `decide`
        exit 2
    "#]],
    );
    experiment.check(
        "eval x.toml --prompts nowhere.json",
        expect![[r#"
        error: cannot read nowhere.json: no such file
        exit 2
    "#]],
    );
    experiment.write("p.json", b"[1]").check(
        "eval x.toml --prompts p.json",
        expect![[r#"
        error: p.json:1:0: invalid type: sequence, expected an object from agent names to prompts
        exit 2
    "#]],
    );
    experiment.check(
        "eval x.toml --split train",
        expect![[r#"
        error: x.toml has no `data.train`: add it, or choose another `--split`
        exit 2
    "#]],
    );
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
    assert_eq!((code, stderr.as_str()), (0, "note: dtype auto: the weights are kept as in the file, 7.5 MB\n"));
    let line = stdout.lines().nth(1).expect("a second line");
    assert!(line.starts_with("accuracy   0.") && line.contains("(n 2, correct "), "{stdout}");
}

#[test]
fn several_samples_of_a_case_are_scored_and_reported() {
    let experiment = Experiment::new();
    experiment.with("labels = [", "samples = 3\npass_at = [1, 2]\nlabels = [");
    let run = |args: &str| {
        let (code, stdout, stderr) = experiment.run(args);
        assert_eq!(code, 0, "{stderr}");
        stdout
    };
    let eval: serde_json::Value = serde_json::from_str(&run("eval x.toml --json")).expect("one JSON object");
    let samples = &eval["samples"];
    assert_eq!((&samples["samples"], &samples["temperature"]), (&3.into(), &0.7.into()));
    assert_eq!((&samples["pass_at"][1]["k"], &samples["majority"]["n"]), (&2.into(), &2.into()));
    let outcomes = samples["items"][1]["outcomes"].as_array().expect("a list");
    assert_eq!((outcomes.len(), &outcomes[0]), (3, &eval["items"][1]["outcome"]), "the first sample is scored");
    assert_eq!(eval["ledger"]["worker"]["calls"], 12, "three samples of two agents on two cases");
    assert_eq!((&eval["scorer"], &eval["scorer_version"]), (&"label".into(), &1.into()));

    let text = run("eval x.toml");
    let names: Vec<_> = text.lines().skip(1).filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(
        names,
        [
            "accuracy",
            "pass@1",
            "pass@2",
            "majority@3 0.000 (n 2, 95 % interval 0.000 to 0.658), 2 without an answer",
            "samples",
            "scorer",
            "worker"
        ]
    );
    assert!(text.contains("3 of each case at temperature 0.7\n"), "{text}");
    let seconds =
        |text: &str| text.lines().filter(|line| !line.starts_with("worker")).map(str::to_string).collect::<Vec<_>>();
    assert_eq!(seconds(&text), seconds(&run("eval x.toml")), "the same seeds have the same samples");
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
    for (preset, agents) in [
        ("paper-sequential", &["predictor", "reflector"][..]),
        ("paper-hierarchical", &["deriver", "eliminator", "reader", "summarizer"][..]),
    ] {
        let path = format!("{}/configs/{preset}.toml", env!("CARGO_MANIFEST_DIR"));
        let mut args = format!("validate {path} --json --set model.path=embedded:triage");
        args += " --set data.pool.file=aqua.jsonl --set data.test.file=aqua.jsonl";
        // The presets are written for a model with a longer context than the embedded one.
        for of in agents.iter().map(|agent| format!("agent.{agent}")).chain(["propose".to_string()]) {
            args += &format!(" --set {of}.max_new_tokens=512");
        }
        let (code, stdout, stderr) = experiment.run(&args);
        assert_eq!((code, stderr.as_str()), (0, ""), "{preset}");
        let facts: serde_json::Value = serde_json::from_str(&stdout).expect("one JSON object on stdout");
        assert_eq!(facts["agents"].as_array().map(Vec::len), Some(agents.len()));
        assert_eq!((&facts["name"], &facts["pool"], &facts["test"]), (&preset.into(), &50.into(), &10.into()));
    }
}

#[test]
fn every_experiment_that_is_shipped_with_its_data_is_sound() {
    let experiment = Experiment::new();
    let configs = format!("{}/configs", env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(&configs).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let more = match name.as_str() {
            // Their data are the user's; the test above gives them some.
            "paper-sequential.toml" | "paper-hierarchical.toml" => continue,
            // A script fetches its model.
            "real-useragents.toml" => " --set model.path=embedded:triage",
            name if name.ends_with(".toml") => "",
            _ => continue,
        };
        let (code, stdout, stderr) = experiment.run(&format!("validate {configs}/{name}{more}"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}");
        assert!(stdout.contains(": sound"), "{name}: {stdout}");
        seen += 1;
    }
    assert!(seen >= 4, "{seen} experiments");
}
