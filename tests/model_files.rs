//! Model folders as they come from fine-tuning, conversion and download: tokens that only some of
//! the files name, ends of a turn, heads that are tied on paper, damaged and incomplete weights.
//! Expected prompts are those of transformers' `apply_chat_template`.

mod support;

use futures::executor::block_on;
use maspo::CancelToken;
use maspo::chat::{ChatModel, FinishReason, Message, Sampling, Speaker};
use maspo::config::{ModelCheck, Settings, load};
use maspo::engine::qwen3::Dtype;
use maspo::engine::{Date, DtypeRequest, EngineOptions, LoadOptions, ModelSource, TokenRequest, TokenizerRequirement};
use maspo::local::LocalModel;
use maspo::report::EgressLock;
use maspo::run::{Observer, RecordedRun, RunError, Start};
use maspo::search::{Event, SearchError};
use maspo::store::{Reader, Store};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use support::TinyModel;

/// The folder of a small model, which the tests change.
struct Folder {
    temporary: tempfile::TempDir,
}

impl Folder {
    fn new(model: &TinyModel) -> Self {
        let folder = Self { temporary: tempfile::tempdir().unwrap() };
        std::fs::create_dir(folder.path("m")).unwrap();
        model.write(&folder.path("m"));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Writes a file of the model.
    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path("m").join(name), content).unwrap();
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path("m").join(name)).unwrap()
    }

    /// Changes keys of a JSON file of the model; null is a value, and the text `(absent)` removes.
    fn change(&self, name: &str, keys: Value) {
        let mut file: Value = serde_json::from_slice(&self.bytes(name)).unwrap();
        for (key, value) in keys.as_object().unwrap() {
            if value == "(absent)" {
                file.as_object_mut().unwrap().remove(key);
            } else {
                file[key] = value.clone();
            }
        }
        self.put(name, file.to_string());
    }

    fn open(&self) -> LocalModel {
        let source = ModelSource::Folder(self.path("m"));
        LocalModel::open(&source, &EngineOptions::default(), Dtype::F32, false).unwrap()
    }

    /// Runs `generate` on one prompt: exit code, stdout, and what stderr says beside the note on
    /// the number format.
    fn generate(&self, input: &str) -> (i32, String, String) {
        self.run_generate(input, &[])
    }

    /// Runs `generate` with further flags.
    fn run_generate(&self, input: &str, flags: &[&str]) -> (i32, String, String) {
        std::fs::write(self.path("in.jsonl"), input).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_maspo"))
            .args(["generate", "--model", "m", "--threads", "1", "--max-tokens", "8", "--input", "in.jsonl"])
            .args(flags)
            .current_dir(self.temporary.path())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let said: Vec<String> = text(output.stderr)
            .lines()
            .filter(|line| !line.starts_with("note: dtype auto"))
            .map(str::to_string)
            .collect();
        (output.status.code().unwrap(), text(output.stdout), said.join("\n"))
    }
}

const INPUT: &str = "{\"id\": 1, \"input_ids\": [5, 9, 300, 17]}\n";

/// ChatML, with `start` before the conversation.
fn chat_ml(start: &str) -> String {
    let turn = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}";
    format!("{start}{turn}<|im_start|>assistant{{{{ '\\n' }}}}")
}

/// Checks the prompt of a user's `hi`: its ids are those of `expected`, whose control tokens are
/// control tokens.
fn check_prompt(folder: &Folder, expected: &str) {
    let model = folder.open();
    let ids = model.engine().encode_chat(&[Message::user("hi")], false).unwrap();
    assert_eq!(ids, model.engine().encode_raw(expected).unwrap(), "{:?}", model.engine().decode(&ids));
}

const HI: &str = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";

