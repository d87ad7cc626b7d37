//! `maspo data check` on files of the benchmark sets.

use super::workspace::{SUITES, Workspace, row};
use expect_test::expect;
use serde_json::json;

#[test]
fn sound_files_have_no_defects() {
    let workspace = Workspace::new();
    for (suite, _, test) in SUITES {
        let facts = workspace.json(&format!("data check benchmarks/data/{test} --suite {suite}"));
        assert_eq!((&facts["schema"], &facts["suite"], &facts["defects"]), (&json!(1), &json!(suite), &json!([])));
        let references = &facts["references"];
        if ["mbpp", "humaneval-et"].contains(&suite) {
            // Where there is no sandbox, that is said.
            assert!(
                *references == json!({"passed": 56, "all": 56}) || references["not_run"].is_string(),
                "{references}"
            );
        } else {
            assert!(references.is_null(), "{suite}");
        }
    }
    let facts = workspace.json("data check benchmarks/data/agieval_math.jsonl --suite agieval-math");
    assert_eq!(facts["parts"], json!({"other.level 4": 50, "other.level 5": 6}));
}

#[test]
fn a_file_is_summed_up_for_people() {
    let workspace = Workspace::new();
    let rows = [0, 1, 0].map(|at| row("aqua", at));
    let mut bad = row("aqua", 2);
    bad["correct"] = json!("F");
    workspace.write_rows("some.jsonl", rows.into_iter().chain([bad]));
    let (code, stdout, stderr) = workspace.run("data check benchmarks/data/some.jsonl --suite aqua");
    assert_eq!((code, stderr.as_str()), (0, ""));
    expect![[r#"
        benchmarks/data/some.jsonl: AQuA

        rows       4; the whole set has 254
        digest     blake3 29a31188dbe44087527de1102c3839a7ee0ec86430f0b2eeb95587c4390754c4
        fields     correct, options, question, rationale
        question   question, options
        gold       correct, by scorer letter, version 1
        defects    2
          line 3 (id `3`, question aa6f0ab9744a): duplicate-text: line 1 has the same question aa6f0ab9744a
          line 4 (id `4`, question cfe2033607d6): no-such-option: the gold letter F is none of the 5 options
    "#]]
    .assert_eq(&stdout);
}

#[test]
fn malformed_rows_are_refused_by_line() {
    let workspace = Workspace::new();
    let rows = [json!({"task_id": 1, "prompt": "p", "test_list": []}), json!({"task_id": 2, "prompt": "p"}), json!(3)];
    workspace.write_rows("bad.jsonl", rows.into_iter());
    let (code, stdout, stderr) = workspace.run("data check benchmarks/data/bad.jsonl --suite mbpp");
    assert_eq!((code, stdout.as_str()), (2, ""));
    expect![[r#"
        error: benchmarks/data/bad.jsonl:1: the field `test_list` is empty
        error: benchmarks/data/bad.jsonl:2: the row has no field `test_list`; it has `task_id`, `prompt`
        error: benchmarks/data/bad.jsonl:3: the row is a number, not an object with fields; a JSONL file has one object a line
    "#]].assert_eq(&stderr);
    let (code, _, stderr) = workspace.run("data check nowhere.jsonl --suite mbpp --json");
    assert_eq!((code, stderr.as_str()), (2, "error: cannot read nowhere.jsonl: no such file\n"));
    let (code, _, stderr) = workspace.run("data check benchmarks/data/bad.jsonl --suite mpbb");
    assert!(code == 2 && stderr.contains("mbpp"), "{stderr}");
}

#[test]
fn private_rows_are_not_shown() {
    let workspace = Workspace::new();
    let row = |question: &str, answer: &str| json!({"question": question, "answer": answer});
    let rows = [row("a wombat", "A"), row("A  Wombat", "the numbat"), json!({"question": "an echidna"})];
    workspace.write_rows("gpqa.jsonl", rows.clone().into_iter().take(2));
    for flag in ["", "--json"] {
        let (code, stdout, _) =
            workspace.run(&format!("data check benchmarks/data/gpqa.jsonl --suite gpqa-diamond {flag}"));
        assert_eq!(code, 0);
        assert!(stdout.contains("duplicate-text") && stdout.contains("unscorable-gold"), "{stdout}");
        let lower = stdout.to_lowercase();
        assert!(["wombat", "numbat"].iter().all(|word| !lower.contains(word)), "{stdout}");
    }
    workspace.write_rows("gpqa.jsonl", rows.into_iter());
    let (code, stdout, stderr) = workspace.run("data check benchmarks/data/gpqa.jsonl --suite gpqa-diamond");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("gpqa.jsonl:3: the row has no field `answer`") && !stderr.contains("echidna"), "{stderr}");
}
