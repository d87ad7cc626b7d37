//! Files that extend others: what is merged, what is replaced, where paths lead, and where faults
//! are placed.

use super::fixture::{GOOD, folder, load_text, shown};
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
    check(&[("base.toml", GOOD)], "extends = \"base.toml\"", &[], expect![[""]]);
    let own = "extends = \"base.toml\"\nseed = 8\nname = \"own\"\n[search]\nbeam = 3\n";
    check(&[("base.toml", GOOD)], own, &[], expect![[""]]);
    let agent = "extends = \"base.toml\"\n[[agent]]\nname = \"one\"\nrole = \"r\"\nprompt = \"{question}\"\n";
    check(&[("base.toml", GOOD)], agent, &[], expect![[""]]);
}

#[test]
fn flags_come_last_and_chains_and_lists_are_followed() {
    let files = [
        ("base.toml", GOOD),
        ("middle.toml", "extends = \"base.toml\"\nname = \"middle\"\n[search]\nbatch = 1\nbeam = 4\n"),
        ("side.toml", "[search]\nbeam = 5\n"),
    ];
    check(&files, "extends = \"middle.toml\"\n", &[], expect![[""]]);
    check(&files, "extends = [\"middle.toml\", \"side.toml\"]\n", &[], expect![[""]]);
    check(&files, "extends = [\"side.toml\", \"middle.toml\"]\n", &["search.beam=6", "seed=9"], expect![[""]]);
    check(&files, "extends = \"base.toml\"\n", &["extends=side.toml"], expect![[""]]);
}

#[test]
fn paths_belong_to_the_file_that_they_stand_in() {
    let inner = GOOD.replace("\"decide.txt\"", "\"../decide.txt\"").replace("\"pool.jsonl\"", "\"../pool.jsonl\"");
    let inner = inner.replace("\"test.jsonl\"", "\"../test.jsonl\"");
    check(&[("sub/base.toml", &inner)], "extends = \"sub/base.toml\"\n", &[], expect![[""]]);
    // The key is this file's now, and so is its path.
    let own = "extends = \"sub/base.toml\"\n[data.pool]\nfile = \"pool.jsonl\"\n";
    check(&[("sub/base.toml", &inner)], own, &[], expect![[""]]);
    check(&[("sub/base.toml", GOOD)], "extends = \"sub/base.toml\"\n", &[], expect![[""]]);
}

#[test]
fn faults_are_placed_in_the_file_that_has_them() {
    let bad = GOOD.replace("batch = 2", "bach = 2");
    check(&[("base.toml", &bad)], "extends = \"base.toml\"\n[search]\nbeam = 0\n", &["search.steps=0"], expect![[""]]);
    check(&[("base.toml", "seed = = 1")], "\nextends = \"base.toml\"\n", &[], expect![[""]]);
    check(&[("base.toml", "schema = 2")], "schema = 1\nextends = \"base.toml\"\n", &[], expect![[""]]);
    check(&[("base.toml", "seed = 1")], "extends = \"base.toml\"\n", &[], expect![[""]]);
}

#[test]
fn what_cannot_be_extended_is_named_with_its_line() {
    check(&[], "schema = 1\nextends = \"nowhere.toml\"\n", &[], expect![[""]]);
    check(&[], "schema = 1\nextends = \".\"\n", &[], expect![[""]]);
    check(&[], "extends = [\n  3,\n]\n", &[], expect![[""]]);
    check(&[], "extends = \"\"\n", &[], expect![[""]]);
    check(&[], "extends = \"x.toml\"\n", &[], expect![[""]]);
    let files = [("a.toml", "seed = 1\nextends = [\n  \"b.toml\",\n]\n"), ("b.toml", "extends = \"./a.toml\"\n")];
    check(&files, "extends = \"a.toml\"\n", &[], expect![[""]]);
    // A file may be extended twice, but not without end.
    let twice = [("base.toml", GOOD), ("a.toml", "extends = \"base.toml\""), ("b.toml", "extends = \"base.toml\"")];
    check(&twice, "extends = [\"a.toml\", \"b.toml\"]\n", &[], expect![[""]]);
    let wide = format!("extends = [{}]\n", "\"base.toml\", ".repeat(70));
    check(&twice, &wide, &[], expect![[""]]);
}
