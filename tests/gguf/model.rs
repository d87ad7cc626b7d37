//! A model gives the same results from a GGUF file as from safetensors.

use crate::support::{TinyModel, shapes};
use crate::writer::{Put, Writer, quantized};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use futures::executor::block_on;
use maspo::base::Seed;
use maspo::chat::{ChatModel, FinishReason, Message, Sampling};
use maspo::engine::kernels::{Compute, Format, KernelSet};
use maspo::engine::qwen3::{Config, Dtype};
use maspo::engine::weights::{FileBytes, GgufFile, Leftover, RandomWeights, TensorSource, WeightFiles, WeightsError};
use maspo::engine::{DtypeRequest, EngineOptions, LoadOptions, ModelSource, TokenRequest, TokenizerRequirement};
use maspo::local::LocalModel;
use serde_json::{Value, json};
use std::path::Path;

/// Returns a model whose rows are whole blocks of every format.
fn blocky() -> TinyModel {
    let config = json!({
        "hidden_size": 256, "intermediate_size": 512,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
        "tie_word_embeddings": false, "attention_bias": true,
    });
    TinyModel { config, ..TinyModel::default() }
}

pub(crate) fn open(path: &Path) -> LocalModel {
    let source = ModelSource::parse(path.to_str().unwrap()).unwrap();
    LocalModel::open_for_tokens(&source, &EngineOptions::default(), Dtype::F32, false).unwrap()
}

pub(crate) fn greedy(model: &LocalModel, count: usize, ignore_eos: bool) -> (Vec<u32>, FinishReason) {
    let request = TokenRequest {
        prompt: vec![5, 9, 300, 17],
        max_new_tokens: count,
        sampling: Sampling::GREEDY,
        ignore_eos,
        stop: Vec::new(),
    };
    let output = block_on(model.engine().generate(request)).unwrap();
    (output.token_ids, output.finish_reason)
}

pub(crate) fn gguf(writer: &Writer) -> GgufFile {
    GgufFile::from_bytes("m.gguf".to_string(), FileBytes::Owned(writer.bytes())).unwrap()
}

#[test]
fn in_f32_both_give_the_same_tokens() {
    for model in [TinyModel::default(), blocky()] {
        let folder = tempfile::tempdir().unwrap();
        let (hugging_face, alone) = (folder.path().join("hf"), folder.path().join("alone"));
        std::fs::create_dir(&hugging_face).unwrap();
        std::fs::create_dir(&alone).unwrap();
        model.write(&hugging_face);
        let writer = Writer::model(&model, |_| GgmlDType::F32).with_text(416);
        std::fs::write(alone.join("m.gguf"), writer.bytes()).unwrap();
        let (one, other) = (open(&hugging_face), open(&alone.join("m.gguf")));
        assert_eq!(one.engine().config(), other.engine().config());
        assert_eq!(greedy(&one, 24, true), greedy(&other, 24, true));
        assert_ne!(one.identity().digest, other.identity().digest);
        assert_eq!(other.identity().digest, open(&alone).identity().digest, "a folder with one GGUF file is that file");
        assert_eq!(other.identity().name, "m.gguf");
    }
}

#[test]
fn the_identity_covers_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut writer = Writer::model(&TinyModel::default(), |_| GgmlDType::F32).with_text(416);
    let mut digest = |change: &dyn Fn(&mut Writer)| {
        change(&mut writer);
        std::fs::write(&path, writer.bytes()).unwrap();
        open(&path).identity().digest
    };
    let first = digest(&|_| {});
    assert_eq!(first, digest(&|_| {}));
    let weights = digest(&|writer| writer.tensors[0].data[0] ^= 1);
    assert_ne!(first, weights);
    assert_ne!(weights, digest(&|writer| writer.put("tokenizer.ggml.eos_token_id", Put::whole(7))));
}

#[test]
fn the_end_of_turn_is_that_of_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut writer = Writer::model(&TinyModel::default(), |_| GgmlDType::F32);
    std::fs::write(&path, writer.bytes()).unwrap();
    let (tokens, reason) = greedy(&open(&path), 8, false);
    assert_eq!((tokens.len(), reason), (8, FinishReason::Length));
    writer.put("tokenizer.ggml.eos_token_id", Put::whole(tokens[0]));
    std::fs::write(&path, writer.bytes()).unwrap();
    assert_eq!(greedy(&open(&path), 8, false).1, FinishReason::Stop);
    // A file beside it adds to them, as the files of a folder add to each other.
    let beside = |id: u32| {
        let text = json!({"eos_token_id": [id]}).to_string();
        std::fs::write(folder.path().join("generation_config.json"), text).unwrap();
        greedy(&open(&path), 8, false).1
    };
    assert_eq!(beside(415), FinishReason::Stop);
    writer.put("tokenizer.ggml.eos_token_id", Put::whole(415));
    std::fs::write(&path, writer.bytes()).unwrap();
    assert_eq!(beside(414), FinishReason::Length);
    assert_eq!(beside(tokens[0]), FinishReason::Stop);
}

