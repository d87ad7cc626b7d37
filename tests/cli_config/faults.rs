//! Faults of the experiment file and of the graph that it describes.

use super::experiment::{CONFIG, Experiment};
use expect_test::expect;

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
            error: x.toml:4: `model.path` names no folder and no .gguf file: nowhere does not exist
              |
            4 | path = "nowhere"
              |        ^^^^^^^^^
            exit 2
        "#]],
    );
    experiment.check(
        "eval x.toml",
        expect![[r#"
            error: x.toml:4: `model.path` names no folder and no .gguf file: nowhere does not exist
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
    experiment.check(
        "doctor --threads 1025",
        expect![[r#"
        error: invalid value '1025' for '--threads <THREADS>': it must be between 1 and 1024

        For more information, try '--help'.
        exit 2
    "#]],
    );
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
fn a_bad_name_hides_no_fault_of_a_prompt() {
    let experiment = Experiment::new();
    experiment.write("decide.txt", b"Is {question} <answer>human</answer>?");
    experiment.with("name = \"extract\"", "name = \"ex tract\"").check("validate x.toml", expect![[r#"
        error: x.toml:8: `agent.ex tract.name` has a blank, a full stop or a back quote; use letters, digits, `-` and `_`
          |
        8 | name = "ex tract"
          |        ^^^^^^^^^^
        error: x.toml:15: agent `decide`: the prompt lacks {context}
           |
        15 | prompt = { file = "decide.txt" }
           |          ^^^^^^^^^^^^^^^^^^^^^^^
        exit 2
    "#]]);
}

#[test]
fn slots_of_other_template_languages_are_named() {
    let experiment = Experiment::new();
    for found in ["{{question}}", "{{{question}}}", "${question}", "{{ question }}"] {
        let text = format!("Given {{context}}, answer {found} <answer>human</answer>\n");
        let (code, stdout, stderr) = experiment.write("decide.txt", text.as_bytes()).run("validate x.toml");
        assert_eq!((code, stdout.as_str()), (2, ""), "{found}: {stderr}");
        assert!(stderr.contains(&format!("`{found}`")) && stderr.contains("write `{question}`"), "{stderr}");
    }
    experiment.write("decide.txt", b"Given ${context}, is {question} <answer>human</answer>?").check(
        "validate x.toml",
        expect![[r#"
            error: x.toml:15: agent `decide`: the prompt has `${context}`, which is not filled: write `{context}`, with single braces and nothing else
               |
            15 | prompt = { file = "decide.txt" }
               |          ^^^^^^^^^^^^^^^^^^^^^^^
            exit 2
        "#]],
    );
    let plain = b"Reply to {context} as {\"a\": \"{question}\", \"b\": {}} <answer>human</answer>";
    let (code, _, stderr) = experiment.write("decide.txt", plain).run("validate x.toml");
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn template_sets_are_checked_with_all_their_files() {
    let experiment = Experiment::new();
    let check = |set: &str, expected| {
        experiment.with("[search]", &format!("[templates]\n{set}\n[search]")).check("validate x.toml", expected);
    };
    check(
        "set = \"standart\"",
        expect![[r#"
        error: x.toml:25: `templates.set` names no template set and no folder: standart; did you mean `standard`?
           |
        25 | set = "standart"
           |       ^^^^^^^^^^
        exit 2
    "#]],
    );
    check(
        "set = \"standard\"\ntask = \"math\"",
        expect![[r#"
        error: x.toml:26: `templates.task` is "math", but the set `standard` has no such task preset; known are `choice`, `classification`, `code`, `mathematics`
           |
        26 | task = "math"
           |        ^^^^^^
        exit 2
    "#]],
    );
    check(
        "task = \"code\"",
        expect![[r#"
        error: x.toml:25: `templates.task` is "code", but the set `terse` has no such task preset; there is none
           |
        25 | task = "code"
           |        ^^^^^^
        exit 2
    "#]],
    );
    check(
        "set = \"own\"\ntask = \"../code\"",
        expect![[r#"
        error: x.toml:26: `templates.task` is "../code"; letters, digits, `-` and `_` name a task preset
           |
        26 | task = "../code"
           |        ^^^^^^^^^
        exit 2
    "#]],
    );
    check(
        "sett = \"terse\"",
        expect![[r#"
        error: x.toml:25: unknown key `templates.sett`; did you mean `set`?
           |
        25 | sett = "terse"
           | ^^^^
        exit 2
    "#]],
    );
    let write = |name: &str, bytes: &[u8]| {
        experiment.write(&format!("own/{name}"), bytes);
    };
    std::fs::create_dir(experiment.path("own")).expect("a writable folder");
    check(
        "set = \"own\"",
        expect![[r#"
        error: x.toml:25: `templates.set` cannot be used: own/optimizer.txt: there is no such file
           |
        25 | set = "own"
           |       ^^^^^
        error: x.toml:25: `templates.set` cannot be used: own/judge.txt: there is no such file
           |
        25 | set = "own"
           |       ^^^^^
        error: x.toml:25: `templates.set` cannot be used: own/summary.txt: there is no such file
           |
        25 | set = "own"
           |       ^^^^^
        exit 2
    "#]],
    );
    write("optimizer.txt", b"{role}\n{parent} {slots} {agnet}\n<prompt>{#frozen}{passage}{/frozen}\n");
    write("judge.txt", b"{role} {question} {answer_a}\n{#letter}A{/letter}\n{#tagged}<choose>A</choose>\n");
    write("summary.txt", b"{words}\n\xff {output}");
    check(
        "set = \"own\"",
        expect![[r#"
        error: x.toml:25: `templates.set` cannot be used: own/optimizer.txt:2: unknown slot `{agnet}`; did you mean `agent`?
           |
        25 | set = "own"
           |       ^^^^^
        error: x.toml:25: `templates.set` cannot be used: own/judge.txt:3: the section `{#tagged}` has no end: `{/tagged}` is missing
           |
        25 | set = "own"
           |       ^^^^^
        error: x.toml:25: `templates.set` cannot be used: own/judge.txt: the slot `{answer_b}` is missing: the second answer, fenced
           |
        25 | set = "own"
           |       ^^^^^
        error: x.toml:25: `templates.set` cannot be used: own/summary.txt:2: the line is not UTF-8
           |
        25 | set = "own"
           |       ^^^^^
        exit 2
    "#]],
    );
    write("optimizer.txt", b"{role}\n{parent} {slots}\n<prompt>{#frozen}{passage}{/frozen}\n");
    write(
        "judge.txt",
        b"{role} {question} {answer_a} {answer_b}{#letter}A{/letter}{#tagged}<choose>A</choose>{/tagged}\n",
    );
    write("summary.txt", b"{words} {output}");
    check(
        "set = \"own\"\ntask = \"code\"",
        expect![[r#"
        error: x.toml:25: `templates.set` cannot be used: own/optimizer.txt: has no slot `{task}`, so that a task preset cannot be used with it
           |
        25 | set = "own"
           |       ^^^^^
        error: x.toml:25: `templates.set` cannot be used: own/judge.txt: has no slot `{task}`, so that a task preset cannot be used with it
           |
        25 | set = "own"
           |       ^^^^^
        exit 2
    "#]],
    );
    experiment.with("[search]", "[templates]\nset = \"own\"\n[search]");
    assert_eq!(experiment.run("validate x.toml").0, 0);
}
