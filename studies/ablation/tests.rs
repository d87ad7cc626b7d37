//! Tests of the study on a scripted model: it can be stopped, resumed and extended, and its tables
//! show what the model does.

use crate::arms::{ARMS, Arm};
use crate::results::{Record, Results};
use crate::run::Study;
use crate::{plot, table};
use expect_test::expect;
use futures::executor::block_on;
use maspo::chat::{Request, ScriptedModel};
use maspo::study::Memo;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const CONFIG: &str = r#"
schema = 1
name = "toy"
[model]
path = "embedded:triage"
[graph]
topology = "sequential"
[[agent]]
name = "read"
role = "Copy."
prompt = "Read {question}"
[[agent]]
name = "answer"
role = "Answer."
prompt = "Answer {context}"
[data]
pool = { file = "pool.jsonl", question = "question" }
test = { file = "test.jsonl", id = "id", question = "question", answer = "label" }
[eval]
scorer = "label"
labels = ["yes", "no"]
[search]
rounds = 1
steps = 2
batch = 2
final_check = 4
"#;

/// A model that proposes "Be right." for every agent. An agent with that prompt answers "yes",
/// which the judge prefers and which is right.
fn model() -> ScriptedModel {
    let answer = |request: &Request| {
        let text = &request.messages[0].content;
        if text.contains("New prompt:") {
            let slot = if text.contains("Keep {question}") { "{question}" } else { "{context}" };
            return format!("<prompt>Be right. {slot}</prompt>");
        }
        let right = text.contains("Be right.") || text.contains("yes");
        format!("<answer>{}</answer>", if right { "yes" } else { "no" })
    };
    ScriptedModel::new(answer).with_scores(|request, _| {
        let text = &request.messages[0].content;
        let first = text.find("Answer A:").is_some_and(|at| text[at..].find("yes") < text[at..].find("Answer B:"));
        if first { vec![-0.1, -2.4] } else { vec![-2.4, -0.1] }
    })
}

/// A folder with the toy experiment.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows = |from: usize, count| -> String {
        let row = |at| format!("{{\"id\": \"{at}\", \"question\": \"case {at}\", \"label\": \"yes\"}}\n");
        (from..from + count).map(row).collect()
    };
    let ideal = r#"{"read": "Be right. {question}", "answer": "Be right. {context}", "other": "unused"}"#;
    for (name, text) in
        [("toy.toml", CONFIG), ("pool.jsonl", &rows(0, 6)), ("test.jsonl", &rows(10, 5)), ("ideal.json", ideal)]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn run(folder: &Path, seeds: &[u64], arms: &[Arm]) -> anyhow::Result<(Vec<Record>, u64)> {
    let memo = Arc::new(Memo::new(Arc::new(model())));
    let study = Study {
        config: folder.join("toy.toml"),
        sets: vec![],
        ideal: folder.join("ideal.json"),
        memo: memo.clone(),
        in_flight: 3,
    };
    let mut results = Results::open(&folder.join("results.jsonl"))?;
    block_on(study.run(seeds, arms, &mut results, |_| {}))?;
    Ok((results.records, memo.counts().0))
}

#[test]
fn a_study_finds_the_effect_that_its_model_has() {
    let folder = folder();
    let (records, _) = run(folder.path(), &[1, 2], &ARMS).unwrap();
    assert_eq!(records.len(), 20);
    for record in &records {
        let expected = match record.arm.as_str() {
            "seed" => 0.0,
            // A coin may send the run back to the seed prompts.
            "coin" => continue,
            _ => 1.0,
        };
        assert_eq!(record.accuracy(), expected, "{record:?}");
    }
    let consistency = |arm: &str| {
        let record = records.iter().find(|record| record.arm == arm).unwrap();
        record.search.as_ref().unwrap().judge.position_consistency()
    };
    assert_eq!((consistency("joint"), consistency("one-order"), consistency("coin")), (Some(1.0), None, None));
}

