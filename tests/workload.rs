//! The recorded step of `maspo bench --workload maspo`: it is recorded here from the search itself,
//! and replayed by the program.

mod support;

#[path = "workload/recorder.rs"]
mod recorder;

use expect_test::expect_file;
use maspo::chat::ModelRole;
use maspo::throughput::{Part, Workload};
use serde_json::{Value, json};
use std::process::{Command, Output};
use support::TinyModel;

/// `UPDATE_EXPECT=1 cargo test --release --test workload` rewrites the file.
#[test]
fn the_recording_equals_the_calls_of_the_search() {
    expect_file!["../benches/workloads/maspo-step.jsonl"].assert_eq(&recorder::record().to_jsonl());
}

fn counts(workload: &Workload) -> [usize; 3] {
    ModelRole::ALL.map(|role| workload.count(role))
}

#[test]
fn the_recording_holds_every_call_of_a_step() {
    let step = Workload::recorded();
    // Worker: 10 queries x 3 agents for 2 parents and 4 candidates; judge: local, lookahead and
    // global of 4 x 10, both orders.
    assert_eq!((step.queries(), counts(&step)), (10, [10 * 3 * (2 + 4), 4, 3 * 40 * 2]));
    let of_phase = |phase| step.calls.iter().filter(|call| call.phase == phase).count();
    assert_eq!([0, 1, 2, 3].map(of_phase), [30, 30 + 4, 120, 240]);
    assert_eq!(counts(&step.with_queries(2)), [2 * 18, 4, 2 * 24]);
}

/// Returns the roles and phases of the calls whose output a call reads, each once.
fn reads(step: &Workload, call: usize) -> Vec<(ModelRole, usize)> {
    let mut from: Vec<usize> = step.calls[call].prompt.iter().filter_map(source).collect();
    from.sort_unstable();
    from.dedup();
    from.into_iter().map(|at| (step.calls[at].role, step.calls[at].phase)).collect()
}

fn source(part: &Part) -> Option<usize> {
    match *part {
        Part::Output(from, ..) => Some(from),
        Part::Text(_) => None,
    }
}

#[test]
fn calls_read_the_outputs_of_earlier_calls() {
    use ModelRole::{Judge, Optimizer, Worker};
    let step = Workload::recorded();
    for (at, call) in step.calls.iter().enumerate() {
        let reads = reads(&step, at);
        match (call.role, call.phase) {
            // One predecessor; the candidates' prompts are what the optimizer wrote.
            (Worker, 0 | 1) => assert!(reads.iter().all(|read| *read == (Worker, call.phase)) && reads.len() < 2),
            (Worker, _) => assert!(matches!(reads[..], [(Optimizer, 1)] | [(Worker, 2)]), "{reads:?}"),
            // Three traces of three outputs each.
            (Optimizer, _) => assert_eq!(reads.len(), 9, "{reads:?}"),
            // The candidate's answer and its parent's.
            (Judge, _) => assert!(matches!(reads[..], [(Worker, 0 | 1), (Worker, 2)]), "{reads:?}"),
        }
    }
}

#[test]
fn prompts_share_the_prefixes_that_the_search_gives_them() {
    let step = Workload::recorded();
    let shared = |a: usize, b: usize| {
        let (a, b) = (&step.calls[a], &step.calls[b]);
        let same = a.prompt.iter().zip(&b.prompt).take_while(|(a, b)| a == b).map(|(part, _)| *part).collect();
        (step.prompt_tokens(&maspo::throughput::Call { prompt: same, ..a.clone() }), step.prompt_tokens(a))
    };
    let find = |role, phase, item| {
        let found = |call: &maspo::throughput::Call| (call.role, call.phase, call.item) == (role, phase, Some(item));
        step.calls.iter().position(found).unwrap()
    };
    // One agent prompt over ten queries, one candidate over ten queries, one query compared in both
    // orders.
    for (phase, prompt) in [(0, 160), (2, 160)] {
        let (same, whole) = shared(find(ModelRole::Worker, phase, 0), find(ModelRole::Worker, phase, 1));
        assert!(same >= prompt && whole > same + 160, "phase {phase}: {same} of {whole}");
    }
    let judge = find(ModelRole::Judge, 3, 0);
    let (same, whole) = shared(judge, judge + 1);
    assert!(same > 200 && whole > same + 128, "{same} of {whole}");
}

fn bench(folder: &std::path::Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maspo"));
    command.current_dir(folder).args(["bench", "--model", "model"]).args(args).output().unwrap()
}

