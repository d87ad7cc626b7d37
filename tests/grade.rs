//! `maspo grade` as a user meets it: lines in, outcomes out in the same order, nothing printed if a
//! line is wrong.

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

fn grade(args: &str, rows: &[Value], path: Option<&str>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    command.arg("grade").args(args.split_whitespace()).args(["--input", "-"]);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The outcomes that are printed, in their order.
fn outcomes(args: &str, rows: &[Value]) -> Vec<String> {
    let ran = grade(args, rows, None);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let outcome = |line: &str| serde_json::from_str::<Value>(line).unwrap()["outcome"].as_str().unwrap().to_string();
    ran.stdout.lines().map(outcome).collect()
}

fn row(output: &str, gold: impl Into<Value>) -> Value {
    json!({ "id": "a", "output": output, "gold": gold.into() })
}

#[test]
fn every_scorer_gives_an_outcome_a_line() {
    let math = [row("so $\\boxed{\\tfrac12}$", "0.5"), row("\\boxed{3.14}", "\\pi"), row("\\boxed{", 1)];
    assert_eq!(outcomes("--scorer math", &math), ["correct", "wrong", "unparsable"]);
    assert_eq!(outcomes("--scorer math --round-to-gold", &[row("\\boxed{\\pi}", "3.14")]), ["correct"]);
    let letter = |answer: &str| {
        let output = format!("<answer>{answer}</answer>");
        json!({ "id": 1, "output": output, "gold": "B", "options": ["A) 150 m", "B) 200 m"] })
    };
    assert_eq!(
        outcomes("--scorer letter", &[letter("(B)"), letter("200 m"), letter("150 m"), letter("a mile")]),
        ["correct", "correct", "wrong", "unparsable"]
    );
    assert_eq!(outcomes("--scorer label --labels bot,human", &[row("<answer>Bot</answer>", "bot")]), ["correct"]);
    assert_eq!(outcomes("--scorer text", &[row("two  words", "two words")]), ["correct"]);
    assert_eq!(outcomes("--scorer number --abs-tol 0.5", &[row("about 10.4", 10), row("9", 10)]), ["correct", "wrong"]);
    assert_eq!(outcomes("--scorer regex --pattern is=(\\w+)", &[row("is=bot is=human", "human")]), ["correct"]);
    assert_eq!(outcomes("--scorer json --field a.b", &[row("{\"a\": {\"b\": true}}", true)]), ["correct"]);
}

#[test]
fn programs_are_judged_in_the_sandbox_below_the_programs_own_lock() {
    let task = |output: &str| json!({ "id": 1, "output": output, "tests": ["assert double(2) == 4"] });
    let tasks =
        [task("def double(x):\n    return 2 * x"), task("def double(x): return x"), task("import os; os._exit(0)")];
    assert_eq!(outcomes("--scorer code", &tasks)[..2], ["correct", "wrong"]);
    assert_ne!(outcomes("--scorer code", &tasks)[2], "correct");
    let ran = grade("--scorer code", &tasks, Some("/nowhere"));
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("no usable Python interpreter"), "{}", ran.stderr);
}

#[test]
fn one_object_holds_rows_counts_and_the_scorers_version() {
    let ran = grade("--scorer math --json", &[row("\\boxed{1}", 1), row("so \\boxed{1", 1)], None);
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&object["schema"], &object["scorer"]), (&json!(1), &json!("math")));
    assert_eq!(
        object["rows"],
        json!([
            { "id": "a", "outcome": "correct", "answer": "1" },
            { "id": "a", "outcome": "unparsable", "answer": null },
        ])
    );
    assert_eq!((&object["counts"]["correct"], &object["counts"]["timeout"]), (&json!(1), &json!(0)));
    assert!(object["scorer_version"].as_u64().is_some_and(|version| version >= 1));
}

#[test]
fn a_wrong_line_is_named_before_anything_is_printed() {
    let check = |args: &str, wrong: Value, fault: &str| {
        let ran = grade(args, &[row("<answer>A</answer>", "A"), wrong], None);
        assert_eq!(
            (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
            (2, "", format!("error: <stdin>:2: {fault}\n").as_str())
        );
    };
    check("--scorer letter", json!({ "id": 1, "output": "x" }), "`gold` is missing");
    check("--scorer letter", row("x", "K"), "the answer \"K\" is not a letter from A to J");
    check(
        "--scorer text",
        json!({ "id": 1, "output": "x", "gold": "a", "options": ["a"] }),
        "`options` is for `--scorer letter`",
    );
    check("--scorer text", json!({ "id": null, "output": "x", "gold": "a" }), "`id` must be text or a number");
    let ran = grade("--scorer regex --pattern (", &[], None);
    assert!(ran.code == 2 && ran.stderr.contains("unclosed group"), "{}", ran.stderr);
}

#[test]
fn hostile_outputs_are_counted() {
    let deep = format!("\\boxed{{{}1{}}}", "(".repeat(10_000), ")".repeat(10_000));
    let rows = [row(&deep, 1), row("\\boxed{a\0b}", 1), row(&"9".repeat(4 << 20), 1)];
    for outcome in outcomes("--scorer math", &rows) {
        assert_ne!(outcome, "correct");
    }
}