#[test]
fn chat_ml_ends_a_turn_whatever_the_metadata_say_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut writer = Writer::model(&TinyModel::default(), |_| GgmlDType::F32).with_text(416);
    std::fs::write(&path, writer.bytes()).unwrap();
    let (tokens, reason) = greedy(&open(&path), 8, false);
    assert_eq!((tokens.len(), reason), (8, FinishReason::Length));
    // The model's first token becomes `<|im_end|>`, under every type that converters give it.
    let end = tokens[0];
    for kind in [1, 3, 4] {
        let (mut texts, mut types) = texts_and_types(&writer);
        let other = texts.iter().position(|text| text == "<|im_end|>").unwrap();
        texts.swap(other, end as usize);
        types.swap(other, end as usize);
        types[end as usize] = kind;
        let mut changed = Writer { keys: writer.keys.clone(), ..Writer::empty() };
        changed.tensors = std::mem::take(&mut writer.tensors);
        changed.put("tokenizer.ggml.tokens", Put::texts(texts.iter().map(String::as_str)));
        changed.put("tokenizer.ggml.token_type", Put::wholes(&types));
        changed.put("tokenizer.ggml.merges", Put::texts([].into_iter()));
        std::fs::write(&path, changed.bytes()).unwrap();
        writer.tensors = changed.tensors;
        assert_eq!(greedy(&open(&path), 8, false).1, FinishReason::Stop, "type {kind}");
    }
}

#[test]
fn a_template_sees_the_special_tokens_of_the_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let mut writer = Writer::model(&TinyModel::default(), |_| GgmlDType::F32).with_text(416);
    let (texts, _) = texts_and_types(&writer);
    let id = |text: &str| Put::whole(texts.iter().position(|known| known == text).unwrap() as u32);
    writer.put("tokenizer.ggml.bos_token_id", id("<|endoftext|>"));
    writer.put("tokenizer.ggml.eos_token_id", id("<|im_end|>"));
    let template = "{{ bos_token }}{% for m in messages %}\
        {{ '<|im_start|>' + m['role'] + '\n' + m['content'] + eos_token }}\
        {% endfor %}{% if pad_token %}p{% endif %}";
    writer.put("tokenizer.chat_template", Put::text(template));
    std::fs::write(&path, writer.bytes()).unwrap();
    let model = open(&path);
    let ids = model.engine().encode_chat(&[Message::user("hi")], false).unwrap();
    assert_eq!(ids, model.engine().encode_raw("<|endoftext|><|im_start|>user\nhi<|im_end|>").unwrap());
    // A file beside it that names one comes first.
    std::fs::write(folder.path().join("special_tokens_map.json"), r#"{"bos_token": "<|im_start|>"}"#).unwrap();
    let model = open(&path);
    let ids = model.engine().encode_chat(&[Message::user("hi")], false).unwrap();
    assert_eq!(ids, model.engine().encode_raw("<|im_start|><|im_start|>user\nhi<|im_end|>").unwrap());
}

/// The tokens of a file and their types.
fn texts_and_types(writer: &Writer) -> (Vec<String>, Vec<i32>) {
    let file = gguf(writer);
    let metadata = file.metadata();
    let texts = metadata.texts("tokenizer.ggml.tokens").unwrap().unwrap();
    let types = metadata.wholes("tokenizer.ggml.token_type").unwrap().unwrap();
    (texts.into_iter().map(str::to_string).collect(), types.into_iter().map(|kind| kind as i32).collect())
}