#[test]
fn templates_see_the_special_tokens_that_the_files_name() {
    let object = json!({"__type": "AddedToken", "content": "<|endoftext|>", "lstrip": false, "special": true});
    for token in [json!("<|endoftext|>"), object] {
        let folder = Folder::new(&TinyModel::default());
        folder
            .change("tokenizer_config.json", json!({"bos_token": token, "chat_template": chat_ml("{{ bos_token }}")}));
        check_prompt(&folder, &format!("<|endoftext|>{HI}"));
    }
    let folder = Folder::new(&TinyModel::default());
    folder.change("tokenizer_config.json", json!({"chat_template": chat_ml("{{ '[' + pad_token + ']' }}")}));
    folder.put("special_tokens_map.json", r#"{"pad_token": {"content": "<|im_end|>"}}"#);
    check_prompt(&folder, &format!("[<|im_end|>]{HI}"));
    folder.put("special_tokens_map.json", r#"{"pad_token": null}"#);
    assert!(folder.open().engine().encode_chat(&[Message::user("hi")], false).is_err());
    folder.change(
        "tokenizer_config.json",
        json!({"chat_template": chat_ml("{% if pad_token %}p{% endif %}{{ unk_token }}")}),
    );
    check_prompt(&folder, HI);
}

#[test]
fn a_special_token_is_part_of_the_identity_where_the_template_uses_it() {
    let folder = Folder::new(&TinyModel::default());
    let digest = |keys: Value| {
        folder.change("tokenizer_config.json", keys);
        folder.open().identity().digest
    };
    let first = digest(json!({}));
    assert_eq!(first, digest(json!({"bos_token": "<|endoftext|>"})));
    let used = digest(json!({"chat_template": chat_ml("{{ bos_token }}")}));
    assert_ne!(used, digest(json!({"bos_token": "<|im_start|>"})));
}

#[test]
fn a_template_file_may_have_the_line_ends_of_windows() {
    let folder = Folder::new(&TinyModel::default());
    folder.put("chat_template.jinja", format!("\u{feff}{}", chat_ml("").replace('\n', "\r\n")));
    check_prompt(&folder, HI);
    // The last line end belongs to the file, not to the prompt.
    folder.put("chat_template.jinja", format!("{}\r\n", chat_ml("").replace('\n', "\r\n")));
    check_prompt(&folder, HI);
}

#[test]
fn tokens_that_only_other_files_name_become_one_token() {
    let template = chat_ml("<tool>{{ ' <tool> x' }}");
    let prompt = format!("<tool> <tool> x{HI}");
    let ids = |folder: &Folder| folder.open().engine().encode_chat(&[Message::user("hi <tool>")], false).unwrap();
    let count = |ids: &[u32], id: u32| ids.iter().filter(|found| **found == id).count();
    let new = || {
        let folder = Folder::new(&TinyModel::default());
        folder.change("tokenizer_config.json", json!({"chat_template": template}));
        folder
    };
    let plain = new().open().identity().digest;

    let folder = new();
    let entry = json!({"content": "<tool>", "lstrip": false, "rstrip": false, "single_word": false, "special": true});
    folder.change("tokenizer_config.json", json!({"added_tokens_decoder": {"410": entry}}));
    check_prompt(&folder, &prompt);
    // Twice by the template; the text of the message stays text.
    assert_eq!(count(&ids(&folder), 410), 2);
    assert_ne!(folder.open().identity().digest, plain);

    let folder = new();
    folder.put("added_tokens.json", r#"{"<tool>": 411}"#);
    assert_eq!(count(&ids(&folder), 411), 2);

    // A list gives no ids: the token gets the next free one.
    let folder = new();
    folder.change("tokenizer_config.json", json!({"additional_special_tokens": ["<tool>"]}));
    assert_eq!(count(&ids(&folder), 407), 2);

    // The model has no row for it, and no prompt needs it.
    let folder = Folder::new(&TinyModel { config: json!({"vocab_size": 407}), ..TinyModel::default() });
    folder.change("tokenizer_config.json", json!({"pad_token": "[PAD]"}));
    assert_eq!(folder.open().identity().digest, {
        folder.change("tokenizer_config.json", json!({"pad_token": null}));
        folder.open().identity().digest
    });
}

#[test]
fn tokens_take_the_whitespace_beside_them_where_the_file_says_so() {
    let folder = Folder::new(&TinyModel::default());
    let mut tokenizer: Value = serde_json::from_slice(&folder.bytes("tokenizer.json")).unwrap();
    for token in tokenizer["added_tokens"].as_array_mut().unwrap() {
        match token["content"].as_str().unwrap() {
            "<tool_call>" => token["lstrip"] = json!(true),
            "</tool_call>" => token["rstrip"] = json!(true),
            "<think>" => token["single_word"] = json!(true),
            _ => {}
        }
    }
    folder.put("tokenizer.json", tokenizer.to_string());
    let model = folder.open();
    let raw = |text: &str| model.engine().encode_raw(text).unwrap();
    let [a, b, open, close, think] = ["a", "b", "<tool_call>", "</tool_call>", "<think>"].map(&raw);
    assert_eq!(raw("a \n<tool_call>b"), [a.clone(), open, b.clone()].concat());
    assert_eq!(raw("a</tool_call> \n b"), [a.clone(), close, b.clone()].concat());
    assert_eq!(raw("a-<think>-b"), [raw("a-"), think.clone(), raw("-b")].concat());
    assert!(!raw("a<think>b").contains(&think[0]));
}

fn answer(folder: &Folder) -> (Vec<u32>, FinishReason) {
    let request = TokenRequest {
        prompt: vec![5, 9, 300, 17],
        max_new_tokens: 8,
        sampling: Sampling::GREEDY,
        ignore_eos: false,
        stop: Vec::new(),
    };
    let output = block_on(folder.open().engine().generate(request)).unwrap();
    (output.token_ids, output.finish_reason)
}

#[test]
fn every_file_can_name_the_end_of_a_turn_and_none_hides_another() {
    let folder = Folder::new(&TinyModel::default());
    let (tokens, reason) = answer(&folder);
    assert_eq!((tokens.len(), reason), (8, FinishReason::Length));
    let end = tokens[2];
    let tokenizer: Value = serde_json::from_slice(&folder.bytes("tokenizer.json")).unwrap();
    let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
    let text = vocabulary.iter().find(|(_, id)| **id == end).expect("a token of the vocabulary").0;
    let plain = folder.open().identity().digest;
    for (generation, config, token, stops) in [
        (json!([400]), json!(402), json!(text), true),
        (json!([]), json!(null), json!(text), true),
        (json!(null), json!("(absent)"), json!({"content": text}), true),
        (json!(400), json!(end), json!(null), true),
        (json!("(absent)"), json!([400, end]), json!("<|im_end|>"), true),
        (json!([400, end]), json!(null), json!("<|im_end|>"), true),
        (json!([400]), json!(402), json!("<|im_end|>"), false),
    ] {
        folder.change("generation_config.json", json!({"eos_token_id": generation}));
        folder.change("config.json", json!({"eos_token_id": config}));
        folder.change("tokenizer_config.json", json!({"eos_token": token}));
        let reason = if stops { FinishReason::Stop } else { FinishReason::Length };
        assert_eq!(answer(&folder).1, reason, "{generation} {config} {token}");
    }
    std::fs::remove_file(folder.path("m/generation_config.json")).unwrap();
    folder.change("config.json", json!({"eos_token_id": null}));
    folder.change("tokenizer_config.json", json!({"eos_token": text}));
    assert_eq!(answer(&folder).1, FinishReason::Stop);
    assert_ne!(folder.open().identity().digest, plain);
}

#[test]
fn a_head_of_its_own_is_used_although_the_configuration_ties_it() {
    let untied = TinyModel { config: json!({"tie_word_embeddings": false}), ..TinyModel::default() };
    let folder = Folder::new(&untied);
    let (code, expected, said) = folder.generate(INPUT);
    assert_eq!((code, said.as_str()), (0, ""));
    folder.change("config.json", json!({"tie_word_embeddings": true}));
    let (code, found, said) = folder.generate(INPUT);
    assert_eq!((code, &found), (0, &expected));
    assert_eq!(
        said,
        "note: m: its weights hold an lm_head.weight that differs from the embedding; it is used, \
         although the configuration ties the two"
    );
    TinyModel::default().write(&folder.path("m"));
    let (code, tied, said) = folder.generate(INPUT);
    assert_eq!((code, said.as_str()), (0, ""));
    assert_ne!(tied, expected);
}

/// Fills a tensor with zeros.
fn clear(folder: &Folder, tensor: &str) {
    let mut bytes = folder.bytes("model.safetensors");
    let start = 8 + u64::from_le_bytes(std::array::from_fn(|i| bytes[i])) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    let [from, to] = [0, 1].map(|i| start + header[tensor]["data_offsets"][i].as_u64().unwrap() as usize);
    bytes[from..to].fill(0);
    folder.put("model.safetensors", bytes);
}

#[test]
fn tensors_of_zeros_are_named() {
    let folder = Folder::new(&TinyModel { config: json!({"attention_bias": true}), ..TinyModel::default() });
    clear(&folder, "model.layers.0.self_attn.q_proj.bias");
    assert_eq!(folder.generate(INPUT).2, "", "a bias of zeros is common");
    clear(&folder, "model.layers.1.input_layernorm.weight");
    let (code, _, said) = folder.generate(INPUT);
    assert_eq!(
        (code, said.as_str()),
        (
            0,
            "warning: m: the tensor model.layers.1.input_layernorm.weight is entirely zero: are the \
             weights damaged or unfinished?"
        )
    );
    clear(&folder, "model.layers.0.mlp.up_proj.weight");
    let said = folder.generate(INPUT).2;
    assert!(said.contains("2 tensors are entirely zero (model.layers.0.mlp.up_proj.weight and 1 more)"), "{said}");
}

#[test]
fn an_adapter_that_is_not_applied_is_named() {
    for name in ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"] {
        let folder = Folder::new(&TinyModel::default());
        folder.put(name, "{}");
        let (code, _, said) = folder.generate(INPUT);
        let expected = format!(
            "warning: m: the LoRA adapter beside the weights ({name}) is not applied; merge it into the model to use it"
        );
        assert_eq!((code, said), (0, expected));
    }
}

#[test]
fn pointers_and_pages_in_place_of_files_are_called_what_they_are() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345678\n";
    let page = "<!DOCTYPE html><html><head><title>404</title></head></html>\n";
    for (name, content, found) in [
        ("model.safetensors", pointer, "a Git LFS pointer"),
        ("tokenizer.json", pointer, "a Git LFS pointer"),
        ("config.json", page, "an HTML page"),
        ("tokenizer.json", page, "an HTML page"),
        ("model.safetensors", page, "an HTML page"),
    ] {
        let folder = Folder::new(&TinyModel::default());
        folder.put(name, content);
        let (code, _, said) = folder.generate(INPUT);
        assert_eq!(code, 2, "{said}");
        assert!(said.starts_with(&format!("error: m/{name} is {found}, not the file itself: ")), "{said}");
    }
}

#[test]
fn byte_order_marks_change_nothing() {
    let folder = Folder::new(&TinyModel::default());
    let expected = folder.generate(INPUT);
    assert_eq!(expected.0, 0);
    for name in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"] {
        folder.put(name, [&b"\xEF\xBB\xBF"[..], &folder.bytes(name)].concat());
    }
    assert_eq!(folder.generate(&format!("\u{feff}{INPUT}")), expected);
    assert_eq!(folder.generate(&format!("{INPUT}\u{feff}{INPUT}")).0, 2, "only the first line may have one");
}

