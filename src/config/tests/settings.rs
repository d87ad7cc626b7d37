//! Tests of what a valid file comes to: settings, flags, digest, prompts.

use super::super::{ModelPlace, Settings, read_prompts, write_prompts};
use super::fixture::{GOOD, check, folder, load_text};
use crate::base::AgentId;
use crate::chat::{Decoding, ModelRole};
use crate::engine::ModelSource;
use expect_test::{Expect, expect};
use std::fs;

#[test]
fn a_sound_experiment_is_read_in_full() {
    let folder = folder();
    let settings = load_text(&folder, GOOD, &[]).unwrap();
    assert_eq!((settings.name.as_str(), settings.seed.0), ("triage", 7));
    let decide = settings.graph.agent(AgentId(1));
    assert_eq!((decide.max_new_tokens, decide.frozen.len(), decide.optimize), (16, 1, true));
    assert!(decide.seed_prompt.text().ends_with("</answer>?"), "the line break at a file's end is not the prompt's");
    assert_eq!(settings.graph.agent(AgentId(0)).max_new_tokens, 4096);
    assert_eq!(settings.graph.edges().len(), 1);
    assert_eq!(settings.pool.iter().map(|query| query.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let test = settings.split("test").unwrap();
    assert_eq!(test.iter().map(|case| case.query.id.as_str()).collect::<Vec<_>>(), ["3", "4"]);
    assert_eq!(settings.split("train"), None);
    assert_eq!((settings.options.search.batch, settings.options.search.rounds), (2, 3));
    assert_eq!(settings.model(ModelRole::Judge).place, ModelPlace::Local(ModelSource::Embedded("triage")));
    // The defaults of these two do not fit into the embedded model's context.
    let warnings = settings.warnings.join("\n");
    expect![[r#"
        `agent.extract.max_new_tokens` is not set; its default is 4096, and the model's context has 1024 tokens for prompt and answer together: the worker cannot answer
        `propose.max_new_tokens` is not set; its default is 4096, and the model's context has 1024 tokens for prompt and answer together: the optimizer cannot answer"#]].assert_eq(&warnings);
}

#[test]
fn a_gate_that_can_show_nothing_is_warned_of_and_the_default_is_no_other_experiment() {
    let folder = folder();
    let load = |sets: &[&str]| load_text(&folder, GOOD, sets).unwrap();
    let plain = load(&[]);
    assert_eq!(load(&["search.gate=\"final\"", "search.gate_alpha=0.05"]).digest(), plain.digest());
    let gated = load(&["search.gate=\"anytime\"", "search.batch=1"]);
    assert_ne!(gated.digest(), plain.digest());
    let warned = |settings: &Settings| -> Vec<String> {
        settings.warnings.iter().filter(|warning| warning.contains("gate")).cloned().collect()
    };
    assert!(warned(&plain).is_empty());
    expect![[r#"
        the gate's part of the pool is 1, and at `search.gate_alpha` = 0.05 it shows nothing with fewer than 7 queries, so the seed prompts are kept: add queries to the pool, or raise `search.gate_queries`"#]].assert_eq(&warned(&gated).join("\n"));
    let other = load(&["search.gate=\"anytime\"", "method=\"spo\""]);
    expect![[r#"
        `search.gate` = "anytime" is for the method `maspo`; this one ends without a gate
        the pool has 1 query beside the 1 of the gate, fewer than `search.batch` = 2: every step uses all of them"#]]
    .assert_eq(&warned(&other).join("\n"));
    check(
        "schema = 1",
        "schema = 1",
        &["search.gate=\"never\"", "search.gate_alpha=0", "search.gate_queries=0"],
        expect![[r#"
            --set search.gate="never": `search.gate` is "never"; it can be `final`, `anytime`
            --set search.gate_alpha=0: `search.gate_alpha` is 0; it must be between 0.000001 and 0.5
            --set search.gate_queries=0: `search.gate_queries` is 0; it must be at least 1
        "#]],
    );
}

#[test]
fn each_role_decodes_as_it_says_or_as_all_roles_do() {
    let folder = folder();
    let plain = load_text(&folder, GOOD, &[]).unwrap();
    let sets = [
        "model.thinking=true",
        "model.temperature=0.6",
        "model.top_k=20",
        "model.optimizer.top_p=0.95",
        "model.judge.thinking=false",
        "model.judge.temperature=0",
        "model.worker.max_thinking_tokens=16",
    ];
    let settings = load_text(&folder, GOOD, &sets).unwrap();
    let of = |role| settings.model(role).decoding;
    let shared = Decoding { temperature: Some(0.6), top_k: Some(20), ..Decoding::default() };
    assert_eq!(of(ModelRole::Worker), Decoding { max_thinking_tokens: Some(16), ..shared });
    // The optimizer has a temperature otherwise: `propose.temperature`.
    assert_eq!(of(ModelRole::Optimizer), Decoding { temperature: None, top_p: Some(0.95), ..shared });
    assert_eq!(of(ModelRole::Judge), Decoding { temperature: Some(0.0), ..shared });
    assert_eq!(ModelRole::ALL.map(|role| settings.model(role).thinking), [true, true, false]);
    assert_ne!(settings.digest(), plain.digest());
    assert_eq!(
        settings.warnings.last().map(String::as_str),
        Some(
            "`max_thinking_tokens` of the worker is 16, not less than `max_new_tokens` of the agent decide = 16: a \
             long thought leaves no answer"
        )
    );
    check(
        "path = \"embedded:triage\"",
        "path = \"embedded:triage\"\ntop_p = 1.5",
        &[],
        expect![[r#"
        x.toml:6: `model.top_p` is 1.5; it must be between 0 and 1
    "#]],
    );
}

#[test]
fn flags_change_settings_and_are_named_in_faults() {
    let folder = folder();
    let sets = [
        "search.rounds=1",
        "name=other",
        "agent.decide.max_new_tokens = 9",
        "reward.local=1",
        "eval.labels=[\"human\", \"scraper\", \"x\"]",
    ];
    let settings = load_text(&folder, GOOD, &sets).unwrap();
    assert_eq!(
        (settings.name.as_str(), settings.options.search.rounds, settings.options.search.batch),
        ("other", 1, 2)
    );
    assert_eq!(settings.graph.agent(AgentId(1)).max_new_tokens, 9);
    assert_eq!(settings.options.reward.local, 1.0);
    check(
        "",
        "",
        &["search.batsh=3", "serch.batch=3", "search.batch=x", "name.x=1", "agent.foo.role=r", "=1"],
        expect![[r#"
            --set name.x=1: `name` is no table, so it has no `x`
            --set agent.foo.role=r: `agent` has no `foo`
            --set =1: the form is KEY.PATH=VALUE, e.g. search.rounds=2
            --set search.batch=x: `search.batch` is the text "x"; a whole number of 0 or more is needed
            --set search.batsh=3: unknown key `search.batsh`; did you mean `batch`?
            --set serch.batch=3: unknown key `serch`; did you mean `search`?
        "#]],
    );
    check(
        "",
        "",
        &["data.pool.file=/nowhere/pool.jsonl", "model.path=/nowhere/qwen"],
        expect![[r#"
        --set model.path=/nowhere/qwen: `model.path` names no folder and no .gguf file: /nowhere/qwen does not exist
        --set data.pool.file=/nowhere/pool.jsonl: `data.pool.file`: cannot read /nowhere/pool.jsonl: no such file
    "#]],
    );
}

#[test]
fn the_digest_covers_what_changes_results_and_nothing_else() {
    let folder = folder();
    let digest = |text: &str, sets: &[&str]| load_text(&folder, text, sets).unwrap().digest();
    let base = digest(GOOD, &[]);
    for sets in [["name=x"], ["rollout.max_in_flight=3"], ["engine.threads=1"], ["search.batch=2"]] {
        assert_eq!(digest(GOOD, &sets), base, "{sets:?}");
    }
    for sets in
        [["seed=8"], ["search.batch=1"], ["agent.extract.role=Other."], ["graph.view=extracted"], ["data.pool.limit=1"]]
    {
        assert_ne!(digest(GOOD, &sets), base, "{sets:?}");
    }
    fs::write(folder.path().join("pool.jsonl"), "{\"question\": \"one\"}\n{\"question\": \"other\"}\n").unwrap();
    assert_ne!(digest(GOOD, &[]), base);
}

#[test]
fn prompts_files_are_written_read_and_checked() {
    let folder = folder();
    let graph = load_text(&folder, GOOD, &[]).unwrap().graph;
    let path = folder.path().join("prompts.json");
    let seed = crate::rollout::Prompts::seed(&graph);
    write_prompts(&path, &graph, &seed).unwrap();
    assert_eq!(read_prompts(&path, &graph, 1000).unwrap(), seed);
    fs::write(&path, format!("\u{feff}{}", fs::read_to_string(&path).unwrap())).unwrap();
    assert_eq!(read_prompts(&path, &graph, 1000).unwrap(), seed);
    let check = |text: &str, expected: Expect| {
        fs::write(&path, text).unwrap();
        let errors = read_prompts(&path, &graph, 1000).unwrap_err();
        let text: String = errors.iter().map(|error| format!("{error}\n")).collect();
        expected.assert_eq(&text.replace(&format!("{}/", folder.path().display()), ""));
    };
    check(
        "{\"extract\": \"no slot\", \"decid\": \"x\"}",
        expect![[r#"
        prompts.json: agent `extract`: the prompt lacks {question}
        prompts.json: the graph has no agent `decid`; did you mean `decide`?
        prompts.json: there is no prompt for the agent `decide`
    "#]],
    );
    check(
        "{\"extract\": \"{question}\",\n \"extract\": \"x {question}\"}",
        expect![[r#"
        prompts.json: agent `extract`: the prompt is empty
        prompts.json: the agent `extract` stands twice
        prompts.json: there is no prompt for the agent `decide`
    "#]],
    );
    check(
        "{\"extract\": 3}",
        expect![[r#"
        prompts.json:1:13: invalid type: integer `3`, expected a string
    "#]],
    );
    check(
        "[]",
        expect![[r#"
        prompts.json:1:0: invalid type: sequence, expected an object from agent names to prompts
    "#]],
    );
    fs::remove_file(&path).unwrap();
    let errors = read_prompts(&path, &graph, 1000).unwrap_err();
    assert!(errors[0].to_string().ends_with("prompts.json: no such file"), "{}", errors[0]);
}

#[test]
fn marks_of_editors_are_no_part_of_a_prompt() {
    let folder = folder();
    let text = "\u{feff}Given {context}.\r\nEnd with:\r\n<answer>A</answer>\r\n";
    fs::write(folder.path().join("decide.txt"), text).unwrap();
    let inline = "\"\"\"List\r\nthe \\uFEFFsignals of\\r\\n{question}\"\"\"";
    for frozen in ["End with:\\n<answer>A</answer>", "End with:\\r\\n<answer>A</answer>"] {
        let text = GOOD
            .replace("\"List the signals of {question}\"", inline)
            .replace("frozen = [\"<answer>\"]", &format!("frozen = [\"{frozen}\"]"));
        let settings = load_text(&folder, &text, &[]).unwrap_or_else(|errors| panic!("{errors:?}"));
        let prompts: Vec<&str> = settings.graph.agents().iter().map(|agent| agent.seed_prompt.text()).collect();
        let expected = ["List\nthe signals of\n{question}", "Given {context}.\nEnd with:\n<answer>A</answer>"];
        assert_eq!(prompts, expected);
    }
    // The prompts of a file are read alike.
    let graph = load_text(&folder, &GOOD.replace("frozen = [\"<answer>\"]", ""), &[]).unwrap().graph;
    let path = folder.path().join("p.json");
    fs::write(&path, r#"{"extract": "Do\r\n{question}", "decide": "\ufeffGiven {context}"}"#).unwrap();
    let prompts = read_prompts(&path, &graph, 1000).unwrap();
    let texts: Vec<&str> = prompts.iter().map(|(_, prompt)| prompt.text()).collect();
    assert_eq!(texts, ["Do\n{question}", "Given {context}"]);
}
