//! Every experiment is sound beside its data, and names what to fetch without it.

use super::workspace::{SUITES, TOPOLOGIES, Workspace};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn there_is_one_experiment_for_every_set_and_graph() {
    let expected: BTreeSet<String> = SUITES
        .iter()
        .flat_map(|(suite, ..)| TOPOLOGIES.map(|(topology, _)| format!("{suite}-{topology}.toml")))
        .collect();
    let workspace = Workspace::without_data();
    let entries = workspace.path("benchmarks").read_dir().expect("a folder");
    let found: BTreeSet<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(found.difference(&BTreeSet::from(["base".to_string()])).cloned().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_experiment_has_a_pool_of_50_and_a_test_without_it() {
    let workspace = Workspace::new();
    for (suite, pool, test) in SUITES {
        // One set per shape runs through all graphs; the graphs of the others are the same files.
        let whole = ["math500", "aqua", "mbpp"].contains(&suite);
        for (topology, agents) in TOPOLOGIES.into_iter().take(if whole { 3 } else { 1 }) {
            let name = format!("{suite}-{topology}");
            let facts = workspace.json(&format!("validate benchmarks/{name}.toml"));
            assert_eq!(facts["name"], name.as_str());
            assert_eq!(facts["agents"].as_array().map(Vec::len), Some(agents), "{name}");
            assert_eq!((&facts["pool"], &facts["test"]), (&json!(50), &json!(6)), "{name}");
            let in_pool = match suite {
                "agieval-math" => 0,
                _ if pool == test => 50,
                _ => 1,
            };
            assert_eq!(facts["excluded"]["test"], in_pool, "{name}");
            assert_eq!(facts["private"], json!(suite == "gpqa-diamond"), "{name}");
            assert_eq!(facts["warnings"], json!([]), "{name}");
            let task = match suite {
                "math500" | "agieval-math" => "mathematics",
                "aqua" | "gpqa-diamond" => "choice",
                _ => "code",
            };
            let expected = json!({"optimizer": "standard", "judge": "standard", "summary": "standard", "task": task});
            assert_eq!(facts["templates"], expected, "{name}");
        }
    }
}

#[test]
fn the_constants_are_the_papers() {
    let workspace = Workspace::new();
    let (code, stdout, stderr) = workspace.run("validate benchmarks/aqua-hierarchical.toml --merged");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let merged: toml::Table = toml::from_str(&stdout).expect("TOML");
    let number =
        |table: &str, key: &str| merged[table][key].as_float().or(merged[table][key].as_integer().map(|n| n as f64));
    for (table, key, value) in [
        ("search", "rounds", 3.0),
        ("search", "steps", 3.0),
        ("search", "beam", 2.0),
        ("search", "candidates", 2.0),
        ("search", "batch", 10.0),
        ("reward", "local", 0.4),
        ("reward", "lookahead", 0.4),
        ("reward", "global", 0.2),
        ("misalignment", "shown", 3.0),
        ("propose", "temperature", 0.7),
    ] {
        assert_eq!(number(table, key), Some(value), "{table}.{key}");
    }
    assert_eq!(merged["data"]["pool"]["limit"].as_integer(), Some(50));
    // Every agent's answer has the paper's 4,096 new tokens, which is the program's default.
    assert!(merged["agent"].as_array().expect("agents").iter().all(|agent| agent.get("max_new_tokens").is_none()));
}

#[test]
fn a_merged_experiment_beside_the_file_is_the_same_experiment() {
    let workspace = Workspace::new();
    for name in ["mbpp-debate", "gpqa-diamond-sequential", "agieval-math-hierarchical"] {
        let sets = "--set search.rounds=2 --set data.test.limit=53";
        let sets = if name.starts_with("agieval") { "--set search.rounds=2" } else { sets };
        let (code, stdout, stderr) = workspace.run(&format!("validate benchmarks/{name}.toml {sets} --merged"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}");
        assert!(!stdout.contains("extends") && !stdout.contains("../"), "{stdout}");
        std::fs::write(workspace.path("benchmarks/beside.toml"), &stdout).expect("a writable folder");
        let one = workspace.json(&format!("validate benchmarks/{name}.toml {sets}"));
        let two = workspace.json("validate benchmarks/beside.toml");
        assert_eq!(one, two, "{name}");
        // Merging again changes nothing.
        let (_, again, _) = workspace.run("validate benchmarks/beside.toml --merged");
        assert_eq!(again, stdout);
    }
}

#[test]
fn without_data_every_experiment_says_what_to_fetch() {
    let workspace = Workspace::without_data();
    for (suite, pool, _) in SUITES {
        for (topology, _) in TOPOLOGIES {
            let name = format!("{suite}-{topology}");
            let (code, stdout, stderr) = workspace.run(&format!("plan benchmarks/{name}.toml"));
            assert_eq!((code, stdout.as_str()), (2, ""), "{name}");
            let line = stderr.lines().find(|line| line.contains("`data.pool.file`")).expect("the pool's fault");
            assert!(line.starts_with(&format!("error: benchmarks/base/{suite}.toml:")), "{line}");
            assert!(line.contains(&format!("data/{pool}: no such file; where to get it: ")), "{line}");
        }
    }
    let (_, _, stderr) = workspace.run("plan benchmarks/aqua-sequential.toml");
    assert!(stderr.contains("data.test.file") && stderr.contains("test.json of https://"), "{stderr}");
}

#[test]
fn a_plan_needs_no_model() {
    let workspace = Workspace::new();
    std::fs::remove_dir_all(workspace.path("benchmarks/models")).expect("the model");
    for (suite, ..) in SUITES {
        let plan: Value = workspace.json(&format!("plan benchmarks/{suite}-sequential.toml"));
        assert_eq!((&plan["steps"], &plan["roles"]["held_out"]["calls_at_most"]), (&json!(18), &json!(24)), "{suite}");
    }
}
