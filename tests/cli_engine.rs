//! `generate`, `score` and `bench` as a user meets them: answers in order, and for every likely
//! mistake the exact message and exit code.

mod support;

use expect_test::{Expect, expect};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use support::TinyModel;
use tempfile::TempDir;

/// The message of every command that opens the tiny model, whose `dtype` is `auto`.
const NOTE: &str = "note: dtype auto: the weights are kept as in the file, 0.2 MB\n";

struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

/// A folder with a model in `model/`. Commands run in it.
struct Desk(TempDir);

impl Desk {
    fn new(model: &TinyModel) -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(desk.path("model")).unwrap();
        model.write(&desk.path("model"));
        desk
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn run(&self, args: &[&str], stdin: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_maspo"))
            .args(args)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its flags does not read its input.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn generate(&self, lines: &[Value]) -> Ran {
        let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.run(&["generate", "--model", "model", "--input", "-", "--max-tokens", "8"], &input)
    }

    /// Checks that `generate` refuses an input file with this message.
    fn refuses(&self, input: &[u8], expected: Expect) {
        self.write("in.jsonl", input);
        self.refuses_args(&["generate", "--model", "model", "--input", "in.jsonl", "--output", "out.jsonl"], expected);
        assert!(!self.path("out.jsonl").exists(), "nothing runs before all lines are right");
    }

    /// Checks that a command ends with exit code 2 and prints only this on stderr.
    fn refuses_args(&self, args: &[&str], expected: Expect) {
        let ran = self.run(args, "");
        // Faults of the input may be found after the model is loaded.
        let stderr = ran.stderr.strip_prefix(NOTE).unwrap_or(&ran.stderr);
        expected.assert_eq(stderr);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{}", ran.stderr);
    }
}

fn tiny() -> Desk {
    Desk::new(&TinyModel::default())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn generate_answers_every_form_of_prompt_in_the_order_of_the_input() {
    let desk = tiny();
    let ran = desk.generate(&[
        json!({"id": 7, "messages": [{"role": "user", "content": "Is it <|im_end|> true?"}]}),
        json!({"id": {"any": ["json"]}, "prompt": "The capital of France", "max_tokens": 3, "ignore_eos": true}),
        json!({"id": null, "input_ids": [1, 2, 3], "max_tokens": 40, "ignore_eos": true}),
        json!({"id": "hot", "prompt": "The", "temperature": 0.8, "top_k": 20, "top_p": 0.9, "seed": 5}),
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answers = lines(&ran.stdout);
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!(7), &json!({"any": ["json"]}), &json!(null), &json!("hot")]);
    let keys: Vec<&String> = answers[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "text", "token_ids", "finish_reason", "prompt_tokens", "reused_tokens"]);
    let counts: Vec<usize> = answers.iter().map(|answer| answer["token_ids"].as_array().unwrap().len()).collect();
    assert_eq!((counts[1], counts[2]), (3, 40));
    assert_eq!(answers[2]["finish_reason"], "length");
    assert_eq!(answers[2]["prompt_tokens"], 3);
}

#[test]
fn generate_gives_the_same_answers_alone_in_company_and_to_a_file() {
    let desk = tiny();
    let line = json!({"id": 0, "messages": [{"role": "user", "content": "Who is it?"}], "temperature": 1.0, "seed": 3});
    let alone = lines(&desk.generate(std::slice::from_ref(&line)).stdout);
    let mut many = vec![line];
    many.extend((1..60).map(|id| json!({"id": id, "prompt": "x".repeat(id), "ignore_eos": true})));
    let together = desk.generate(&many);
    assert_eq!(together.code, 0, "{}", together.stderr);
    let answers = lines(&together.stdout);
    assert_eq!(answers[0]["token_ids"], alone[0]["token_ids"]);
    assert!(answers.iter().enumerate().all(|(index, answer)| answer["id"] == index));

    let input: String = many.iter().map(|line| format!("{line}\n\n")).collect();
    desk.write("in.jsonl", input);
    let args = ["generate", "--model", "model", "--input", "in.jsonl", "--output", "out.jsonl", "--max-tokens", "8"];
    let ran = desk.run(&args, "");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", NOTE));
    let written = lines(&std::fs::read_to_string(desk.path("out.jsonl")).unwrap());
    let tokens = |answers: &[Value]| answers.iter().map(|answer| answer["token_ids"].clone()).collect::<Vec<_>>();
    assert_eq!(tokens(&written), tokens(&answers));
}

#[test]
fn json_is_one_versioned_object() {
    let desk = tiny();
    let input = "{\"id\":1,\"prompt\":\"a\"}\n{\"id\":2,\"prompt\":\"b\"}\n";
    let ran = desk.run(&["generate", "--model", "model", "--input", "-", "--json", "--max-tokens", "2"], input);
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&object["schema"], &object["command"]), (&json!(1), &json!("generate")));
    assert_eq!(object["model"]["name"], "model");
    assert_eq!(object["results"].as_array().unwrap().len(), 2);
    assert_eq!((&object["answered"], &object["refused"]), (&json!(2), &json!(0)));
}

