//! The reader of experiment files, fault by fault.

use super::*;
use crate::base::AgentId;
use crate::chat::ModelRole;
use crate::engine::ModelSource;
use expect_test::{Expect, expect};
use std::fs;

/// A sound experiment, four lines of which tests change.
const GOOD: &str = r#"schema = 1
name = "triage"
seed = 7
[model]
path = "embedded:triage"
[graph]
topology = "sequential"
[[agent]]
name = "extract"
role = "Lists the signals."
prompt = "List the signals of {question}"
[[agent]]
name = "decide"
role = "Decides."
prompt = { file = "decide.txt" }
max_new_tokens = 16
frozen = ["<answer>"]
[data]
pool = { file = "pool.jsonl" }
test = { file = "test.jsonl", answer = "gold", id = "id" }
[eval]
scorer = "label"
labels = ["human", "scraper"]
[search]
batch = 2
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("decide.txt", "Given {context}, is {question} <answer>human</answer> or <answer>scraper</answer>?\n");
    write("pool.jsonl", "{\"question\": \"one\"}\n{\"question\": \"two\"}\n");
    write("train.jsonl", "{\"id\": 5, \"question\": \"five\", \"gold\": \"human\"}\n");
    write(
        "test.jsonl",
        "{\"id\": 3, \"question\": \"three\", \"gold\": \"human\"}\n{\"id\": 4, \"question\": \"four\", \"gold\": \"scraper\"}\n",
    );
    write(
        "twice.jsonl",
        "{\"id\": \"k\", \"question\": \"a\", \"gold\": \"human\"}\n{\"id\": \"k\", \"question\": \"b\", \"gold\": \"human\"}\n",
    );
    folder
}

fn load_text(folder: &tempfile::TempDir, text: &str, sets: &[&str]) -> Result<Settings, Vec<ConfigError>> {
    let path = folder.path().join("x.toml");
    fs::write(&path, text).unwrap();
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    load(&path, &sets, false, ModelCheck::Files)
}

fn shown(folder: &tempfile::TempDir, outcome: Result<Settings, Vec<ConfigError>>) -> String {
    let text: String = match outcome {
        Ok(settings) => settings.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect(),
        Err(errors) => errors.iter().map(|error| format!("{error}\n")).collect(),
    };
    text.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn the_documentation_names_every_option() {
    use super::fields::field_names;
    let docs = include_str!("../../docs/config.md");
    let sections = [
        ("search", field_names::<crate::search::SearchOptions>()),
        ("reward", field_names::<crate::reward::RewardOptions>()),
        ("judge", field_names::<crate::judge::JudgeOptions>()),
        ("misalignment", field_names::<crate::misalignment::MisalignmentOptions>()),
        ("propose", field_names::<crate::propose::ProposeOptions>()),
        ("rollout", field_names::<crate::rollout::RolloutOptions>()),
        ("engine", field_names::<crate::engine::EngineOptions>()),
    ];
    for (section, names) in sections {
        let text = docs.split("\n## ").find(|text| text.starts_with(&format!("`[{section}]`"))).expect(section);
        for name in names {
            assert!(text.contains(&format!("\n| `{name}` |")), "{section}.{name}");
        }
    }
}

/// The faults of the sound experiment after replacing one text by another, and with flags.
#[track_caller]
fn check(from: &str, to: &str, sets: &[&str], expected: Expect) {
    assert!(GOOD.contains(from), "{from}");
    let folder = folder();
    let outcome = load_text(&folder, &GOOD.replacen(from, to, 1), sets);
    expected.assert_eq(&shown(&folder, outcome));
}

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
    assert_eq!(settings.model(ModelRole::Judge).source, ModelSource::Embedded("triage"));
    assert!(settings.warnings.is_empty());
}