/// Scalings as GGUF files and as `config.json` write them.
#[test]
fn rope_scaling_in_the_metadata_is_that_of_a_configuration() {
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64});
    let tuned = json!({"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 32, "beta_fast": 16.0,
        "beta_slow": 2.0, "attention_factor": 0.5 * (0.1 * 2f64.ln() + 1.0)});
    let linear = json!({"rope_type": "linear", "factor": 4.0});
    let text = |kind: &str| ("scaling.type", Put::text(kind));
    let number = |key: &'static str, value: f32| (key, Put::number(value));
    let whole = |key: &'static str, value: u32| (key, Put::whole(value));
    let cases: [(Value, Vec<(&str, Put)>); 6] = [
        (yarn, vec![text("yarn"), number("scaling.factor", 4.0), whole("scaling.original_context_length", 64)]),
        (
            tuned,
            vec![
                text("yarn"),
                number("scaling.factor", 2.0),
                whole("scaling.original_context_length", 32),
                number("scaling.yarn_beta_fast", 16.0),
                number("scaling.yarn_beta_slow", 2.0),
                number("scaling.attn_factor", 0.5),
            ],
        ),
        (linear.clone(), vec![text("linear"), number("scaling.factor", 4.0)]),
        (linear.clone(), vec![number("scaling.factor", 4.0)]),
        (linear, vec![number("scale_linear", 4.0)]),
        (Value::Null, vec![text("none"), number("scaling.factor", 4.0)]),
    ];
    let plain = {
        let folder = tempfile::tempdir().unwrap();
        TinyModel::default().write(folder.path());
        greedy(&open(folder.path()), 24, true)
    };
    for (scaling, keys) in cases {
        let folder = tempfile::tempdir().unwrap();
        let (hugging_face, path) = (folder.path().join("hf"), folder.path().join("m.gguf"));
        std::fs::create_dir(&hugging_face).unwrap();
        TinyModel { config: json!({"rope_scaling": scaling}), ..TinyModel::default() }.write(&hugging_face);
        let mut writer = Writer::model(&TinyModel::default(), |_| GgmlDType::F32);
        for (key, value) in keys {
            writer.put(&format!("qwen3.rope.{key}"), value);
        }
        std::fs::write(&path, writer.bytes()).unwrap();
        let (one, other) = (open(&hugging_face), open(&path));
        assert_eq!(one.engine().config(), other.engine().config());
        assert_eq!(greedy(&one, 24, true), greedy(&other, 24, true));
        assert_eq!(greedy(&one, 24, true) == plain, scaling.is_null(), "{scaling}");
    }
}

#[test]
fn a_head_in_the_file_is_used_and_tensors_of_zeros_are_counted() {
    let untied = TinyModel { config: json!({"tie_word_embeddings": false}), ..TinyModel::default() };
    let mut writer = Writer::model(&untied, |_| GgmlDType::Q8_0);
    assert!(!Config::from_gguf(&gguf(&writer)).unwrap().tie_word_embeddings);
    let zero = writer.tensors.iter_mut().find(|tensor| tensor.name == "blk.1.attn_norm.weight").unwrap();
    zero.data.fill(0);
    let zero = writer.tensors.iter_mut().find(|tensor| tensor.name == "blk.0.attn_q.weight").unwrap();
    zero.data.fill(0);
    let mut file = gguf(&writer);
    for (name, shape) in shapes(&untied.whole_config()) {
        file.tensor(&name, &shape).unwrap();
    }
    assert_eq!(file.zero_tensors(), ["blk.0.attn_q.weight", "blk.1.attn_norm.weight"]);
}

/// Returns the format of a matrix, which differs from layer to layer as in a Q4_K_M file.
fn mixed(name: &str) -> GgmlDType {
    match name {
        _ if name.contains("q_proj") => GgmlDType::Q4K,
        _ if name.contains("v_proj") || name.contains("lm_head") => GgmlDType::Q6K,
        _ if name.contains("k_proj") => GgmlDType::Q8_0,
        _ if name.contains("o_proj") => GgmlDType::BF16,
        _ if name.contains("gate_proj") => GgmlDType::F16,
        _ if name.contains("embed_tokens") => GgmlDType::F32,
        _ => GgmlDType::Q4K,
    }
}

