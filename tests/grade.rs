//! `maspo grade` as a user meets it: every scorer, hostile outputs, faulty lines, and machines
//! without an interpreter or without the parts of the kernel that confine programs.

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// The rows of the output, each as `id outcome answer`.
    fn rows(&self) -> Vec<String> {
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
            format!("{} {} {}", text(&row["id"]), text(&row["outcome"]), text(&row["answer"]))
        };
        self.stdout.lines().map(row).collect()
    }

    /// The outcomes in order; the program must have succeeded.
    #[track_caller]
    fn outcomes(&self) -> Vec<String> {
        assert_eq!(self.code, 0, "{}", self.stderr);
        let outcome = |row: &Value| row["outcome"].as_str().unwrap().to_string();
        self.stdout.lines().map(|line| outcome(&serde_json::from_str(line).unwrap())).collect()
    }
}

fn run(command: &mut Command, rows: &[Value]) -> Ran {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let input: String = rows.iter().map(|row| format!("{row}\n")).collect();
    // The output is small, or comes after the whole input was read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn command(args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    command.args(["grade", "--input", "-", "--scorer"]).args(args.split(' '));
    command
}

fn grade(args: &str, rows: &[Value]) -> Ran {
    run(&mut command(args), rows)
}

/// Checks the rows that come out for outputs, each beside its gold answer.
#[track_caller]
fn check(args: &str, pairs: &[(&str, Value)], expected: Expect) {
    let row = |(at, (output, gold)): (usize, &(&str, Value))| json!({"id": at, "output": output, "gold": gold});
    let ran = grade(args, &pairs.iter().enumerate().map(row).collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    expected.assert_eq(&(ran.rows().join("\n") + "\n"));
}

/// Checks that rows are refused with exit code 2, this message and no output.
#[track_caller]
fn refuses(args: &str, rows: &[Value], expected: Expect) {
    let ran = grade(args, rows);
    expected.assert_eq(&ran.stderr);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
}

/// Whether the environment excuses this machine from running programs, because its kernel cannot
/// confine them. Says so if it does.
fn is_excused(ran: &Ran) -> bool {
    let names = std::env::var("MASPO_CI_WITHOUT").unwrap_or_default();
    let excused = ran.code == 3 && names.split_whitespace().any(|name| name == "sandbox");
    if excused {
        eprintln!("SKIPPED, as MASPO_CI_WITHOUT allows: {}", ran.stderr);
    }
    excused
}

#[test]
fn every_scorer_tells_right_from_wrong() {
    check(
        "math",
        &[("So $\\boxed{\\tfrac12}$.", json!("0.5")), ("\\boxed{(0,1]}", json!("[0,1)")), ("\\boxed{", json!(3))],
        expect![[r#"
            0 correct \tfrac12
            1 wrong (0,1]
            2 unparsable null
        "#]],
    );
    check(
        "letter",
        &[("<answer>(B)</answer>", json!("B")), ("<answer>C</answer>", json!("B")), ("B", json!("B"))],
        expect![[r#"
            0 correct B
            1 wrong C
            2 unparsable null
        "#]],
    );
    check(
        "label --labels human,bot",
        &[("<answer>Human</answer>", json!("human")), ("<answer>bot</answer>", json!("human")), ("-", json!("bot"))],
        expect![[r#"
            0 correct human
            1 wrong bot
            2 unparsable null
        "#]],
    );
    check(
        "text",
        &[("two\n words", json!("two words")), ("two", json!("two words")), ("", json!("two words"))],
        expect![[r#"
            0 correct two words
            1 wrong two
            2 unparsable null
        "#]],
    );
    check(
        "number --abs-tol 0.5",
        &[("about 10.4", json!(10)), ("10.6", json!(10)), ("ten", json!(10))],
        expect![[r#"
            0 correct 10.4
            1 wrong 10.6
            2 unparsable null
        "#]],
    );
    check(
        "regex --pattern verdict:(\\w+)",
        &[("verdict:bot verdict:human", json!("human")), ("verdict:bot", json!("human")), ("human", json!("human"))],
        expect![[r#"
            0 correct human
            1 wrong bot
            2 unparsable null
        "#]],
    );
    check(
        "json --field a.b",
        &[("{\"a\": {\"b\": true}} ok", json!(true)), ("{\"a\": {\"b\": 1}}", json!(2)), ("{\"a\": 1}", json!(2))],
        expect![[r#"
            0 correct true
            1 wrong 1
            2 unparsable null
        "#]],
    );
}

#[test]
fn an_options_text_is_its_letter_where_the_row_lists_it() {
    let row = |id: &str, output: &str| json!({"id": id, "output": output, "gold": "B", "options": ["A) 1", "B) 2 km"]});
    let ran = grade("letter", &[row("a", "<answer>2 km</answer>"), row("b", "<answer>1</answer>"), row("c", "2 km")]);
    assert_eq!(ran.rows(), ["a correct B", "b wrong A", "c unparsable null"]);
}

#[test]
fn json_is_one_object_with_the_counts_and_the_convention() {
    let rows = [json!({"id": "x", "output": "\\boxed{2}", "gold": "2"}), json!({"id": 7, "output": "", "gold": "2"})];
    let ran = grade("math --json", &rows);
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(object["rows"][1], json!({"id": 7, "outcome": "unparsable", "answer": null}));
    assert_eq!(object["counts"]["correct"], 1);
    assert_eq!((&object["scorer"], &object["scorer_version"]), (&json!("math"), &json!(maspo_math::VERSION)));
    assert_eq!(object["convention"], maspo_math::CONVENTION);
}

#[test]
fn a_faulty_line_is_named_before_anything_is_graded() {
    let good = json!({"id": 1, "output": "\\boxed{2}", "gold": "2"});
    refuses(
        "math",
        &[
            good.clone(),
            json!({"id": 2, "output": "2"}),
            json!({"id": null, "output": "2", "gold": "2"}),
            json!({"id": 4, "output": "2", "gold": ""}),
            json!({"id": 5, "output": "2", "gold": "2", "tests": ["assert 1"]}),
            json!({"id": 6, "output": "2", "gold": "2", "answer": 3}),
            json!([1]),
        ],
        expect![[r#"
            error: <stdin>:2: `gold` is missing
            error: <stdin>:3: `id` must be text or a number
            error: <stdin>:4: the answer "" is not an answer: the answer is empty
            error: <stdin>:5: `tests` is for `--scorer code`
            error: <stdin>:6: unknown field `answer`, expected one of `id`, `output`, `gold`, `options`, `tests`, `imports`, `entry_point` (column 40)
            error: <stdin>:7: a JSON object is called for
        "#]],
    );
    refuses(
        "letter",
        &[json!({"id": 1, "output": "A", "gold": "K"})],
        expect![[r#"
        error: <stdin>:1: the answer "K" is not a letter from A to J
    "#]],
    );
    refuses(
        "code",
        &[
            json!({"id": 1, "output": "def f(): pass"}),
            json!({"id": 2, "output": "def f(): pass", "tests": []}),
            json!({"id": 3, "output": "def f(): pass", "tests": [" "]}),
            json!({"id": 4, "output": "def f(): pass", "tests": ["assert f()"], "gold": "1"}),
        ],
        expect![[r#"
            error: <stdin>:1: `tests` is missing: code is judged by them
            error: <stdin>:2: `tests` is missing: code is judged by them
            error: <stdin>:3: `tests` is missing: code is judged by them
            error: <stdin>:4: `gold` is not for code, which is judged by `tests`
        "#]],
    );
}

/// Outputs that are meant to break a reader, by what they are.
fn hostile() -> Vec<(&'static str, String)> {
    vec![
        ("an answer of 4 MB", format!("<answer>\\boxed{{{}}}</answer>", "1".repeat(4 << 20))),
        ("4 MB of open boxes", "\\boxed{".repeat(600_000)),
        ("4 MB of open tags", "<answer>".repeat(500_000)),
        ("4 MB of open braces", "{\"a\":[".repeat(700_000)),
        ("4 MB of letters that may be answers", format!("<answer>{}</answer>", "A. B) (C) ".repeat(400_000))),
        ("LaTeX nested 10,000 deep", format!("\\boxed{{{}1{}}}", "\\frac{1}{".repeat(10_000), "}".repeat(10_000))),
        ("brackets nested 10,000 deep", format!("<answer>{}1{}</answer>", "(".repeat(10_000), ")".repeat(10_000))),
        ("NUL bytes", "\\boxed{4\0}<answer>4\0</answer> 4\0 {\"a\": \"4\0\"}".to_string()),
        ("a box that never closes", "so \\boxed{4".to_string()),
        ("nothing", String::new()),
    ]
}

#[test]
fn hostile_outputs_are_counted_and_never_right() {
    for (args, gold) in [
        ("math", "4"),
        ("letter", "B"),
        ("label --labels 4,5", "4"),
        ("text", "4"),
        ("number", "17"),
        ("regex --pattern ^(x+x+)+y$", "4"),
        ("json --field a", "4"),
    ] {
        let outputs = hostile();
        let rows: Vec<Value> =
            outputs.iter().map(|(what, output)| json!({"id": what, "output": output, "gold": gold})).collect();
        let outcomes = grade(args, &rows).outcomes();
        assert_eq!(outcomes.len(), outputs.len(), "no row is lost");
        for ((what, _), outcome) in outputs.iter().zip(&outcomes) {
            assert!(outcome == "wrong" || outcome == "unparsable", "{args}: {what}: {outcome}");
        }
    }
}

fn program(id: &str, output: &str, test: &str) -> Value {
    json!({"id": id, "output": output, "tests": [test]})
}

#[test]
fn programs_are_judged_by_their_tests() {
    let f = "```python\ndef f(x):\n    return x\n```";
    let mut rows = vec![
        program("right", f, "assert f(1) == 1"),
        program("wrong", f, "assert f(1) == 2"),
        program("none", "I cannot.", "assert f(1) == 1"),
        program("forged", "def f(x):\n    import os\n    os._exit(0)", "assert f(1) == 2"),
        program("untested", f, "assert True"),
        program("no Python", f, "assert f(1) =="),
        json!({"id": "check", "output": f, "tests": ["def check(c):\n    assert c(2) == 2"], "entry_point": "f"}),
        json!({"id": "imports", "output": f, "tests": ["assert f(math.pi) > 3"], "imports": ["import math"]}),
    ];
    // A right program beside too much text is refused; NUL bytes are no Python.
    let long = format!("{f}\n{}", "x".repeat(4 << 20));
    rows.extend([
        program("4 MB", &long, "assert f(1) == 1"),
        program("NUL", "def f(x):\0 return 1", "assert f(1) == 1"),
    ]);
    let nested = format!("```python\ny = {}1{}\n```", "(".repeat(10_000), ")".repeat(10_000));
    rows.push(program("nested", &nested, "assert f(1) == 1"));
    let ran = grade("code", &rows);
    if is_excused(&ran) {
        return;
    }
    let expected = [
        "correct",
        "wrong",
        "unparsable",
        "wrong",
        "refused",
        "refused",
        "correct",
        "correct",
        "refused",
        "unparsable",
        "unparsable",
    ];
    assert_eq!(ran.outcomes(), expected);
    let details: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    assert_eq!(details[0].get("detail"), None);
    assert_eq!(details[1]["detail"], "test 1 of 1 failed: AssertionError");
}

#[test]
fn a_missing_interpreter_is_the_machines_lack() {
    let row = [program("a", "def f(): pass", "f()")];
    let ran = run(command("code").env("PATH", "/nowhere"), &row);
    assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("no usable Python interpreter: python3") && ran.stderr.contains("hint:"),
        "{}",
        ran.stderr
    );
}

#[cfg(target_os = "linux")]
mod old_kernel {
    use super::*;
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    const ROLE: &str = "MASPO_TEST_GRADE_ROLE";

    /// In a process of its own: takes Landlock away as a kernel before 5.13 lacks it, and runs the
    /// program with the arguments that the variable holds.
    #[test]
    fn child() {
        let Ok(args) = std::env::var(ROLE) else { return };
        // The number of `landlock_create_ruleset`, which is the same on every architecture.
        let absent = [(444, Vec::new())].into_iter().collect();
        let arch = std::env::consts::ARCH.try_into().unwrap();
        let no_such_call = SeccompAction::Errno(libc::ENOSYS as u32);
        let filter: BpfProgram =
            SeccompFilter::new(absent, SeccompAction::Allow, no_such_call, arch).unwrap().try_into().unwrap();
        seccompiler::apply_filter_all_threads(&filter).unwrap();
        let f = "```python\ndef f(x):\n    return x\n```";
        let ran = if args.starts_with("eval") {
            run(Command::new(env!("CARGO_BIN_EXE_maspo")).args(args.split(' ')), &[])
        } else {
            grade(&args, &[program("a", f, "assert f(1) == 1"), program("b", f, "assert f(1) == 2")])
        };
        println!("\nRAN {}", json!({"code": ran.code, "stdout": ran.stdout, "stderr": ran.stderr}));
    }

    fn play(args: &str) -> Ran {
        let this = std::env::current_exe().unwrap();
        let arguments = ["--exact", "old_kernel::child", "--nocapture", "--test-threads=1"];
        let output = Command::new(this).args(arguments).env(ROLE, args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RAN ")).expect("the child ran");
        let ran: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| ran[key].as_str().unwrap().to_string();
        Ran { code: ran["code"].as_i64().unwrap() as i32, stdout: text("stdout"), stderr: text("stderr") }
    }

    #[test]
    fn programs_are_refused_where_the_kernel_cannot_confine_them() {
        let ran = play("code");
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
        for part in ["cannot confine model-written code", "no Landlock", "hint:", "--unsafe-exec"] {
            assert!(ran.stderr.contains(part), "{}", ran.stderr);
        }
    }

    #[test]
    fn unsafe_execution_says_so_aloud() {
        let ran = play("code --unsafe-exec");
        assert_eq!(ran.outcomes(), ["correct", "wrong"]);
        assert!(
            ran.stderr.starts_with("warning: model-written programs are not confined: no Landlock"),
            "{}",
            ran.stderr
        );
    }

    #[test]
    fn an_evaluation_is_refused_before_its_model_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("pool.jsonl", "{\"question\": \"Write f.\"}\n");
        write("test.jsonl", "{\"question\": \"Write g.\", \"tests\": [\"assert g(1) == 1\"]}\n");
        let config = "schema = 1\n[model]\npath = \"embedded:triage\"\n[graph]\ntopology = \"sequential\"\n[[agent]]\n\
            name = \"coder\"\nrole = \"Writes.\"\nprompt = \"Write: {question}\"\nmax_new_tokens = 4\n[data]\n\
            pool = { file = \"pool.jsonl\" }\ntest = { file = \"test.jsonl\" }\n[eval]\nscorer = \"code\"\n";
        write("x.toml", config);
        let file = folder.path().join("x.toml");
        let ran = play(&format!("eval {}", file.display()));
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{}", ran.stderr);
        assert!(ran.stderr.contains("--unsafe-exec") && !ran.stderr.contains("weights"), "{}", ran.stderr);
        let ran = play(&format!("eval {} --unsafe-exec", file.display()));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stdout.contains("scorer     code version 1: ") && ran.stderr.contains("not confined"),
            "{}",
            ran.stderr
        );
        // A file that came from others cannot say it.
        write("x.toml", &format!("{config}unsafe_exec = true\n"));
        let ran = play(&format!("eval {}", file.display()));
        assert_eq!(ran.code, 2);
        assert!(ran.stderr.contains("`eval.unsafe_exec`") && ran.stderr.contains("--unsafe-exec"), "{}", ran.stderr);
    }
}
