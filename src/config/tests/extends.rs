//! Files that extend others: what is merged, what is replaced, where paths lead, and where faults
//! are placed.

use super::fixture::{GOOD, folder, load_text, shown};
use crate::chat::ModelRole;
use expect_test::{Expect, expect};
use std::fs;

/// Compares the faults or warnings of an experiment file `x.toml`, beside which other files stand,
/// with `expected`. Without faults the facts are shown that tests look at.
#[track_caller]
fn check(files: &[(&str, &str)], text: &str, sets: &[&str], expected: Expect) {
    let folder = folder();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let outcome = load_text(&folder, text, sets);
    let facts = outcome.as_ref().map_or(String::new(), |settings| {
        let agents: Vec<_> = settings.graph.agents().iter().map(|agent| agent.name.as_str()).collect();
        let search = &settings.options.search;
        format!(
            "{} seed {} agents {} batch {} beam {} pool {}\n",
            settings.name,
            settings.seed.0,
            agents.join(","),
            search.batch,
            search.beam,
            settings.pool.len()
        )
    });
    let warnings = shown(&folder, outcome);
    let warnings = if facts.is_empty() { warnings } else { String::new() };
    expected.assert_eq(&format!("{facts}{warnings}"));
}

#[test]
fn tables_are_merged_and_lists_are_replaced() {
    check(
        &[("base.toml", GOOD)],
        "extends = \"base.toml\"",
        &[],
        expect![[r#"
        triage seed 7 agents extract,decide batch 2 beam 2 pool 2
    "#]],
    );
    let own = "extends = \"base.toml\"\nseed = 8\nname = \"own\"\n[search]\nbeam = 3\n";
    check(
        &[("base.toml", GOOD)],
        own,
        &[],
        expect![[r#"
        own seed 8 agents extract,decide batch 2 beam 3 pool 2
    "#]],
    );
    let agent = "extends = \"base.toml\"\n[[agent]]\nname = \"one\"\nrole = \"r\"\nprompt = \"Do {question}\"\n";
    check(
        &[("base.toml", GOOD)],
        agent,
        &[],
        expect![[r#"
        triage seed 7 agents one batch 2 beam 2 pool 2
    "#]],
    );
}

#[test]
fn flags_come_last_and_chains_and_lists_are_followed() {
    let files = [
        ("base.toml", GOOD),
        ("middle.toml", "extends = \"base.toml\"\nname = \"middle\"\n[search]\nbatch = 1\nbeam = 4\n"),
        ("side.toml", "[search]\nbeam = 5\n"),
    ];
    check(
        &files,
        "extends = \"middle.toml\"\n",
        &[],
        expect![[r#"
        middle seed 7 agents extract,decide batch 1 beam 4 pool 2
    "#]],
    );
    check(
        &files,
        "extends = [\"middle.toml\", \"side.toml\"]\n",
        &[],
        expect![[r#"
        middle seed 7 agents extract,decide batch 1 beam 5 pool 2
    "#]],
    );
    check(
        &files,
        "extends = [\"side.toml\", \"middle.toml\"]\n",
        &["search.beam=6", "seed=9"],
        expect![[r#"
        middle seed 9 agents extract,decide batch 1 beam 6 pool 2
    "#]],
    );
    check(
        &files,
        "extends = \"base.toml\"\n",
        &["extends=side.toml"],
        expect![[r#"
        --set extends=side.toml: files are merged before flags are applied; `extends` belongs into the file
    "#]],
    );
}

#[test]
fn paths_belong_to_the_file_that_they_stand_in() {
    let inner = GOOD.replace("\"decide.txt\"", "\"../decide.txt\"").replace("\"pool.jsonl\"", "\"../pool.jsonl\"");
    let inner = inner.replace("\"test.jsonl\"", "\"../test.jsonl\"");
    check(
        &[("sub/base.toml", &inner)],
        "extends = \"sub/base.toml\"\n",
        &[],
        expect![[r#"
        triage seed 7 agents extract,decide batch 2 beam 2 pool 2
    "#]],
    );
    // The key is this file's now, and so is its path.
    let own = "extends = \"sub/base.toml\"\n[data.pool]\nfile = \"pool.jsonl\"\n";
    check(
        &[("sub/base.toml", &inner)],
        own,
        &[],
        expect![[r#"
        triage seed 7 agents extract,decide batch 2 beam 2 pool 2
    "#]],
    );
    check(
        &[("sub/base.toml", GOOD)],
        "extends = \"sub/base.toml\"\n",
        &[],
        expect![[r#"
        sub/base.toml:15: `agent.decide.prompt.file` cannot be read: sub/decide.txt: no such file
        sub/base.toml:19: `data.pool.file`: cannot read sub/pool.jsonl: no such file
        sub/base.toml:20: `data.test.file`: cannot read sub/test.jsonl: no such file
    "#]],
    );
}

#[test]
fn faults_are_placed_in_the_file_that_has_them() {
    let bad = GOOD.replace("batch = 2", "bach = 2");
    check(
        &[("base.toml", &bad)],
        "extends = \"base.toml\"\n[search]\nbeam = 0\n",
        &["search.steps=0"],
        expect![[r#"
        x.toml:3: `search.beam` is 0; it must be at least 1
        base.toml:25: unknown key `search.bach`; did you mean `batch`?
        --set search.steps=0: `search.steps` is 0; it must be at least 1
    "#]],
    );
    check(
        &[("base.toml", "seed = = 1")],
        "\nextends = \"base.toml\"\n",
        &[],
        expect![[r#"
        base.toml:1:8: extra `=`, expected nothing
    "#]],
    );
    check(
        &[("base.toml", "schema = 2")],
        "schema = 1\nextends = \"base.toml\"\n",
        &[],
        expect![[r#"
        base.toml:1: the schema is 2; this program reads `schema = 1`
    "#]],
    );
    check(
        &[("base.toml", "seed = 1")],
        "extends = \"base.toml\"\n",
        &[],
        expect![[r#"
        x.toml:1: `schema` is missing; this program reads `schema = 1`, at the top of the file
        x.toml:1: `model` is missing; [model] path = "…" names the folder of a Qwen3 model, or `embedded:triage`
        x.toml:1: `agent` is missing; the graph has no agents: add an [[agent]] with name, role and prompt
        x.toml:1: `data` is missing; [data] pool = { file = "…" } names the queries to optimize on
    "#]],
    );
}

#[test]
fn what_cannot_be_extended_is_named_with_its_line() {
    check(
        &[],
        "schema = 1\nextends = \"nowhere.toml\"\n",
        &[],
        expect![[r#"
        x.toml:2: `extends` cannot be read: nowhere.toml: no such file
    "#]],
    );
    check(
        &[],
        "schema = 1\nextends = \".\"\n",
        &[],
        expect![[r#"
        x.toml:2: `extends` cannot be read: .: it is a folder; an experiment file is needed
    "#]],
    );
    check(
        &[],
        "extends = [\n  3,\n]\n",
        &[],
        expect![[r#"
        x.toml:2: `extends` is the number 3; the path of an experiment file is needed
    "#]],
    );
    check(
        &[],
        "extends = \"\"\n",
        &[],
        expect![[r#"
        x.toml:1: `extends` is empty
    "#]],
    );
    check(
        &[],
        "extends = \"x.toml\"\n",
        &[],
        expect![[r#"
        x.toml:1: `extends` goes in a circle: x.toml -> x.toml
    "#]],
    );
    let files = [("a.toml", "seed = 1\nextends = [\n  \"b.toml\",\n]\n"), ("b.toml", "extends = \"./a.toml\"\n")];
    check(
        &files,
        "extends = \"a.toml\"\n",
        &[],
        expect![[r#"
        b.toml:1: `extends` goes in a circle: a.toml -> b.toml -> a.toml
    "#]],
    );
    // A file may be extended twice, but not without end.
    let twice = [("base.toml", GOOD), ("a.toml", "extends = \"base.toml\""), ("b.toml", "extends = \"base.toml\"")];
    check(
        &twice,
        "extends = [\"a.toml\", \"b.toml\"]\n",
        &[],
        expect![[r#"
        triage seed 7 agents extract,decide batch 2 beam 2 pool 2
    "#]],
    );
    let wide = format!("extends = [{}]\n", "\"base.toml\", ".repeat(70));
    check(
        &twice,
        &wide,
        &[],
        expect![[r#"
        x.toml:1: `extends` leads to more than 64 files, the most that are read
    "#]],
    );
}

/// Shows where the worker and the judge of an experiment run that extends `GOOD`.
#[track_caller]
fn check_places(own: &str, sets: &[&str], expected: Expect) {
    let folder = folder();
    fs::write(folder.path().join("base.toml"), GOOD).unwrap();
    let outcome = load_text(&folder, &format!("extends = \"base.toml\"\n{own}"), sets);
    let places = outcome.as_ref().ok().map(|settings| {
        let [worker, judge] = [ModelRole::Worker, ModelRole::Judge].map(|role| settings.model(role).to_string());
        format!("worker {worker}, judge {judge}\n")
    });
    expected.assert_eq(&places.unwrap_or_else(|| shown(&folder, outcome)));
}

#[test]
fn of_two_keys_that_cannot_stand_together_the_later_one_holds() {
    let remote = "[model]\nendpoint = \"http://a:1\"\nname = \"m\"\napi_key = { env = \"KEY\" }\n";
    check_places(
        "",
        &["model.endpoint=http://a:1"],
        expect![[r#"
        worker http://a:1, judge http://a:1
    "#]],
    );
    check_places(
        remote,
        &[],
        expect![[r#"
        worker m at http://a:1, judge m at http://a:1
    "#]],
    );
    // Replacing the server removes the keys that describe it, too.
    check_places(
        remote,
        &["model.path=embedded:triage"],
        expect![[r#"
        worker embedded:triage, judge embedded:triage
    "#]],
    );
    check_places(
        remote,
        &["model.judge.path=embedded:triage"],
        expect![[r#"
        worker m at http://a:1, judge embedded:triage
    "#]],
    );
    check_places(
        "[model.judge]\npath = \"embedded:triage\"\n",
        &["model.endpoint=http://a:1", "model.judge.endpoint=http://b:2", "model.name=n"],
        expect![[r#"
            worker n at http://a:1, judge n at http://b:2
        "#]],
    );
    check_places(
        remote,
        &["model.api_key.file=key", "model.path=x", "model.endpoint=http://b:2"],
        expect![[r#"
        worker http://b:2, judge http://b:2
    "#]],
    );
    check_places(
        remote,
        &["model.api_key.file=key"],
        expect![[r#"
        worker m at http://a:1, judge m at http://a:1
    "#]],
    );
    // In one layer they are a fault as before.
    check_places(
        "[model]\nendpoint = \"http://a:1\"\npath = \"embedded:triage\"\n",
        &[],
        expect![[r#"
        x.toml:3: `model.endpoint` stands beside `path`; a model is either in this process or behind a server
    "#]],
    );
}
