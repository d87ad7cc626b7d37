//! The paper's main comparison, `studies/paper-main.toml`: it names every benchmark experiment, and
//! runs on a model whose answers are noise.

use super::workspace::{SUITES, TOPOLOGIES, Workspace};
use maspo::config::{ModelCheck, load};
use maspo::study::{StudyFile, cells};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Settings that make a run of seconds.
const SMALL: &str = "--set propose.max_new_tokens=12 --set search.rounds=1 --set search.steps=1 --set search.batch=2 \
    --set search.final_check=2 --set engine.threads=1 --set methods.trials=1 --set methods.instructions=2 \
    --set methods.rounds=1 --set methods.questions=2 --set methods.epochs=1 --set methods.train_items=3 \
    --set data.pool.limit=4";

/// Writes the study into the workspace, beside the experiments there.
fn written(workspace: &Workspace) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("studies/paper-main.toml");
    let text = std::fs::read_to_string(path).expect("the study");
    let file = workspace.path("paper-main.toml");
    std::fs::write(&file, text.replace("../configs/benchmarks/", "benchmarks/")).expect("a writable folder");
    file
}

#[test]
fn the_main_study_names_every_experiment_and_each_is_sound() {
    let workspace = Workspace::new();
    let study = StudyFile::read(&written(&workspace)).expect("a study");
    let expected: BTreeSet<String> =
        SUITES.iter().flat_map(|(suite, ..)| TOPOLOGIES.map(|(topology, _)| format!("{suite}-{topology}"))).collect();
    let mut found = BTreeSet::new();
    for cell in cells(&study) {
        // The runs of an experiment differ in method and seed only.
        if !found.insert(cell.experiment.clone()) {
            continue;
        }
        let path = workspace.path(cell.config.to_str().expect("UTF-8"));
        let settings = load(&path, &cell.sets, false, ModelCheck::Files).expect("a sound experiment");
        assert!(settings.test.is_some(), "{}", cell.experiment);
        if let Some(train) = &settings.train {
            // The labelled rows are the pool's, and so none is of the test.
            let pool: Vec<_> = settings.pool.iter().map(|query| &query.id).take(40).collect();
            assert_eq!(train.iter().map(|case| &case.query.id).collect::<Vec<_>>(), pool, "{}", cell.experiment);
        }
        assert_eq!(settings.train.is_some(), !cell.experiment.ends_with("-sequential"), "{}", cell.experiment);
    }
    assert_eq!(found, expected);
}

#[test]
fn an_experiment_of_the_main_study_runs_with_all_of_its_methods() {
    let workspace = Workspace::new();
    written(&workspace);
    for (name, agents, arms) in [
        ("aqua-sequential", &["predictor", "reflector"][..], 10),
        ("aqua-hierarchical", &["deriver", "eliminator", "reader", "summarizer"], 7),
    ] {
        let short: String = agents.iter().map(|agent| format!(" --set agent.{agent}.max_new_tokens=4")).collect();
        let report =
            workspace.json(&format!("study paper-main.toml --only {name} --seeds 1 --out {name} {SMALL} {short}"));
        assert_eq!((&report["runs"], &report["missing"]), (&arms.into(), &0.into()), "{name}");
        let of = &report["experiments"][0];
        // The seed prompts are an arm of every experiment.
        assert_eq!(of["arms"].as_array().map(Vec::len), Some(arms + 1), "{name}");
        let text = std::fs::read_to_string(workspace.path(&format!("{name}/report.md"))).expect("a report");
        let (here, other) = if name.ends_with("sequential") { ("0.7039", "0.7105") } else { ("0.7105", "0.7039") };
        let row = |figure: &str| text.lines().find(|line| line.starts_with("| maspo |") && line.contains(figure));
        assert!(!row(here).expect("the paper's figure").contains("| – |"), "{text}");
        assert!(row(other).expect("the paper's figure").contains("| – |"), "{text}");
    }
    let (code, _, stderr) = workspace.run("study paper-main.toml --only aqua");
    assert_eq!(code, 2);
    assert!(stderr.contains("--only: there is no experiment `aqua`; there are math500-sequential, "), "{stderr}");
}