#[test]
fn the_program_replays_the_recording() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("model")).unwrap();
    TinyModel::default().write(&folder.path().join("model"));

    let args = ["--workload", "maspo", "--queries", "2", "--rounds", "1", "--threads", "2", "--json"];
    let ran = bench(folder.path(), &args);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let object: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&object["schema"], &object["workload"], &object["queries"]), (&json!(1), &json!("maspo"), &json!(2)));
    assert_eq!(object["calls"], json!({ "worker": 36, "optimizer": 4, "judge": 48 }));
    assert_eq!(object["answers_identical"], true);

    let step = Workload::recorded().with_queries(2);
    let prompts: usize = step.calls.iter().map(|call| step.prompt_tokens(call)).sum();
    let modes = object["modes"].as_array().unwrap();
    assert_eq!(modes.len(), 4);
    for mode in modes {
        let number = |key: &str| mode[key].as_u64().unwrap() as usize;
        assert_eq!(number("requests"), 88);
        assert_eq!(number("decoded_tokens"), step.calls.iter().map(|call| call.new_tokens).sum::<usize>());
        assert_eq!(number("preemptions"), 0);
        assert_eq!((number("drafted_tokens"), number("accepted_tokens")), (0, 0), "drafts are asked for: {mode}");
        assert_eq!(number("prefilled_tokens") + number("reused_tokens"), prompts, "{mode}");
        let reuse = mode["prefix_reuse"] == true;
        assert_eq!(number("reused_tokens") * 4 > prompts, reuse, "{mode}");
        assert_eq!(number("peak_running") > 1, mode["concurrent"] == true, "{mode}");
    }

    let drafting = bench(folder.path(), &[&args[..], &["--draft-tokens", "8"]].concat());
    let drafting: Value = serde_json::from_slice(&drafting.stdout).unwrap();
    for (with, without) in drafting["modes"].as_array().unwrap().iter().zip(modes) {
        let number = |mode: &Value, key: &str| mode[key].as_u64().unwrap();
        assert!(number(with, "drafted_tokens") >= number(with, "accepted_tokens"), "{with}");
        assert!(number(with, "accepted_tokens") > 0 && number(with, "steps") < number(without, "steps"), "{with}");
        assert_eq!(number(with, "decoded_tokens"), number(without, "decoded_tokens"));
    }

    for senseless in [
        &["--workload", "maspo", "--batch", "4"][..],
        &["--workload", "maspo", "--new-tokens", "4"],
        &["--workload", "maspo", "--queries", "11"],
        &["--workload", "maspo", "--rounds", "0"],
        &["--workload", "maspo", "--kv-tokens", "1000"],
        &["--workload", "other"],
        &["--workload", "maspo", "--draft-tokens", "65"],
        &["--rounds", "2"],
        &["--draft-tokens", "2"],
        &["--draft-rows", "8"],
        &["--requests", "nowhere.jsonl"],
        &["--requests", "in.jsonl", "--workload", "maspo"],
        &["--requests", "in.jsonl", "--against", "f32"],
    ] {
        let ran = bench(folder.path(), senseless);
        assert_eq!((ran.status.code(), ran.stdout.len()), (Some(2), 0), "{senseless:?}");
        assert!(!ran.stderr.is_empty(), "{senseless:?}");
    }
}

#[test]
fn requests_are_answered_with_drafts_and_without() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("model")).unwrap();
    TinyModel::default().write(&folder.path().join("model"));
    let line = |text: &str| json!({"kind": "probe", "messages": [{"role": "user", "content": text}]}).to_string();
    let lines = ["one two three", "who is it?", "the capital of France"].map(line).join("\n");
    std::fs::write(folder.path().join("in.jsonl"), lines).unwrap();

    let args = ["--requests", "in.jsonl", "--batch", "1,3", "--new-tokens", "60", "--draft-tokens", "4"];
    let more = ["--draft-rows", "8,32", "--rounds", "2", "--threads", "1", "--json"];
    let ran = bench(folder.path(), &[&args[..], &more].concat());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let object: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&object["command"], &object["requests"], &object["rounds"]), (&json!("bench"), &json!(3), &json!(2)));
    let ways = object["ways"].as_array().unwrap();
    let number = |way: &Value, key: &str| way[key].as_u64().unwrap();
    let found: Vec<[u64; 3]> =
        ways.iter().map(|way| ["batch", "draft_tokens", "draft_rows"].map(|key| number(way, key))).collect();
    assert_eq!(found, [[1, 0, 8], [1, 4, 8], [1, 4, 32], [3, 0, 8], [3, 4, 8], [3, 4, 32]]);
    for way in ways {
        let drafts = number(way, "draft_tokens") > 0;
        assert_eq!(number(way, "decoded_tokens"), number(&ways[0], "decoded_tokens"), "{way}");
        assert_eq!(number(way, "drafted_tokens") > 0, drafts, "{way}");
        let alone = number(way, "batch") == 1;
        // With a single sequence, each accepted draft token saves one step.
        let saved = number(&ways[0], "steps") - number(way, "steps");
        assert!(!alone || saved == number(way, "accepted_tokens"), "{way}");
    }

    std::fs::write(folder.path().join("in.jsonl"), "{\"messages\": []}\n{}\n").unwrap();
    let ran = bench(folder.path(), &["--requests", "in.jsonl", "--rounds", "1"]);
    assert_eq!(ran.status.code(), Some(2));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("in.jsonl:2: missing field `messages`"), "{said}");
}