#[test]
fn a_folder_that_is_only_an_adapter_is_called_that() {
    let folder = Folder::new(&TinyModel::default());
    let remove = |name: &str| std::fs::remove_file(folder.path("m").join(name)).unwrap();
    folder.put("adapter_config.json", "{}");
    remove("config.json");
    let (code, _, said) = folder.generate(INPUT);
    assert_eq!(code, 2);
    assert!(said.contains("it holds a LoRA adapter (adapter_config.json)"), "{said}");
}

/// A conversation of four messages.
fn conversation() -> [Message; 4] {
    let message = |role, content: &str| Message { role, content: content.to_string() };
    let system = message(Speaker::System, "Be \"brief\" <b> & 'ok' — 你好 a/b");
    [system, Message::user("2+2?"), message(Speaker::Assistant, "4"), Message::user("3+3?")]
}

#[test]
fn templates_have_what_transformers_adds_to_jinja() {
    let system = "Be \"brief\" <b> & 'ok' — 你好 a/b";
    let json = r#""Be \"brief\" <b> & 'ok' — 你好 a/b""#;
    let turn = |role: &str, content: &str| format!("<|im_start|>{role}\n{content}<|im_end|>\n");
    let generation = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}\
        {% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}\
        {% else %}{{ m['content'] }}<|im_end|>{% endif %}\
        {{ '\n' }}{% endfor %}";
    let loops = |start: &str, content: &str| {
        format!("{{% for m in messages %}}{start}<|im_start|>{{{{ m['role'] }}}}\n{content}<|im_end|>\n{{% endfor %}}")
    };
    let first = |content: &str| turn("system", content);
    let all = [first(system), turn("user", "2+2?"), turn("assistant", "4"), turn("user", "3+3?")];
    let only = |start: &str, content: &str| loops(start, content) + "{# the rest #}";
    for (template, expected) in [
        (generation.to_string(), all.concat()),
        (loops("{% if loop.index > 2 %}{% break %}{% endif %}", "{{ m['content'] }}"), all[..2].concat()),
        (loops("{% if loop.index == 2 %}{% continue %}{% endif %}", "{{ m['content'] }}"), {
            [&all[0], &all[2], &all[3]].into_iter().map(String::as_str).collect()
        }),
        (only("{% if not loop.first %}{% break %}{% endif %}", "{{ m['content'] | tojson }}"), first(json)),
        (
            only("{% if not loop.first %}{% break %}{% endif %}", "{{ [m['content'], 1, true, none] | tojson }}"),
            first(&format!("[{json}, 1, true, null]")),
        ),
        (
            only("{% if not loop.first %}{% break %}{% endif %}", "{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}"),
            first(r#"{"a": 2, "b": 1}"#),
        ),
        (
            "{% if tools is not none %}T{% endif %}{% if documents is not none %}D{% endif %}x".to_string(),
            "x".to_string(),
        ),
        ("a{% if tools %}T{% endif %}\r\n{% if true %}\r\nb\r\n{% endif %}\r\n".to_string(), "ab\n".to_string()),
    ] {
        let folder = Folder::new(&TinyModel::default());
        folder.put("chat_template.jinja", &template);
        let model = folder.open();
        let ids = model.engine().encode_chat(&conversation(), false).unwrap();
        assert_eq!(ids, model.engine().encode_raw(&expected).unwrap(), "{template}: {:?}", model.engine().decode(&ids));
    }
}

