//! Faults of what the file describes: graph, models, data.

use super::super::{ModelCheck, ModelPlace, load};
use super::fixture::{GOOD, check, folder, load_text, shown};
use crate::chat::ModelRole;
use crate::engine::ModelSource;
use expect_test::expect;

#[test]
fn graphs_are_checked() {
    check(
        "topology = \"sequential\"",
        "",
        &[],
        expect![[r#"
            x.toml:6: the graph has 2 terminal agents (extract, decide); exactly one may have no successor
            x.toml:15: agent `decide`: the prompt has {context}, but this agent receives nothing that could fill it
        "#]],
    );
    check(
        "topology = \"sequential\"",
        "[[edge]]\nfrom = \"extract\"\nto = \"decide\"\n[[edge]]\nfrom = \"decide\"\nto = \"extract\"",
        &[],
        expect![[r#"
            x.toml:7: the graph has a cycle: extract -> decide -> extract
            x.toml:16: agent `extract`: the prompt lacks {context}
        "#]],
    );
    check(
        "topology = \"sequential\"",
        "[[edge]]\nfrom = \"extrakt\"\nto = \"decide\"\nview = \"all\"",
        &[],
        expect![[r#"
            x.toml:8: `edge.1.from` is "extrakt", which is no agent; did you mean `extract`?
            x.toml:10: `edge.1.view` is "all"; it can be `raw`, `extracted`, `summary`
        "#]],
    );
    check(
        "List the signals of {question}",
        "List the signals",
        &[],
        expect![[r#"
        x.toml:11: agent `extract`: the prompt lacks {question}
    "#]],
    );
    check(
        "prompt = { file = \"decide.txt\" }",
        "prompt = \"Decide <answer> {question}\"",
        &[],
        expect![[r#"
        x.toml:15: agent `decide`: the prompt lacks {context}
    "#]],
    );
    check(
        "name = \"decide\"",
        "name = \"extract\"",
        &[],
        expect![[r#"
        x.toml:13: two agents are named `extract`
    "#]],
    );
    check(
        "decide.txt",
        "nowhere.txt",
        &[],
        expect![[r#"
            x.toml:15: `agent.decide.prompt.file` cannot be read: nowhere.txt: no such file
        "#]],
    );
    check(
        "<answer>\"]",
        "<reply>\"]",
        &[],
        expect![[r#"
        x.toml:15: agent `decide`: the frozen passage "<reply>" does not stand in the prompt
    "#]],
    );
    check(
        "\"sequential\"",
        "\"debate\"",
        &[],
        expect![[r#"
        x.toml:6: `graph.debaters` is missing; how many agents debate in each round
    "#]],
    );
    check(
        "\"sequential\"",
        "\"debate\"\ndebaters = 2",
        &[],
        expect![[r#"
        x.toml:8: `graph.debaters` is 2, but 2 agents are not 2 per round and a moderator
    "#]],
    );
    check(
        "\"sequential\"",
        "\"sequential\"\ndebaters = 2",
        &[],
        expect![[r#"
        x.toml:8: `graph.debaters` is for `topology = "debate"` only
    "#]],
    );
    check(
        "[data]",
        "[[edge]]\nfrom = \"extract\"\nto = \"decide\"\n[data]",
        &[],
        expect![[r#"
        x.toml:7: `graph.topology` and [[edge]] both say what the edges are; keep one of them
    "#]],
    );
    check(
        "",
        "",
        &["agent.extract.optimize=false", "agent.2.optimize=false"],
        expect![[r#"
        x.toml:8: `agent` leaves nothing to optimize: set `optimize = true` for at least one agent
    "#]],
    );
}

#[test]
fn models_are_looked_for() {
    check(
        "embedded:triage",
        "embedded:chess",
        &[],
        expect![[r#"
            x.toml:5: `model.path` is "embedded:chess": there is no embedded model `chess`; there is `embedded:triage`
        "#]],
    );
    check(
        "embedded:triage",
        "qwen",
        &[],
        expect![[r#"
        x.toml:5: `model.path` names no folder and no .gguf file: qwen does not exist
    "#]],
    );
    check(
        "embedded:triage",
        "pool.jsonl",
        &[],
        expect![[r#"
        x.toml:5: `model.path` names a file that is neither a folder nor a .gguf file: pool.jsonl
    "#]],
    );
    check(
        "embedded:triage",
        ".",
        &[],
        expect![[r#"
        x.toml:5: `model.path` names ., which lacks config.json, tokenizer.json, model.safetensors (or model.safetensors.index.json, or one .gguf file alone)
    "#]],
    );
    check(
        "path = \"embedded:triage\"",
        "dtype = \"f33\"\n[model.judge]\npath = \"embedded:triage\"",
        &[],
        expect![[r#"
            x.toml:4: `model.path` is missing; the folder of a Qwen3 model, or `embedded:triage`
            x.toml:5: `model.dtype` is "f33"; did you mean `f32`?
        "#]],
    );
    let folder = folder();
    let text = GOOD.replace("[graph]", "[model.judge]\npath = \"qwen\"\n[graph]");
    expect![[r#"
        x.toml:7: `model.judge.path` names no folder and no .gguf file: qwen does not exist
    "#]]
    .assert_eq(&shown(&folder, load_text(&folder, &text, &[])));
    let path = folder.path().join("x.toml");
    let settings = load(&path, &[], false, ModelCheck::None).unwrap();
    assert_eq!(
        settings.model(ModelRole::Judge).place,
        ModelPlace::Local(ModelSource::Folder(folder.path().join("qwen")))
    );
    assert_eq!(settings.model(ModelRole::Worker).place, ModelPlace::Local(ModelSource::Embedded("triage")));
}

#[test]
fn data_is_checked() {
    check(
        "pool.jsonl",
        "empty.jsonl",
        &[],
        expect![[r#"
        x.toml:19: `data.pool.file`: cannot read empty.jsonl: no such file
    "#]],
    );
    check(
        "pool.jsonl",
        "decide.txt",
        &[],
        expect![[r#"
        decide.txt:1: not JSON: expected value (column 1)
    "#]],
    );
    check(
        "\"test.jsonl\"",
        "\"twice.jsonl\"",
        &[],
        expect![[r#"
        twice.jsonl:2: the id `k` is already that of line 1
    "#]],
    );
    check(
        "\"gold\", id",
        "\"gold\", question = [], id",
        &[],
        expect![[r#"
        x.toml:20: `data.test.question` names no field
    "#]],
    );
    check(
        "\"human\", \"scraper\"",
        "\"human\", \"robot\"",
        &[],
        expect![[r#"
        test.jsonl:2: the answer "scraper" is not one of the labels (human, robot)
    "#]],
    );
    check(
        "\"human\", \"scraper\"",
        "\"Human\", \"human \"",
        &[],
        expect![[r#"
        x.toml:23: `eval.labels` holds "human ", which is empty or stands twice
        test.jsonl:2: the answer "scraper" is not one of the labels (Human, human )
    "#]],
    );
    check(
        "scorer = \"label\"",
        "scorer = \"letter\"",
        &[],
        expect![[r#"
            x.toml:23: `eval.labels` is for `scorer = "label"` only
            test.jsonl:1: the answer "human" is not a letter from A to J
            test.jsonl:2: the answer "scraper" is not a letter from A to J
        "#]],
    );
    check(
        "scorer = \"label\"\nlabels = [\"human\", \"scraper\"]",
        "",
        &[],
        expect![[r#"
            x.toml:21: `eval.scorer` is missing; labelled data needs a scorer: `label`, `letter`, `text`, `math`, `number`, `regex`, `json` or `code`
        "#]],
    );
    check(
        "labels = [\"human\", \"scraper\"]",
        "",
        &[],
        expect![[r#"
        x.toml:21: `eval.labels` is missing; the `label` scorer needs the allowed answers, e.g. labels = ["yes", "no"]
    "#]],
    );
    check(
        "pool = { file = \"pool.jsonl\" }\n",
        "",
        &[],
        expect![[r#"
        x.toml:18: `data.pool` is missing; pool = { file = "…" } names the queries to optimize on
    "#]],
    );
    check(
        "pool = { file = \"pool.jsonl\"",
        "pool = { file = \"pool.jsonl\", limit = 0, skip = 9",
        &[],
        expect![[r#"
            x.toml:19: `data.pool.limit` is 0; it must be at least 1
        "#]],
    );
    check(
        "batch = 2",
        "batch = 3",
        &[],
        expect![[r#"
            warning: `agent.extract.max_new_tokens` is not set; its default is 4096, and the model's context has 1024 tokens for prompt and answer together: the worker cannot answer
            warning: `propose.max_new_tokens` is not set; its default is 4096, and the model's context has 1024 tokens for prompt and answer together: the optimizer cannot answer
            warning: the pool has 2 queries, fewer than `search.batch` = 3: every step uses all of them
        "#]],
    );
}

#[test]
fn sets_must_not_overlap() {
    check(
        "pool.jsonl",
        "test.jsonl",
        &[],
        expect![[r#"
        `data.pool` and `data.test` share 2 rows: test.jsonl:1 (id `1`) = test.jsonl:1 (id `3`), test.jsonl:2 (id `2`) = test.jsonl:2 (id `4`)
    "#]],
    );
    let train = "train = { file = \"train.jsonl\", answer = \"gold\", id = \"id\" }\ntest =";
    check(
        "test =",
        train,
        &[],
        expect![[r#"
        warning: `agent.extract.max_new_tokens` is not set; its default is 4096, and the model's context has 1024 tokens for prompt and answer together: the worker cannot answer
        warning: `propose.max_new_tokens` is not set; its default is 4096, and the model's context has 1024 tokens for prompt and answer together: the optimizer cannot answer
    "#]],
    );
    check(
        "test =",
        &train.replace("train.jsonl", "test.jsonl"),
        &[],
        expect![[r#"
        `data.train` and `data.test` share 2 rows: test.jsonl:1 (id `3`) = test.jsonl:1 (id `3`), test.jsonl:2 (id `4`) = test.jsonl:2 (id `4`)
    "#]],
    );
    // The pool's rows are numbered by line and the test's by id, so equal numbers mean nothing. A
    // set takes from the pool what it does not say itself, so two parts of one file are two sets.
    let folder = folder();
    let text = GOOD
        .replace("\"pool.jsonl\"", "\"test.jsonl\", limit = 1")
        .replace("file = \"test.jsonl\", answer", "skip = 1, answer");
    let settings = load_text(&folder, &text, &[]).unwrap();
    assert_eq!((settings.pool.len(), settings.split("test").unwrap().len()), (1, 1));
}

#[test]
fn answers_must_be_shorter_than_the_context() {
    let long = |key: &str| format!("{key} is 1024; the model's context has 1024 tokens for prompt and answer together");
    check(
        "= 16",
        "= 1023",
        &["judge.max_new_tokens=1023", "propose.max_new_tokens=1023"],
        expect![[r#"
        warning: `agent.extract.max_new_tokens` is not set; its default is 4096, and the model's context has 1024 tokens for prompt and answer together: the worker cannot answer
    "#]],
    );
    for (key, from, to, sets) in [
        ("x.toml:16: `agent.decide.max_new_tokens`", "= 16", "= 1024", &[][..]),
        ("--set judge.max_new_tokens=1024: `judge.max_new_tokens`", "", "", &["judge.max_new_tokens=1024"]),
        ("--set propose.max_new_tokens=1024: `propose.max_new_tokens`", "", "", &["propose.max_new_tokens=1024"]),
    ] {
        let folder = folder();
        let outcome = load_text(&folder, &GOOD.replacen(from, to, 1), sets);
        assert_eq!(shown(&folder, outcome), format!("{}\n", long(key)));
    }
}

#[test]
fn further_judges_have_the_keys_of_a_role_and_none_counts_twice() {
    let folder = folder();
    let judges = "[[model.judges]]\npath = \"embedded:triage\"\ndtype = \"q8_0\"\ntemperature = 0.5\n[graph]";
    let settings = load_text(&folder, &GOOD.replacen("[graph]", judges, 1), &[]).unwrap();
    let [judge] = settings.more_judges() else { panic!("there is one") };
    assert_eq!(judge.place, ModelPlace::Local(ModelSource::Embedded("triage")));
    assert_eq!((judge.decoding.temperature, settings.options.judge.models), (Some(0.5), 2));
    assert_ne!(settings.digest(), load_text(&folder, GOOD, &[]).unwrap().digest());
    check(
        "[graph]",
        "[[model.judges]]\n[graph]",
        &[],
        expect![[r#"
        x.toml:6: `model.judges` has embedded:triage twice among the judges; name another model, or it would count twice
    "#]],
    );
    check(
        "[graph]",
        "[[model.judges]]\n[[model.judges]]\npth = \"x\"\n[graph]",
        &[],
        expect![[r#"
            x.toml:8: unknown key `model.judges.2.pth`; did you mean `path`?
        "#]],
    );
    check(
        "[graph]",
        "[model.judges]\npath = \"x\"\n[graph]",
        &[],
        expect![[r#"
        x.toml:6: `model.judges` is a table; a list of tables is needed: [[model.judges]]
    "#]],
    );
}