#[test]
fn a_study_is_resumed_and_extended_without_making_a_run_twice() {
    let folder = folder();
    let file = folder.path().join("results.jsonl");
    run(folder.path(), &[1], &ARMS[..3]).unwrap();
    let first = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{first}{{\"version\":1,\"se")).unwrap();
    let (records, asked) = run(folder.path(), &[1], &ARMS[..3]).unwrap();
    assert_eq!((records.len(), asked), (3, 0), "nothing is asked again");
    assert_eq!(fs::read_to_string(&file).unwrap(), first, "the line that was cut short is gone");
    assert_eq!(run(folder.path(), &[1, 2], &ARMS[..4]).unwrap().0.len(), 8);
    let whole = |(mut records, _): (Vec<Record>, u64)| {
        records.sort_by(|a, b| (a.seed, &a.arm).cmp(&(b.seed, &b.arm)));
        records.iter_mut().filter_map(|record| record.search.as_mut()).for_each(|search| search.seconds = 0.0);
        records
    };
    let extended = whole(run(folder.path(), &[1, 2], &ARMS[..4]).unwrap());
    fs::remove_file(&file).unwrap();
    assert_eq!(extended, whole(run(folder.path(), &[1, 2], &ARMS[..4]).unwrap()), "a study in one go is the same");
}

#[test]
fn results_of_another_setup_are_refused() {
    let folder = folder();
    run(folder.path(), &[1], &ARMS[..2]).unwrap();
    fs::write(folder.path().join("toy.toml"), CONFIG.replace("steps = 2", "steps = 1")).unwrap();
    let error = run(folder.path(), &[1], &ARMS[..2]).unwrap_err().to_string();
    assert!(error.contains("holds seed 1 of `seed` for another model, other settings or other data"), "{error}");
}

fn fixture(seed: u64, arm: &str, correct: usize) -> Record {
    let line = format!(
        r#"{{"version":1,"seed":{seed},"arm":"{arm}","model":"toy","setup":"{}","cases":10,"correct":{correct},
        "search":null,"prompts":{{}}}}"#,
        "0".repeat(64)
    );
    serde_json::from_str(&line).unwrap()
}

#[test]
fn tables_show_the_runs() {
    // Joint 0.8 and 1.0, seed prompts 0.4 and 0.4: differences 0.4 and 0.6, t(1) = 12.706, half
    // width 12.706 · 0.1. The third seed has no pair.
    let runs = [("seed", 1, 4), ("seed", 2, 4), ("joint", 1, 8), ("joint", 2, 10), ("local-only", 3, 9)];
    let records: Vec<_> = runs.map(|(arm, seed, correct)| fixture(seed, arm, correct)).into();
    let text = table::markdown(&records, "plot.svg");
    let tables: String = text.lines().skip(7).take(17).map(|line| format!("{line}\n")).collect();
    expect![[r#"
        | arm | seeds | accuracy | 95 % | joint − arm | 95 % | joint wins / ties / losses |
        | --- | ---: | ---: | ---: | ---: | ---: | ---: |
        | seed prompts | 2 | 0.400 | – | +0.500 | -0.771 … 1.771 | 2 / 0 / 0 |
        | joint (MASPO) | 2 | 0.900 | -0.371 … 2.171 | – | – | – |
        | local reward only | 1 | 0.900 | – | – | – | – |

        | goal | measured | needed | aimed at | met |
        | --- | ---: | ---: | ---: | --- |
        | ideal prompts, mean | – | ≥ 0.95 |  | – |
        | seed prompts, mean | 0.400 | ≤ 0.60 |  | yes |
        | joint − seed prompts, lower bound | -0.771 | ≥ 0.25 | 0.40 | no |
        | joint − coin, lower bound | – | ≥ 0.10 | 0.25 | – |
        | joint − local only, lower bound | – | > 0 | 0.20 | – |

        How the searches went: the accuracy of the optimized prompts before the final check, which may send
        a run back to the seed prompts; how often it did; how many runs ended with a trap clause in the
        optimized prompts; and the judge.
    "#]]
    .assert_eq(&tables);
}

#[test]
fn the_note_keeps_what_people_wrote() {
    let first = table::into_note("", "old\n");
    let edited = first.replace("# Ablations", "# My ablations") + "\nWhat it shows.\n";
    let second = table::into_note(&edited, "new\n");
    assert_eq!(second, edited.replace("old\n", "new\n"));
}

#[test]
fn the_plot_has_a_row_per_arm_and_a_dot_per_run() {
    let records: Vec<_> = (1..=4).flat_map(|seed| [fixture(seed, "joint", 9), fixture(seed, "seed", 4)]).collect();
    let svg = plot::svg(&records);
    assert_eq!(svg.matches("<circle").count(), 8);
    assert!(svg.contains("joint (MASPO)") && svg.contains("0.900 [0.90, 0.90] n=4") && !svg.contains("NaN"), "{svg}");
}