#[test]
fn syntax_errors_have_line_and_column() {
    check(
        "seed = 7",
        "seed = = 7",
        &[],
        expect![[r#"
            x.toml:3:8: extra `=`, expected nothing
        "#]],
    );
    check(
        "[graph]",
        "[graph",
        &[],
        expect![[r#"
            x.toml:6:7: unclosed table, expected `]`
        "#]],
    );
    check(
        "seed = 7",
        "seed = 7\nseed = 8",
        &[],
        expect![[r#"
        x.toml:4:1: duplicate key
    "#]],
    );
}

#[test]
fn the_schema_comes_first() {
    check(
        "schema = 1",
        "",
        &[],
        expect![[r#"
            x.toml:1: `schema` is missing; this program reads `schema = 1`, at the top of the file
        "#]],
    );
    check(
        "schema = 1\nname",
        "schema = 2\nnaem",
        &[],
        expect![[r#"
            x.toml:1: the schema is 2; this program reads `schema = 1`
        "#]],
    );
    check(
        "schema = 1",
        "schema = \"1\"",
        &[],
        expect![[r#"
            x.toml:1: the schema is the text "1"; this program reads `schema = 1`
        "#]],
    );
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    check(
        "batch = 2",
        "bach = 2",
        &[],
        expect![[r#"
        x.toml:25: unknown key `search.bach`; did you mean `batch`?
    "#]],
    );
    check(
        "[search]",
        "[serach]",
        &[],
        expect![[r#"
        x.toml:24: unknown key `serach`; did you mean `search`?
    "#]],
    );
    check(
        "max_new_tokens",
        "colour",
        &[],
        expect![[r#"
            x.toml:16: unknown key `agent.decide.colour`; known are `frozen`, `max_new_tokens`, `name`, `optimize`, `prompt`, `role`
        "#]],
    );
    check(
        "answer = \"gold\"",
        "answr = \"gold\"",
        &[],
        expect![[r#"
            x.toml:20: unknown key `data.test.answr`; did you mean `answer`?
        "#]],
    );
    check(
        "pool = {",
        "pool = { answer = \"a\",",
        &[],
        expect![[r#"
        x.toml:19: `data.pool.answer` does not belong here: the pool is unlabelled, the search never sees an answer
    "#]],
    );
}

#[test]
fn values_of_a_wrong_type_or_out_of_range_are_named() {
    check(
        "batch = 2",
        "batch = \"two\"",
        &[],
        expect![[r#"
        x.toml:25: `search.batch` is the text "two"; a whole number of 0 or more is needed
    "#]],
    );
    check(
        "batch = 2",
        "batch = -1",
        &[],
        expect![[r#"
        x.toml:25: `search.batch` is the number -1; a whole number of 0 or more is needed
    "#]],
    );
    check(
        "batch = 2",
        "batch = 0\nsteps = 1.5\nrefresh = 1\nschedule = \"interleafed\"",
        &[],
        expect![[r#"
        x.toml:25: `search.batch` is 0; it must be at least 1
        x.toml:26: `search.steps` is the number 1.5; a whole number of 0 or more is needed
        x.toml:27: `search.refresh` is the number 1; true or false is needed
        x.toml:28: `search.schedule` is "interleafed"; did you mean `interleaved`?
    "#]],
    );
    check(
        "[search]",
        "[judge]\nmode = \"vote\"\ntie_band = -0.5\nmin_letter_mass = 2\n[search]",
        &[],
        expect![[r#"
        x.toml:25: `judge.mode` is "vote"; it can be `logit`, `text`, `coin`
        x.toml:26: `judge.tie_band` is -0.5; it must not be negative
        x.toml:27: `judge.min_letter_mass` is 2; it must be 0 to 1
    "#]],
    );
    check(
        "[search]",
        "[reward]\nlocal = 0\nlookahead = 0.0\nglobal = 0\n[search]",
        &[],
        expect![[r#"
        x.toml:25: `reward.local` and `lookahead` and `global` are all 0; at least one must be positive
    "#]],
    );
    check(
        "[search]",
        "[reward]\nlocal = nan\nlookahead_depth = 4\n[search]",
        &[],
        expect![[r#"
            x.toml:25: `reward.local` is the number nan, which is not finite
            x.toml:26: `reward.lookahead_depth` is 4; it must be 1 to 3
        "#]],
    );
    check(
        "[search]",
        "[propose]\ntemperature = -1\nexcerpt_bytes = 0\n[search]",
        &[],
        expect![[r#"
        x.toml:25: `propose.temperature` is -1; it must not be negative
        x.toml:26: `propose.excerpt_bytes` is 0; it must be at least 1
    "#]],
    );
    check(
        "[search]",
        "[misalignment]\nshown = 70\n[search]",
        &[],
        expect![[r#"
        x.toml:24: `misalignment.capacity` is 64, fewer than the 70 cases that `shown` asks for
    "#]],
    );
    check(
        "[search]",
        "[rollout]\nsummary_words = 0\n[engine]\nblock_tokens = 20\nthreads = 0\n[search]",
        &[],
        expect![[r#"
            x.toml:25: `rollout.summary_words` is 0; it must be at least 1
            x.toml:27: `engine.block_tokens` is 20; it must be 16, 32 or 64
            x.toml:28: `engine.threads` is 0; it must be at least 1
        "#]],
    );
    check(
        "name = \"triage\"",
        "name = \"a/b\"",
        &[],
        expect![[r#"
        x.toml:2: `name` is "a/b"; it names the run's folder: letters, digits, `-`, `_` and `.`, 100 bytes at most
    "#]],
    );
    check(
        "seed = 7",
        "seed = 99999999999999999999",
        &[],
        expect![[r#"
            x.toml:3: `seed` is the number 99999999999999999999, which does not fit 64 bits
        "#]],
    );
    check(
        "seed = 7",
        "seed = 2020-01-01",
        &[],
        expect![[r#"
            x.toml:3: `seed` is the date 2020-01-01, which no setting takes
        "#]],
    );
    check(
        "",
        "",
        &["graph=3", "agent=[]", "data=x"],
        expect![[r#"
        x.toml:1: `agent` is missing; the graph has no agents: add an [[agent]] with name, role and prompt
        --set graph=3: `graph` is the number 3; a table is needed
        --set data=x: `data` is the text "x"; a table is needed
    "#]],
    );
}

#[test]
fn everything_is_said_at_once() {
    let folder = folder();
    let text = "[model]\n[graph]\ntopology = \"ring\"\n[[agent]]\nname = \"a\"\nprompt = \"\"\n[[edge]]\nfrom = \"a\"\nto = \"b\"\n\
                [data]\npool = { file = \"nowhere.jsonl\" }\ntest = { file = \"test.jsonl\" }\n[search]\nbeam = 0\nx = 1\n";
    expect![[r#"
        x.toml:1: `schema` is missing; this program reads `schema = 1`, at the top of the file
        x.toml:1: `model.path` is missing; the folder of a Qwen3 model, or `embedded:triage`
        x.toml:1: `eval.scorer` is missing; labelled data needs a scorer: `label`, `letter` or `text`
        x.toml:3: `graph.topology` is "ring"; it can be `sequential`, `hierarchical`, `debate`
        x.toml:4: `agent.a.role` is missing; one or two sentences on what the agent is for; the judge judges by it
        x.toml:6: `agent.a.prompt` is empty
        x.toml:9: `edge.1.to` is "b", which is no agent; did you mean `a`?
        x.toml:11: `data.pool.file`: cannot read nowhere.jsonl: no such file
        x.toml:14: `search.beam` is 0; it must be at least 1
        x.toml:15: unknown key `search.x`; known are `batch`, `beam`, `candidates`, `final_check`, `refresh`, `rounds`, `schedule`, `steps`
        --set nonsense: the form is KEY.PATH=VALUE, e.g. search.rounds=2
        --set search.beem=3: unknown key `search.beem`; did you mean `beam`?
        test.jsonl:1: the row has no field `answer`; it has `id`, `question`, `gold`
        test.jsonl:2: the row has no field `answer`; it has `id`, `question`, `gold`
    "#]].assert_eq(&shown(&folder, load_text(&folder, text, &["nonsense", "search.beem=3"])));
    expect![[r#"
        x.toml:1: `schema` is missing; this program reads `schema = 1`, at the top of the file
        x.toml:1: `model` is missing; [model] path = "…" names the folder of a Qwen3 model, or `embedded:triage`
        x.toml:1: `agent` is missing; the graph has no agents: add an [[agent]] with name, role and prompt
        x.toml:1: `data` is missing; [data] pool = { file = "…" } names the queries to optimize on
    "#]]
    .assert_eq(&shown(&folder, load_text(&folder, "", &[])));
}

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
        x.toml:5: `model.path` names no folder: qwen does not exist
    "#]],
    );
    check(
        "embedded:triage",
        "pool.jsonl",
        &[],
        expect![[r#"
        x.toml:5: `model.path` names a file, not a folder: pool.jsonl
    "#]],
    );
    check(
        "embedded:triage",
        ".",
        &[],
        expect![[r#"
        x.toml:5: `model.path` names ., which lacks config.json, tokenizer.json, model.safetensors (or model.safetensors.index.json)
    "#]],
    );
    check(
        "path = \"embedded:triage\"",
        "dtype = \"f8\"\n[model.judge]\npath = \"embedded:triage\"",
        &[],
        expect![[r#"
            x.toml:4: `model.path` is missing; the folder of a Qwen3 model, or `embedded:triage`
            x.toml:5: `model.dtype` is "f8"; did you mean `f32`?
        "#]],
    );
    let folder = folder();
    let text = GOOD.replace("[graph]", "[model.judge]\npath = \"qwen\"\n[graph]");
    expect![[r#"
        x.toml:7: `model.judge.path` names no folder: qwen does not exist
    "#]]
    .assert_eq(&shown(&folder, load_text(&folder, &text, &[])));
    let path = folder.path().join("x.toml");
    let settings = load(&path, &[], false, ModelCheck::None).unwrap();
    assert_eq!(settings.model(ModelRole::Judge).source, ModelSource::Folder(folder.path().join("qwen")));
    assert_eq!(settings.model(ModelRole::Worker).source, ModelSource::Embedded("triage"));
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
        test.jsonl:1: the answer "human" is not a letter from A to E
        test.jsonl:2: the answer "scraper" is not a letter from A to E
    "#]],
    );
    check(
        "scorer = \"label\"\nlabels = [\"human\", \"scraper\"]",
        "",
        &[],
        expect![[r#"
        x.toml:21: `eval.scorer` is missing; labelled data needs a scorer: `label`, `letter` or `text`
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
    check("test =", train, &[], expect![[""]]);
    check(
        "test =",
        &train.replace("train.jsonl", "test.jsonl"),
        &[],
        expect![[r#"
        `data.train` and `data.test` share 2 rows: test.jsonl:1 (id `3`) = test.jsonl:1 (id `3`), test.jsonl:2 (id `4`) = test.jsonl:2 (id `4`)
    "#]],
    );
    // The pool's rows are numbered by line, the test's by id: equal numbers mean nothing. What a set does not say is as in
    // the pool, so the two parts of one file are two sets.
    let folder = folder();
    let text = GOOD
        .replace("\"pool.jsonl\"", "\"test.jsonl\", limit = 1")
        .replace("file = \"test.jsonl\", answer", "skip = 1, answer");
    let settings = load_text(&folder, &text, &[]).unwrap();
    assert_eq!((settings.pool.len(), settings.split("test").unwrap().len()), (1, 1));
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
        --set model.path=/nowhere/qwen: `model.path` names no folder: /nowhere/qwen does not exist
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
