//! Faults of the file itself: syntax, version, keys, values.

use super::fixture::{GOOD, check, folder, load_text, shown};
use expect_test::expect;

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
            x.toml:27: `judge.min_letter_mass` is 2; it must be between 0 and 1
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
            x.toml:26: `reward.lookahead_depth` is 4; it must be between 1 and 3
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
            x.toml:28: `engine.threads` is 0; it must be between 1 and 1024
        "#]],
    );
    check(
        "frozen = [\"<answer>\"]",
        "frozen = [\"<answer>\", 3]",
        &["engine.device=gpu", "judge.rubrics=[true]"],
        expect![[r#"
            x.toml:17: `agent.decide.frozen` holds the number 3; text is needed
            --set judge.rubrics=[true]: `judge.rubrics` holds true; text is needed
            --set engine.device=gpu: `engine.device` is the text "gpu": device `gpu` is not known: it is one of auto, cpu, cuda, cuda:N, metal
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
    let text = "[model]\n[graph]\ntopology = \"ring\"\n[[agent]]\nname = \"a\"\nprompt = \"\"\n\
                [[edge]]\nfrom = \"a\"\nto = \"b\"\n\
                [data]\npool = { file = \"nowhere.jsonl\" }\ntest = { file = \"test.jsonl\" }\n\
                [search]\nbeam = 0\nx = 1\n";
    expect![[r#"
        x.toml:1: `schema` is missing; this program reads `schema = 1`, at the top of the file
        x.toml:1: `model.path` is missing; the folder of a Qwen3 model, or `embedded:triage`
        x.toml:1: `eval.scorer` is missing; labelled data needs a scorer: `label`, `letter`, `text`, `math`, `number`, `regex`, `json` or `code`
        x.toml:3: `graph.topology` is "ring"; it can be `sequential`, `hierarchical`, `debate`
        x.toml:4: `agent.a.role` is missing; one or two sentences on what the agent is for; the judge judges by it
        x.toml:6: `agent.a.prompt` is empty
        x.toml:9: `edge.1.to` is "b", which is no agent; did you mean `a`?
        x.toml:11: `data.pool.file`: cannot read nowhere.jsonl: no such file
        x.toml:14: `search.beam` is 0; it must be at least 1
        x.toml:15: unknown key `search.x`; known are `batch`, `beam`, `candidates`, `final_check`, `gate`, `gate_alpha`, `gate_queries`, `racing`, `refresh`, `rounds`, `schedule`, `steps`
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

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn no_file_and_no_flag_makes_it_panic(
        at in 0..GOOD.len(),
        gone in 0usize..40,
        put in "[a-z=\\[\\]{}\"'.#0-9\n ü-]{0,6}",
    ) {
        let folder = folder();
        let text = format!("{}{put}{}", &GOOD[..at], GOOD.get(at + gone..).unwrap_or(""));
        let _ = load_text(&folder, &text, &[&put, &format!("search.{put}=1"), &format!("seed={put}")]);
    }
}