#[test]
fn score_gives_the_log_probability_of_every_answer() {
    let desk = tiny();
    let ids: Vec<u32> = (1..30).collect();
    let input = [
        json!({"id": "a", "input_ids": ids, "answers": ["A", "B", " the capital of France"]}),
        json!({"id": "b", "messages": [{"role": "user", "content": "A or B?"}], "answers": ["A"]}),
    ];
    let input: String = input.iter().map(|line| format!("{line}\n")).collect();
    let ran = desk.run(&["score", "--model", "model", "--input", "-"], &input);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answers = lines(&ran.stdout);
    let logprobs: Vec<f64> = serde_json::from_value(answers[0]["logprobs"].clone()).unwrap();
    assert_eq!(logprobs.len(), 3);
    assert!(logprobs.iter().all(|logprob| *logprob < 0.0));
    assert!(logprobs[2] < logprobs[0], "an answer of several tokens adds up their log-probabilities");
    assert_eq!(answers[1].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "logprobs"]);
}

#[test]
fn a_request_that_can_never_fit_is_refused_and_the_others_are_answered() {
    let desk = Desk::new(&TinyModel { config: json!({"max_position_embeddings": 64}), ..TinyModel::default() });
    let ran = desk.generate(&[
        json!({"id": 1, "input_ids": [1, 2, 3]}),
        json!({"id": 2, "input_ids": vec![1; 60]}),
        json!({"id": 3, "input_ids": [4, 5, 6]}),
    ]);
    expect![[r#"
        note: dtype auto: the weights are kept as in the file, 0.2 MB
        error: <stdin>:2: the prompt has 60 tokens and 8 more are asked for, but 64 fit
    "#]]
    .assert_eq(&ran.stderr);
    assert_eq!(ran.code, 2);
    let answers = lines(&ran.stdout);
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[1], json!({"id": 2, "error": "the prompt has 60 tokens and 8 more are asked for, but 64 fit"}));
    assert!(answers[2]["token_ids"].is_array());
}

#[test]
fn faulty_lines_are_all_named_before_anything_runs() {
    let desk = tiny();
    desk.refuses(
        br#"{"id": 1, "prompt": "good"}
{"id": 2, "prompt": "bad"
{"prompt": "no id"}
{"id": 4, "prompt": "x", "max_token": 3}
{"id": 5, "prompt": "x", "input_ids": [1]}
{"id": 6}
{"id": 7, "input_ids": [1, 416]}
{"id": 8, "input_ids": []}
{"id": 9, "messages": []}
{"id": 10, "messages": [{"role": "robot", "content": "x"}]}
{"id": 11, "prompt": "x", "temperature": -1}
{"id": 12, "prompt": "x", "top_p": 0}
[13]
"#,
        expect![[r#"
            error: in.jsonl:2: EOF while parsing an object (column 25)
            error: in.jsonl:3: missing field `id` (column 19)
            error: in.jsonl:4: unknown field `max_token`, expected one of `id`, `messages`, `prompt`, `input_ids`, `max_tokens`, `temperature`, `top_k`, `top_p`, `seed`, `ignore_eos` (column 36)
            error: in.jsonl:5: only one of `messages`, `prompt`, `input_ids` can be given
            error: in.jsonl:6: one of `messages`, `prompt`, `input_ids` is called for
            error: in.jsonl:7: token 416 is not in the model's vocabulary of 416
            error: in.jsonl:8: the prompt has no tokens
            error: in.jsonl:9: `messages` is empty
            error: in.jsonl:10: unknown variant `robot`, expected one of `system`, `user`, `assistant` (column 40)
            error: in.jsonl:11: `temperature` must be 0 or more
            error: in.jsonl:12: `top_p` must be above 0 and at most 1
            error: in.jsonl:13: a JSON object is called for
        "#]],
    );
    desk.refuses(
        b"{\"id\": 1, \"prompt\": \"good\"}\n{\"id\": 2, \"prompt\": \"b\xffd\"}\n",
        expect![[r#"
        error: in.jsonl:2: not UTF-8: byte 23 of the line is wrong
    "#]],
    );
}

#[test]
fn files_that_are_not_there_are_named() {
    let desk = tiny();
    desk.write("in.jsonl", "{\"id\": 1, \"prompt\": \"x\"}\n");
    desk.refuses_args(
        &["generate", "--model", "nowhere", "--input", "in.jsonl"],
        expect![[r#"
        error: nowhere is not a folder: give a Hugging Face model folder, a .gguf file or `embedded:triage`
    "#]],
    );
    desk.refuses_args(
        &["generate", "--model", "embedded:other", "--input", "in.jsonl"],
        expect![[r#"
        error: there is no embedded model `other`; there is `embedded:triage`
    "#]],
    );
    desk.refuses_args(
        &["generate", "--model", "model", "--input", "no.jsonl"],
        expect![[r#"
        error: no.jsonl cannot be read: No such file or directory (os error 2)
    "#]],
    );
    desk.refuses_args(
        &["generate", "--model", "model", "--input", "in.jsonl", "--output", "in.jsonl"],
        expect![[r#"
        error: in.jsonl is the input: give another --output
    "#]],
    );
}

/// Checks what `generate` prints for a model after one change to its folder.
fn check_model(model: &TinyModel, change: impl Fn(&Desk), expected: Expect) {
    let desk = Desk::new(model);
    desk.write("in.jsonl", "{\"id\": 1, \"prompt\": \"x\"}\n");
    change(&desk);
    desk.refuses_args(&["generate", "--model", "model", "--input", "in.jsonl"], expected);
}

fn edit_json(path: &Path, edit: impl Fn(&mut Value)) {
    let mut json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn models_that_are_wrong_are_refused_before_anything_runs() {
    let config = |edit: fn(&mut Value)| move |desk: &Desk| edit_json(&desk.path("model/config.json"), edit);
    let tiny = TinyModel::default();
    check_model(
        &tiny,
        config(|json| json["model_type"] = json!("gemma2")),
        expect![[r#"
        error: config.json: `model_type` is `gemma2`; dense models of the families qwen3, qwen2, llama and mistral are supported
    "#]],
    );
    check_model(
        &tiny,
        config(|json| json["num_hidden_layers"] = json!(3)),
        expect![[r#"
        error: the weights lack the tensor `model.layers.2.self_attn.q_proj.weight`
    "#]],
    );
    check_model(
        &tiny,
        config(|json| json["num_hidden_layers"] = json!(1)),
        expect![[r#"
        error: the weights hold 11 tensors that the configuration has no place for, first `model.layers.1.input_layernorm.weight`
    "#]],
    );
    check_model(
        &tiny,
        config(|json| json["intermediate_size"] = json!(60)),
        expect![[r#"
        error: the tensor `model.layers.0.mlp.gate_proj.weight` has the shape [64, 32]; the configuration calls for [60, 32]
    "#]],
    );
    check_model(
        &tiny,
        config(|json| json["vocab_size"] = json!(406)),
        expect![[r#"
        error: the tokenizer has the token id 406, but the model's vocabulary has 406 entries: they do not belong together
    "#]],
    );
    check_model(
        &tiny,
        config(|json| *json = json!({"model_type": "qwen3"})),
        expect![[r#"
        error: config.json: missing field `vocab_size` at line 1 column 22
    "#]],
    );
    check_model(
        &tiny,
        |desk| std::fs::remove_file(desk.path("model/config.json")).unwrap(),
        expect![[r#"
        error: model has no config.json
    "#]],
    );
    check_model(
        &tiny,
        |desk| std::fs::remove_file(desk.path("model/model.safetensors")).unwrap(),
        expect![[r#"
        error: model cannot be read: there is neither model.safetensors nor model.safetensors.index.json
    "#]],
    );
    check_model(
        &tiny,
        |desk| desk.write("model/model.safetensors", "not weights"),
        expect![[r#"
        error: model/model.safetensors: not a safetensors file: a header of 7451598620781211502 bytes in a file of 11
    "#]],
    );
    let cut = |desk: &Desk| {
        let bytes = std::fs::read(desk.path("model/model.safetensors")).unwrap();
        desk.write("model/model.safetensors", &bytes[..bytes.len() - 4]);
    };
    check_model(
        &tiny,
        cut,
        expect![[r#"
        error: model/model.safetensors: the tensor `model.norm.weight` ends after the end of the file (is the file cut short?)
    "#]],
    );
    check_model(
        &tiny,
        |desk| desk.write("model/tokenizer.json", "{}"),
        expect![[r#"
        error: tokenizer.json: Model missing.
    "#]],
    );
    let shards = TinyModel { shards: 2, ..TinyModel::default() };
    let shard = "model/model-00002-of-00002.safetensors";
    check_model(
        &shards,
        |desk| std::fs::remove_file(desk.path(shard)).unwrap(),
        expect![[r#"
        error: model/model-00002-of-00002.safetensors cannot be read: No such file or directory (os error 2)
    "#]],
    );
    let escape = |desk: &Desk| {
        edit_json(&desk.path("model/model.safetensors.index.json"), |json| {
            json["weight_map"]["model.norm.weight"] = json!("../x.safetensors");
        });
    };
    check_model(
        &shards,
        escape,
        expect![[r#"
        error: model/model.safetensors.index.json: the tensor `model.norm.weight` is said to be in `../x.safetensors`, which is not the plain name of a .safetensors file
    "#]],
    );
}

#[test]
fn without_a_tokenizer_token_ids_still_work() {
    let desk = Desk::new(&TinyModel { config: json!({"vocab_size": 100}), ..TinyModel::default() });
    let ran = desk.generate(&[json!({"id": 1, "input_ids": [1, 2], "ignore_eos": true})]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("\nwarning: model has no tokenizer.json"), "{}", ran.stderr);
    let answers = lines(&ran.stdout);
    assert_eq!((&answers[0]["text"], answers[0]["token_ids"].as_array().unwrap().len()), (&json!(""), 8));
    let ran = desk.generate(&[json!({"id": 1, "prompt": "x"})]);
    assert!(ran.stderr.ends_with("error: <stdin>:1: the model has no tokenizer.json: only `input_ids` can be used\n"));
    assert_eq!(ran.code, 2);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_between_answers_and_says_so() {
    use std::io::{BufRead, BufReader, Read};
    let desk = tiny();
    let max_tokens = |id: usize| if id == 0 { 4 } else { 400 };
    let line = |id| json!({"id": id, "input_ids": [1, 2, 3], "max_tokens": max_tokens(id), "ignore_eos": true});
    desk.write("in.jsonl", (0..200).map(|id| format!("{}\n", line(id))).collect::<String>());
    let mut child = Command::new(env!("CARGO_BIN_EXE_maspo"))
        .args(["generate", "--model", "model", "--input", "in.jsonl"])
        .current_dir(desk.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["id"], 0);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let rest: Vec<Value> = answers.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let written = rest.len() + 1;
    assert!(written < 200);
    let last =
        format!("stopped: the answers to the first {written} requests are written; run the rest again to go on\n");
    assert!(stderr.ends_with(&last), "{stderr}");
}

#[test]
fn bench_needs_only_the_shape() {
    let desk = tiny();
    for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        std::fs::remove_file(desk.path("model").join(file)).unwrap();
    }
    let args = "bench --model model --random-weights --batch 1,3 --prompt-tokens 20 --new-tokens 4 --json";
    let ran = desk.run(&args.split(' ').collect::<Vec<_>>(), "");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&object["schema"], &object["command"]), (&json!(1), &json!("bench")));
    let runs = object["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["batch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 3]);
    for key in ["prefill_tokens_per_s", "decode_tokens_per_s", "ms_per_step", "bytes_per_step", "bandwidth_fraction"] {
        assert!(runs.iter().all(|run| run[key].as_f64().unwrap() > 0.0), "{key}");
    }
    desk.refuses_args(
        &["bench", "--model", "model", "--batch", "0", "--new-tokens", "1"],
        expect![[r#"
        error: --batch: a batch size must be between 1 and 4096
        error: --new-tokens must be at least 2: decoding is timed from the second token on
    "#]],
    );
    desk.refuses_args(
        &["bench", "--model", "model", "--random-weights", "--new-tokens", "5000"],
        expect![[r#"
        error: --prompt-tokens and --new-tokens add up to 5256, but 4096 fit into the model
    "#]],
    );
    desk.refuses_args(
        &["bench", "--model", "model", "--random-weights", "--threads", "0"],
        expect![[r#"
        error: invalid value '0' for '--threads <THREADS>': it must be between 1 and 1024

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn keys_and_values_in_bytes_take_less_memory_and_answer_alike() {
    let desk = tiny();
    let bench = |kv_dtype: &str| {
        let args =
            format!("bench --model model --batch 2 --prompt-tokens 20 --new-tokens 4 --json --kv-dtype {kv_dtype}");
        let ran = desk.run(&args.split(' ').collect::<Vec<_>>(), "");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let object: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(object["kv_dtype"], kv_dtype);
        object["kv_bytes_per_token"].as_u64().unwrap()
    };
    let (floats, bytes) = (bench("auto"), bench("int8"));
    assert!(4 * bytes <= 3 * floats, "{bytes} of {floats}");
    let ran = desk.run(
        &["generate", "--model", "model", "--input", "-", "--kv-dtype", "int8"],
        "{\"id\":1,\"prompt\":\"The\"}\n",
    );
    assert_eq!((ran.code, lines(&ran.stdout).len()), (0, 1), "{}", ran.stderr);
    desk.refuses_args(
        &["bench", "--model", "model", "--kv-dtype", "q8_0"],
        expect![[r#"
        error: invalid value 'q8_0' for '--kv-dtype <DTYPE>'
          [possible values: auto, int8]

        For more information, try '--help'.
    "#]],
    );
}

/// In a build without GPUs, what is missing is reported with what to do, never as an error.
#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn doctor_says_what_is_there_and_what_is_missing() {
    let ran = tiny().run(&["doctor", "--json"], "");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let object: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&object["schema"], &object["command"]), (&json!(1), &json!("doctor")));
    assert_eq!(object["cuda_architectures"], Value::Null, "this build has compiled no CUDA kernels");
    assert!(object["cpu"]["read_bandwidth_bytes_per_s"].as_f64().unwrap() > 1e8);
    assert!(object["cpu"]["kernel_sets"].as_array().unwrap().contains(&object["cpu"]["kernels"]));
    let devices = object["devices"].as_array().unwrap();
    let named = |name: &str| devices.iter().find(|device| device["device"] == name).unwrap()["problem"].to_string();
    assert_eq!(devices.len(), 2);
    assert!(named("cuda").contains("cargo build --release --features cuda"), "{}", named("cuda"));
    assert!(named("metal").contains("on macOS"), "{}", named("metal"));
}

/// When the machine lacks something, the exit code is 3 and the message names what to do.
#[cfg(not(feature = "cuda"))]
#[test]
fn a_gpu_that_the_build_cannot_use_is_refused_with_what_to_do() {
    let desk = tiny();
    let stderr = "error: this build has no CUDA: build it with `cargo build --release --features cuda`, or choose \
    `--device cpu`\n";
    for command in [&["generate", "--input", "-"][..], &["bench", "--random-weights"]] {
        let args = [command, &["--model", "model", "--device", "cuda"]].concat();
        let ran = desk.run(&args, "{\"prompt\":\"a\"}\n");
        assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (3, "", stderr), "{command:?}");
    }
}

#[test]
fn fast_and_deterministic_exclude_each_other() {
    tiny().refuses_args(
        &["bench", "--model", "model", "--fast", "--deterministic"],
        expect![[r#"
        error: the argument '--fast' cannot be used with '--deterministic'

        Usage: maspo bench --model <MODEL> --fast

        For more information, try '--help'.
    "#]],
    );
}

#[test]
fn the_embedded_model_answers() {
    let desk = Desk(tempfile::tempdir().unwrap());
    let line = "{\"id\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}\n";
    let ran = desk.run(&["generate", "--model", "embedded:triage", "--input", "-", "--max-tokens", "4"], line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(lines(&ran.stdout)[0]["id"], 1);
}

/// Returns the number of threads of a running process, 0 when it has ended.
#[cfg(target_os = "linux")]
fn threads_of(process: u32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count)
}

#[cfg(target_os = "linux")]
#[test]
fn threads_are_those_that_are_asked_for_while_loading_as_well() {
    // Eight million weights take long enough to load to be observed.
    let config = json!({"vocab_size": 8192, "hidden_size": 512, "intermediate_size": 1024});
    let desk = Desk::new(&TinyModel { config, ..TinyModel::default() });
    let most = |threads: usize| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_maspo"))
            .args([
                "generate",
                "--model",
                "model",
                "--input",
                "-",
                "--dtype",
                "q4_k",
                "--threads",
                &threads.to_string(),
            ])
            .current_dir(desk.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let line = json!({"id": 1, "input_ids": [1, 2, 3], "max_tokens": 40, "ignore_eos": true});
        writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
        let mut most = 0;
        while child.try_wait().unwrap().is_none() {
            most = most.max(threads_of(child.id()));
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        most
    };
    // The program has its first thread, the engine's and the one that waits for ctrl-C. Two pools
    // have as many threads as `--threads` says: one reads and converts weights, the other computes,
    // and the engine's thread is one of the latter.
    for threads in [1, 3] {
        let found = most(threads);
        assert!((threads..=3 + threads + threads - 1).contains(&found), "{found} threads with --threads {threads}");
    }
    assert!(most(5) >= most(1) + 4, "the threads that were asked for are there");
}