/// A model whose template writes the date.
fn dated() -> Folder {
    let folder = Folder::new(&TinyModel::default());
    let template = chat_ml("{{ strftime_now('%d %b %Y') }}");
    folder.change("tokenizer_config.json", json!({"chat_template": template}));
    folder
}

#[test]
fn a_template_sees_the_date_that_is_given() {
    let folder = dated();
    let on = |date: &str| {
        let how = LoadOptions {
            dtype: DtypeRequest::Requested(Dtype::F32),
            compute: None,
            date: Some(date.parse().unwrap()),
            watch: &mut |_| (),
        };
        let source = ModelSource::Folder(folder.path("m"));
        LocalModel::open_as(&source, &EngineOptions::default(), false, TokenizerRequirement::Required, how).unwrap()
    };
    let model = on("2024-07-26");
    let ids = model.engine().encode_chat(&[Message::user("hi")], false).unwrap();
    assert_eq!(ids, model.engine().encode_raw(&format!("26 Jul 2024{HI}")).unwrap());
    assert_eq!(model.identity().digest, on("2024-07-26").identity().digest);
    assert_ne!(model.identity().digest, on("2024-07-27").identity().digest);

    let input = "{\"id\": 1, \"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}\n";
    let generate = |date: &str| folder.run_generate(input, &["--date", date]);
    assert_eq!(generate("2024-07-26"), generate("2024-07-26"));
    assert_eq!(generate("2024-07-26").0, 0);
    assert_ne!(generate("2024-07-26").1, generate("2031-12-05").1);
    let (code, _, said) = generate("tomorrow");
    assert!(code == 2 && said.contains("`tomorrow` is not a date: write YYYY-MM-DD"), "{said}");
}

