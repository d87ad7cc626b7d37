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
    experiment.check(
        "validate x.toml",
        expect![[r#"
        x.toml: sound

        name      small (seed 1, settings e2f4ff3b5fc3)
        worker    embedded:triage
        optimizer embedded:triage
        judge     embedded:triage
        agents    extract, decide
        edges     extract -> decide
        pool      3 queries
        train     none
        test      2 labelled cases
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
          "pool": 3,
          "train": null,
          "test": 2,
          "scorer": {
            "kind": "label",
            "labels": [
              "human",
              "scraper"
            ]
          },
          "digest": "e2f4ff3b5fc397317d0e3c71162ccd0af59ce8b59231f555d0f86d918cdb0ec4",
          "warnings": []
        }
        exit 0
    "#]],
    );
    experiment.with("batch = 2", "batch = 4").check(
        "validate x.toml --set seed=3",
        expect![[r#"
        x.toml: sound

        name      small (seed 3, settings 01a4ff3ead47)
        worker    embedded:triage
        optimizer embedded:triage
        judge     embedded:triage
        agents    extract, decide
        edges     extract -> decide
        pool      3 queries
        train     none
        test      2 labelled cases
        warning: the pool has 3 queries, fewer than `search.batch` = 4: every step uses all of them
        exit 0
    "#]],
    );
}

#[test]
fn missing_files_are_named() {
    let experiment = Experiment::new();
    experiment.check(
        "validate nowhere.toml",
        expect![[r#"
        error: cannot read nowhere.toml: no such file
        exit 2
    "#]],
    );
    experiment.check(
        "plan nowhere.toml",
        expect![[r#"
        error: cannot read nowhere.toml: no such file
        exit 2
    "#]],
    );
    experiment.check(
        "eval nowhere.toml",
        expect![[r#"
        error: cannot read nowhere.toml: no such file
        exit 2
    "#]],
    );
    experiment.check(
        "compare nowhere.toml seed seed",
        expect![[r#"
        error: cannot read nowhere.toml: no such file
        exit 2
    "#]],
    );
    experiment.check(
        "validate .",
        expect![[r#"
        error: cannot read .: it is a folder; an experiment file is needed
        exit 2
    "#]],
    );
    experiment.with("pool.jsonl", "nowhere.jsonl").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:19: `data.pool.file`: cannot read nowhere.jsonl: no such file
               |
            19 | pool = { file = "nowhere.jsonl" }
               |                 ^^^^^^^^^^^^^^^
            exit 2
        "#]],
    );
    experiment.with("embedded:triage", "nowhere").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:4: `model.path` names no folder: nowhere does not exist
              |
            4 | path = "nowhere"
              |        ^^^^^^^^^
            exit 2
        "#]],
    );
    experiment.check(
        "eval x.toml",
        expect![[r#"
            error: x.toml:4: `model.path` names no folder: nowhere does not exist
              |
            4 | path = "nowhere"
              |        ^^^^^^^^^
            exit 2
        "#]],
    );
    // A plan opens no model.
    assert_eq!(experiment.run("plan x.toml").0, 0);
    experiment.with("decide.txt", "nowhere.txt").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:15: `agent.decide.prompt.file` cannot be read: nowhere.txt: no such file
               |
            15 | prompt = { file = "nowhere.txt" }
               |                   ^^^^^^^^^^^^^
            exit 2
        "#]],
    );
}

#[test]
fn files_that_are_not_text_are_named() {
    let experiment = Experiment::new();
    experiment.write("x.toml", b"schema = 1\nname = \"\xe9\"\n").check(
        "validate x.toml",
        expect![[r#"
        error: cannot read x.toml: line 2 is not UTF-8
        exit 2
    "#]],
    );
    experiment.write("x.toml", CONFIG.as_bytes()).write("decide.txt", b"\xff").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:15: `agent.decide.prompt.file` names a file that is not UTF-8: decide.txt
               |
            15 | prompt = { file = "decide.txt" }
               |                   ^^^^^^^^^^^^
            exit 2
        "#]],
    );
    let experiment = Experiment::new();
    experiment
        .write("pool.jsonl", b"{\"question\": \"a\"}\n{\"question\": \"\xe9\"}\n")
        .check("validate x.toml", expect![[r#"
            error: pool.jsonl:2: the line is not UTF-8 (byte 15 of the line); convert the file, e.g. with `iconv -t UTF-8`
            exit 2
        "#]]);
    experiment.write("pool.jsonl", b"\xef\xbb\xbf{\"question\": \"a\"}\n").check(
        "validate x.toml --skip-bad-rows",
        expect![[r#"
            error: pool.jsonl:1: the file starts with a byte-order mark; save it as UTF-8 without one
            exit 2
        "#]],
    );
}

#[test]
fn toml_errors_have_line_and_column() {
    Experiment::new().with("batch = 2", "batch = 2 2").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:25:9: string values must be quoted, expected literal string
               |
            25 | batch = 2 2
               |         ^^^
            exit 2
        "#]],
    );
    Experiment::new().with("[search]", "[search\n").check(
        "plan x.toml",
        expect![[r#"
            error: x.toml:24:8: unclosed table, expected `]`
               |
            24 | [search
               |       ^
            exit 2
        "#]],
    );
}

#[test]
fn bounds_are_those_of_the_options() {
    Experiment::new().with("threads = 1", "threads = 0\nqueue = 0\ndraft_tokens = 65\n[reward]\nlocal = -0.5").check(
        "validate x.toml --set rollout.max_in_flight=0",
        expect![[r#"
            error: x.toml:27: `engine.threads` is 0; it must be between 1 and 1024
               |
            27 | threads = 0
               |           ^
            error: x.toml:28: `engine.queue` is 0; it must be between 1 and 1048576
               |
            28 | queue = 0
               |         ^
            error: x.toml:29: `engine.draft_tokens` is 65; it must be between 0 and 64
               |
            29 | draft_tokens = 65
               |                ^^
            error: x.toml:31: `reward.local` is -0.5; it must not be negative
               |
            31 | local = -0.5
               |         ^^^^
            error: --set rollout.max_in_flight=0: `rollout.max_in_flight` is 0; it must be at least 1
            exit 2
        "#]],
    );
    let experiment = Experiment::new();
    experiment.check("doctor --threads 1025", expect![[r#"
        error: invalid value '1025' for '--threads <THREADS>': it must be between 1 and 1024

        For more information, try '--help'.
        exit 2
    "#]]);
}

#[test]
fn every_fault_is_told_at_once() {
    let experiment = Experiment::new();
    experiment.with("schema = 1", "schema = 1\nsede = 2").check(
        "validate x.toml --set search.beam=none --set judge.mode=vote --set data.pool.file=p.jsonl",
        expect![[r#"
            error: x.toml:2: unknown key `sede`; did you mean `seed`?
              |
            2 | sede = 2
              | ^^^^
            error: --set search.beam=none: `search.beam` is the text "none"; a whole number of 0 or more is needed
            error: --set judge.mode=vote: `judge.mode` is "vote"; it can be `logit`, `text`, `coin`
            error: --set data.pool.file=p.jsonl: `data.pool.file`: cannot read p.jsonl: no such file
            exit 2
        "#]],
    );
    experiment.with("schema = 1", "schema = 9").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:1: the schema is 9; this program reads `schema = 1`
              |
            1 | schema = 9
              |          ^
            exit 2
        "#]],
    );
}

#[test]
fn graphs_that_cannot_run_are_refused() {
    let edges = "[[edge]]\nfrom = \"extract\"\nto = \"decide\"\n[[edge]]\nfrom = \"decide\"\nto = \"extract\"";
    Experiment::new().with("topology = \"sequential\"", edges).check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:6: the graph has a cycle: extract -> decide -> extract
              |
            6 | [[edge]]
              |   ^^^^
            error: x.toml:15: agent `extract`: the prompt lacks {context}
               |
            15 | prompt = "List the signals of {question}"
               |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            exit 2
        "#]],
    );
    Experiment::new().with("topology = \"sequential\"", "").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:5: the graph has 2 terminal agents (extract, decide); exactly one may have no successor
              |
            5 | [graph]
              |  ^^^^^
            error: x.toml:15: agent `decide`: the prompt has {context}, but this agent receives nothing that could fill it
               |
            15 | prompt = { file = "decide.txt" }
               |          ^^^^^^^^^^^^^^^^^^^^^^^
            exit 2
        "#]],
    );
    Experiment::new().with("signals of {question}", "signals").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:10: agent `extract`: the prompt lacks {question}
               |
            10 | prompt = "List the signals"
               |          ^^^^^^^^^^^^^^^^^^
            exit 2
        "#]],
    );
    let experiment = Experiment::new();
    experiment.write("decide.txt", b"is {question} <answer>human</answer>?").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:15: agent `decide`: the prompt lacks {context}
               |
            15 | prompt = { file = "decide.txt" }
               |          ^^^^^^^^^^^^^^^^^^^^^^^
            exit 2
        "#]],
    );
    experiment.with("name = \"decide\"", "name = \"extract\"").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:10: agent `extract`: the prompt lacks {context}
               |
            10 | prompt = "List the signals of {question}"
               |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
            error: x.toml:13: two agents are named `extract`
               |
            13 | name = "extract"
               |        ^^^^^^^^^
            exit 2
        "#]],
    );
}

#[test]
fn bad_rows_are_told_or_left_out_on_request() {
    let experiment = Experiment::new();
    experiment.write(
        "pool.jsonl",
        b"{\"question\": \"one\"}\n{\"question\": \n{\"q\": \"two\"}\n{\"question\": \"three\"}\n",
    );
    experiment.check(
        "validate x.toml",
        expect![[r#"
        error: pool.jsonl:2: not JSON: EOF while parsing a value (column 13)
        error: pool.jsonl:3: the row has no field `question`; it has `q`
        exit 2
    "#]],
    );
    experiment.check(
        "plan x.toml",
        expect![[r#"
        error: pool.jsonl:2: not JSON: EOF while parsing a value (column 13)
        error: pool.jsonl:3: the row has no field `question`; it has `q`
        exit 2
    "#]],
    );
    let (code, stdout, stderr) = experiment.run("validate x.toml --skip-bad-rows");
    assert!(code == 0 && stdout.contains("2 queries"), "{stdout}");
    expect![[r#"
        warning: `data.pool`: left out 2 bad rows: pool.jsonl:2: not JSON: EOF while parsing a value (column 13); pool.jsonl:3: the row has no field `question`; it has `q`
    "#]].assert_eq(&stderr);
}

#[test]
fn data_that_cannot_be_used_is_refused() {
    let experiment = Experiment::new();
    experiment.write("pool.jsonl", b"\n").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:19: `data.pool.file`: pool.jsonl has no rows
               |
            19 | pool = { file = "pool.jsonl" }
               |                 ^^^^^^^^^^^^
            exit 2
        "#]],
    );
    experiment.write("pool.jsonl", b"{\"question\": \" FOUR\"}\n{\"question\": \"x\"}\n").check(
        "validate x.toml",
        expect![[r#"
            error: `data.pool` and `data.test` share 1 row: pool.jsonl:1 (id `1`) = test.jsonl:1 (id `a`)
            exit 2
        "#]],
    );
    let experiment = Experiment::new();
    let twice = b"{\"id\": 1, \"question\": \"x\", \"gold\": \"human\"}\n{\"id\": \"1\", \"question\": \"y\", \"gold\": \"human\"}\n";
    experiment.write("test.jsonl", twice).check(
        "validate x.toml --skip-bad-rows",
        expect![[r#"
        error: test.jsonl:2: the id `1` is already that of line 1
        exit 2
    "#]],
    );
    let experiment = Experiment::new();
    experiment.with("pool =", "train = { file = \"train.jsonl\", answer = \"gold\", id = \"id\" }\npool =");
    experiment.write("train.jsonl", b"{\"id\": \"b\", \"question\": \"six\", \"gold\": \"human\"}\n");
    experiment.check(
        "validate x.toml",
        expect![[r#"
        error: `data.train` and `data.test` share 1 row: train.jsonl:1 (id `b`) = test.jsonl:2 (id `b`)
        exit 2
    "#]],
    );
    experiment.with("\"scraper\"]", "\"robot\"]").check(
        "validate x.toml",
        expect![[r#"
        error: test.jsonl:2: the answer "scraper" is not one of the labels (human, robot)
        exit 2
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
        optimizer              68            278 528              1 577 056
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
              "new_tokens_at_most": 16384,
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