#[test]
fn every_number_format_is_read_as_candle_reads_it() {
    let model = blocky();
    let mut file = gguf(&Writer::model(&model, mixed));
    let weights = RandomWeights::new(Seed(model.seed));
    for (name, shape) in shapes(&model.whole_config()) {
        let kind = if shape.len() == 1 { GgmlDType::F32 } else { mixed(&name) };
        let stored = quantized(&weights.numbers(&name, &shape), &shape, kind);
        let theirs: Vec<f32> = stored.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let ours: Vec<f32> = file.tensor(&name, &shape).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(ours, theirs, "{name}");
        let [outputs, inputs] = shape[..] else { continue };
        let (format, exact) = match kind {
            GgmlDType::Q4K => (Format::Q4K, true),
            GgmlDType::Q6K => (Format::Q8_0, false),
            GgmlDType::Q8_0 => (Format::Q8_0, true),
            GgmlDType::F16 => (Format::F16, true),
            GgmlDType::BF16 => (Format::Bf16, true),
            _ => (Format::F32, true),
        };
        assert_eq!(file.stored_format(&name), format, "{name}");
        let rows = file.matrix(&name, (outputs, inputs), format).unwrap();
        let kept: Vec<f32> = (0..outputs).flat_map(|row| rows.floats(row)).collect();
        if exact {
            assert_eq!(kept, theirs, "{name}");
        }
        let largest = theirs.iter().fold(0.0f32, |largest, number| largest.max(number.abs()));
        assert!(kept.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= largest / 200.0), "{name}");
        let rows = file.matrix(&name, (outputs, inputs), Format::F32).unwrap();
        assert_eq!((0..outputs).flat_map(|row| rows.floats(row)).collect::<Vec<f32>>(), theirs, "{name}");
    }
    file.check_all_used(Leftover::Nothing).unwrap();
}

#[test]
fn a_mixed_file_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, Writer::model(&blocky(), mixed).bytes()).unwrap();
    assert_eq!(greedy(&open(&path), 8, true).0.len(), 8);
}

/// Returns the log-probabilities of a hundred tokens after two prompts, long and short, and those
/// of an answer of several tokens.
fn scores(path: &Path, dtype: Dtype, compute: Compute) -> Vec<f64> {
    let source = ModelSource::parse(path.to_str().unwrap()).unwrap();
    let how =
        LoadOptions { dtype: DtypeRequest::Requested(dtype), compute: Some(compute), date: None, watch: &mut |_| () };
    let model =
        LocalModel::open_as(&source, &EngineOptions::default(), false, TokenizerRequirement::Optional, how).unwrap();
    let prompts = [(0..50).map(|i| i * 7 % 416).collect::<Vec<u32>>(), vec![5]];
    let answers: Vec<Vec<u32>> = (0..100).map(|id| vec![id * 4]).chain([vec![1, 2, 3, 4]]).collect();
    let score = |prompt| block_on(model.engine().score_tokens(prompt, answers.clone())).unwrap().logprobs;
    prompts.into_iter().flat_map(score).collect()
}

#[test]
fn a_mixed_file_says_in_its_own_formats_what_it_says_in_f32_but_for_rounding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    std::fs::write(&path, Writer::model(&blocky(), mixed).bytes()).unwrap();
    for set in KernelSet::available() {
        let [exact, own] =
            [Dtype::F32, Dtype::Auto].map(|dtype| scores(&path, dtype, Compute::with_kernels(Some(2), set).unwrap()));
        let spread = exact.iter().fold(0.0f64, |most, p| most.max((p - exact[0]).abs()));
        let squares: f64 = exact.iter().zip(&own).map(|(a, b)| (a - b).powi(2)).sum();
        let (error, name) = ((squares / exact.len() as f64).sqrt(), set.name());
        assert!(error > 0.0 && error < 0.05, "{name}: {error} nats");
        assert!(spread > 20.0 * error, "{name}: a spread of {spread} nats and an error of {error}");
    }
}

#[test]
fn matrices_that_become_one_are_kept_in_the_finest_format_that_one_of_them_needs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let bytes = |v_proj: GgmlDType| {
        let kind = |name: &str| if name.contains("v_proj") { v_proj } else { GgmlDType::Q4K };
        std::fs::write(&path, Writer::model(&blocky(), kind).bytes()).unwrap();
        let source = ModelSource::parse(path.to_str().unwrap()).unwrap();
        let options = EngineOptions::default();
        LocalModel::open_for_tokens(&source, &options, Dtype::Auto, false).unwrap().engine().resolved_dtype().bytes
    };
    // Counted in rows of 256 inputs: q, k and v of a layer have 512, o_proj 256, gate and up 1,024,
    // down_proj 512 (its own rows are twice as wide), and each of the two tables 416.
    let (q4_row, q8_row) = (144, 8 * 34);
    let without = 2 * (256 + 1024 + 2 * 256) * q4_row + 2 * 416 * q4_row;
    assert_eq!(bytes(GgmlDType::Q4K), without + 2 * 512 * q4_row);
    // Q4_K_M has this in half of its layers: 8.5 bits for all three.
    assert_eq!(bytes(GgmlDType::Q6K), without + 2 * 512 * q8_row);
    // f32 keeps what either 16-bit format loses of the other.
    let kind = |name: &str| match name {
        _ if name.contains("v_proj") => GgmlDType::F16,
        _ if name.contains("k_proj") => GgmlDType::BF16,
        _ => GgmlDType::Q4K,
    };
    std::fs::write(&path, Writer::model(&blocky(), kind).bytes()).unwrap();
    let source = ModelSource::parse(path.to_str().unwrap()).unwrap();
    let model = LocalModel::open_for_tokens(&source, &EngineOptions::default(), Dtype::Auto, false).unwrap();
    assert_eq!(model.engine().resolved_dtype().bytes, without + 2 * 512 * 4 * 256);
}