/// Stops a run after its first event.
struct Stopping(CancelToken);

impl Observer for Stopping {
    fn cancel(&self) -> CancelToken {
        self.0.clone()
    }

    fn event(&mut self, _: &Event) {
        self.0.cancel();
    }
}

#[test]
fn a_resumed_run_keeps_the_date_on_which_it_began() {
    let folder = dated();
    let experiment = "schema = 1\n[model]\npath = \"m\"\n[[agent]]\nname = \"a\"\nrole = \"Answers.\"\n\
        prompt = \"Answer: {question}\"\nmax_new_tokens = 4\n[data]\npool = { file = \"pool.jsonl\" }\n\
        [search]\nrounds = 1\nsteps = 1\nbatch = 2\nfinal_check = 2\n[judge]\nmax_new_tokens = 4\n\
        [propose]\nmax_new_tokens = 4\n[engine]\nthreads = 1\n";
    std::fs::write(folder.path("c.toml"), experiment).unwrap();
    std::fs::write(folder.path("pool.jsonl"), "{\"question\": \"one\"}\n{\"question\": \"two\"}\n").unwrap();
    let dir = folder.path("run");
    let mut settings = load(&folder.path("c.toml"), &[], false, ModelCheck::Files).unwrap();
    let stopped = |settings: &Settings, start: Start| {
        let run = RecordedRun { settings, dir: &dir, start, arguments: &[], egress_lock: EgressLock::default };
        run.carry_out(&mut Stopping(CancelToken::new())).unwrap_err()
    };
    let date = || Reader::open(&dir).unwrap().meta("date").unwrap().unwrap();
    assert!(matches!(stopped(&settings, Start::Begin), RunError::Search(SearchError::Cancelled)));
    assert_eq!(date(), format!("\"{}\"", Date::today()));
    let today = date();
    assert!(matches!(stopped(&settings, Start::Resume), RunError::Search(SearchError::Cancelled)));
    assert_eq!(date(), today);
    // The date that the resumed run takes is the journal's: where that is another, the model that
    // the run began with is not there any more.
    let earlier = vec![("date".to_string(), "\"2020-02-03\"".to_string())];
    block_on(Store::open(&dir).unwrap().put_meta(earlier)).unwrap();
    let error = stopped(&settings, Start::Resume);
    assert!(matches!(error, RunError::NotRecorded(_)), "{error:?}");
    assert_eq!(date(), "\"2020-02-03\"");
    // A date that is asked for is a setting: a run of another date is another run.
    settings.date = Some("2021-01-01".parse().unwrap());
    assert!(matches!(stopped(&settings, Start::Resume), RunError::OtherRun { .. }));
    assert!(matches!(stopped(&settings, Start::Replace), RunError::Search(SearchError::Cancelled)));
    assert_eq!(date(), "\"2021-01-01\"");
}
