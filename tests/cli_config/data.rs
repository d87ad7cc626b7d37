//! Faults of the data files.

use super::experiment::Experiment;
use expect_test::expect;

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
    let twice = b"{\"id\": 1, \"question\": \"x\", \"gold\": \"human\"}\n\
    {\"id\": \"1\", \"question\": \"y\", \"gold\": \"human\"}\n";
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