/// Checks the message about the configuration of a file with one change.
pub(crate) fn check(change: impl Fn(&mut Writer), expected: &str) {
    let mut writer = Writer::model(&TinyModel::default(), |_| GgmlDType::F32);
    change(&mut writer);
    assert_eq!(Config::from_gguf(&gguf(&writer)).unwrap_err().to_string(), expected);
}

#[test]
fn every_mistake_in_the_metadata_names_its_key() {
    check(
        |w| w.put("general.architecture", Put::text("gemma2")),
        "m.gguf: `general.architecture` is `gemma2`; dense models of the families qwen3, qwen2, llama and mistral are \
        supported",
    );
    check(|w| w.keys.retain(|key| key.0 != "qwen3.block_count"), "m.gguf: the key `qwen3.block_count` is missing");
    check(
        |w| w.put("qwen3.block_count", Put::text("2")),
        "m.gguf: the key `qwen3.block_count`: a whole number is called for, and there is a text",
    );
    check(
        |w| w.put("qwen3.block_count", Put(5, (-1i32).to_le_bytes().to_vec())),
        "m.gguf: the key `qwen3.block_count`: a whole number is called for, and this one is negative or malformed",
    );
    check(
        |w| w.put("qwen3.block_count", Put::whole(0)),
        "m.gguf: `qwen3.block_count` is 0; it must be between 1 and 2^30",
    );
    check(
        |w| w.put("qwen3.attention.head_count_kv", Put::whole(3)),
        "m.gguf: `qwen3.attention.head_count_kv` is 3; it must divide `qwen3.attention.head_count`, which is 4",
    );
    check(
        |w| w.put("qwen3.rope.scaling.type", Put::text("longrope")),
        "m.gguf: `qwen3.rope.scaling.type` is longrope; only `none`, `linear` and `yarn` are supported",
    );
    check(
        |w| w.put("qwen3.rope.scaling.type", Put::text("yarn")),
        "m.gguf: `qwen3.rope.scaling.factor` is missing; it must be at least 1",
    );
    check(
        |w| w.put("qwen3.rope.scaling.factor", Put::number(0.5)),
        "m.gguf: `qwen3.rope.scaling.factor` is 0.5; it must be at least 1",
    );
    check(
        |w| w.put("qwen3.rope.freq_base", Put::number(f32::NAN)),
        "m.gguf: `qwen3.rope.freq_base` is NaN; it must be a finite number",
    );
    check(
        |w| w.put("qwen3.attention.value_length", Put::whole(8)),
        "m.gguf: `qwen3.attention.value_length` is 8; it must be equal to `qwen3.attention.key_length`",
    );
    check(|w| w.tensors.retain(|t| t.name != "token_embd.weight"), "the weights lack the tensor `token_embd.weight`");
}

#[test]
fn tensors_that_nobody_asks_for_are_a_fault_unless_they_do_nothing() {
    let model = TinyModel::default();
    let left_over = |change: &dyn Fn(&mut Writer)| -> Result<(), WeightsError> {
        let mut writer = Writer::model(&model, |_| GgmlDType::F32);
        change(&mut writer);
        let mut file = gguf(&writer);
        for (name, shape) in shapes(&model.whole_config()) {
            file.tensor(&name, &shape).unwrap();
        }
        file.check_all_used(Leftover::TiedHead)
    };
    let factors = |factor: f32| {
        move |writer: &mut Writer| {
            writer.zeros("rope_freqs.weight", &[8], 0, 32);
            writer.tensors.last_mut().unwrap().data = factor.to_le_bytes().repeat(8);
        }
    };
    left_over(&|_| {}).unwrap();
    left_over(&factors(1.0)).unwrap();
    let message = |found: Result<(), WeightsError>| found.unwrap_err().to_string();
    let expected =
        |name: &str| format!("the weights hold 1 tensors that the configuration has no place for, first `{name}`");
    assert_eq!(message(left_over(&factors(8.0))), expected("rope_freqs.weight"));
    assert_eq!(message(left_over(&|w| w.zeros("blk.0.attn_q.scale", &[1], 0, 4))), expected("blk.0.attn_q.scale"));
}
