//! GGUF files of other families than Qwen3, of number formats without kernels, and in several
//! parts.

use crate::model::{check, gguf, greedy, open};
use crate::support::TinyModel;
use crate::writer::{Put, Writer, quantized};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use futures::executor::block_on;
use maspo::base::Seed;
use maspo::engine::kernels::Format;
use maspo::engine::qwen3::{Config, Dtype};
use maspo::engine::weights::{GgufFile, RandomWeights, TensorSource};
use maspo::engine::{
    DtypeRequest, EngineOptions, LoadNotice, LoadOptions, LoadProgress, ModelSource, TokenizerRequirement,
};
use maspo::local::LocalModel;
use serde_json::{Value, json};
use std::path::Path;

/// A model of another family.
fn of_family(family: &str, more: Value) -> TinyModel {
    let mut config = json!({"model_type": family, "hidden_size": 48, "num_attention_heads": 6, "head_dim": null});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    TinyModel { config, ..TinyModel::default() }
}

#[test]
fn every_family_gives_the_same_tokens_from_both() {
    for model in [
        of_family("qwen2", json!({"tie_word_embeddings": false})),
        of_family("llama", json!({"rope_theta": 1e5})),
        of_family("llama", json!({"attention_bias": true, "num_key_value_heads": 6, "head_dim": 16})),
        of_family("mistral", json!({"sliding_window": null, "tie_word_embeddings": false})),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (hugging_face, file) = (folder.path().join("hf"), folder.path().join("m.gguf"));
        std::fs::create_dir(&hugging_face).unwrap();
        model.write(&hugging_face);
        std::fs::write(&file, Writer::model(&model, |_| GgmlDType::F32).with_text(416).bytes()).unwrap();
        let (one, other) = (open(&hugging_face), open(&file));
        assert_eq!(one.engine().config().parameters(), other.engine().config().parameters());
        assert_eq!(greedy(&one, 24, true), greedy(&other, 24, true), "{}", model.config);
    }
}

#[test]
fn rows_of_llama_are_put_in_order_whatever_they_are_stored_in() {
    let model = of_family("llama", json!({"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 256}));
    let ordered = RandomWeights::new(Seed(model.seed));
    for kind in [GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K, GgmlDType::F16] {
        let mut file = gguf(&Writer::model(&model, |_| kind));
        let name = "model.layers.1.self_attn.k_proj.weight";
        let theirs = quantized(&ordered.numbers(name, &[128, 256]), &[128, 256], kind);
        let theirs: Vec<f32> = theirs.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        for format in [file.stored_format(name), Format::F32] {
            let rows = file.matrix(name, (128, 256), format).unwrap();
            let ours: Vec<f32> = (0..128).flat_map(|row| rows.floats(row)).collect();
            let largest = theirs.iter().fold(0.0f32, |largest, number| largest.max(number.abs()));
            assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= largest / 200.0), "{kind:?}");
        }
    }
}

#[test]
fn the_scaling_of_llama_3_comes_as_factors() {
    let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64});
    let folder = tempfile::tempdir().unwrap();
    let (hugging_face, file) = (folder.path().join("hf"), folder.path().join("m.gguf"));
    std::fs::create_dir(&hugging_face).unwrap();
    of_family("llama", json!({"rope_scaling": scaling, "head_dim": 16, "rope_theta": 1e4})).write(&hugging_face);
    let plain = of_family("llama", json!({"head_dim": 16, "rope_theta": 1e4}));
    let mut writer = Writer::model(&plain, |_| GgmlDType::F32);
    // What converters write: 1 for short wavelengths, the factor for long ones, a ramp between
    // them.
    let factors = (0..8).map(|pair| {
        let wavelength = 2.0 * std::f32::consts::PI * 1e4f32.powf(pair as f32 / 8.0);
        match wavelength {
            short if short < 16.0 => 1.0,
            long if long > 64.0 => 8.0,
            between => {
                let smooth = (64.0 / between - 1.0) / 3.0;
                1.0 / ((1.0 - smooth) / 8.0 + smooth)
            }
        }
    });
    let data: Vec<u8> = factors.flat_map(f32::to_le_bytes).collect();
    writer.zeros("rope_freqs.weight", &[8], 0, 32);
    writer.tensors.last_mut().unwrap().data = data;
    std::fs::write(&file, writer.bytes()).unwrap();
    let prompt = |model: &LocalModel| {
        let answers = (0..80).map(|id| vec![id]).collect();
        let prompt = (0..200).map(|i| i * 7 % 416).collect();
        block_on(model.engine().score_tokens(prompt, answers)).unwrap().logprobs
    };
    let (one, other) = (prompt(&open(&hugging_face)), prompt(&open(&file)));
    assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4), "{one:?} {other:?}");
    writer.tensors.last_mut().unwrap().data = 1f32.to_le_bytes().repeat(8);
    std::fs::write(&file, writer.bytes()).unwrap();
    let plain = prompt(&open(&file));
    assert!(one.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 1e-3));
    writer.tensors.last_mut().unwrap().data.truncate(16);
    writer.tensors.last_mut().unwrap().data[0] = 7;
    writer.tensors.last_mut().unwrap().dims = vec![4];
    let message = Config::from_gguf(&gguf(&writer)).unwrap_err().to_string();
    assert!(message.starts_with("m.gguf: `rope_freqs.weight` is 4 factors; it must hold"), "{message}");
}

#[test]
fn a_split_file_needs_all_of_its_parts() {
    let model = TinyModel::default();
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(format!("m-{number:05}-of-00003.gguf"));
    let whole = folder.path().join("whole.gguf");
    let mut first = Writer::model(&model, |_| GgmlDType::F32).with_text(416);
    std::fs::write(&whole, first.bytes()).unwrap();
    let expected = greedy(&open(&whole), 12, true);
    std::fs::remove_file(&whole).unwrap();
    let all = first.tensors.len();
    let split = |writer: &mut Writer, number: u32| {
        writer.put("split.no", Put::whole(number));
        writer.put("split.count", Put::whole(3));
        writer.put("split.tensors.count", Put::whole(all as u32));
    };
    let (mut second, mut third) = (Writer::empty(), Writer::empty());
    third.tensors = first.tensors.split_off(all - 4);
    second.tensors = first.tensors.split_off(5);
    for (number, writer) in [&mut first, &mut second, &mut third].into_iter().enumerate() {
        split(writer, number as u32);
        std::fs::write(path(number + 1), writer.bytes()).unwrap();
    }
    for source in [path(1).as_path(), folder.path()] {
        assert_eq!(greedy(&open(source), 12, true), expected, "{}", source.display());
    }
    let message = |path: &Path| GgufFile::open(path).err().unwrap().to_string();
    assert_eq!(
        message(&path(2)),
        format!(
            "{0}: the key `split.no`: this is part 2 of 3: give the first one, {1}",
            path(2).display(),
            path(1).display()
        )
    );
    std::fs::rename(path(1), &whole).unwrap();
    assert!(message(&whole).contains("whose names must end in `-00001-of-00003.gguf` and so on"));
    std::fs::rename(&whole, path(1)).unwrap();
    std::fs::copy(path(2), path(3)).unwrap();
    assert_eq!(message(&path(1)), format!("{}: the key `split.no`: 1 in part 2, counted from 0", path(3).display()));
    std::fs::remove_file(path(3)).unwrap();
    assert_eq!(
        message(&path(1)),
        format!("{} cannot be read: there is no such file; it is part 3 of 3 of the model", path(3).display())
    );
}

#[test]
fn files_that_are_no_models_are_named() {
    check(
        |w| w.put("general.type", Put::text("imatrix")),
        "m.gguf: `general.type` is imatrix; the file is an importance matrix for quantizing a model: give the model's \
        own file",
    );
    check(
        |w| w.put("general.type", Put::text("adapter")),
        "m.gguf: `general.type` is adapter; the file is a LoRA adapter: merge it into its base model and give the \
        result",
    );
    let remote = "a mixture of experts, which the built-in engine does not run: serve it with an OpenAI-compatible \
        server and use that as a remote backend";
    check(
        |w| w.put("general.architecture", Put::text("qwen3moe")),
        &format!("m.gguf: `general.architecture` is `qwen3moe`, {remote}"),
    );
    check(|w| w.put("qwen3.expert_count", Put::whole(8)), &format!("m.gguf: `expert_count` is `8`, {remote}"));
}

#[test]
fn formats_without_kernels_are_repacked_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    let kind = |name: &str| if name.contains("up_proj") { GgmlDType::Q5_1 } else { GgmlDType::Q4_1 };
    std::fs::write(&path, Writer::model(&TinyModel::default(), kind).bytes()).unwrap();
    let mut found = Vec::new();
    let mut watch = |progress| match progress {
        LoadProgress::Noticed(notice) => found.push(notice),
        LoadProgress::Resolved(_) | LoadProgress::Loaded { .. } => {}
    };
    let dtype = DtypeRequest::Requested(Dtype::Auto);
    let how = LoadOptions { dtype, compute: None, date: None, watch: &mut watch };
    let source = ModelSource::parse(path.to_str().unwrap()).unwrap();
    let options = EngineOptions::default();
    let model = LocalModel::open_as(&source, &options, false, TokenizerRequirement::Optional, how).unwrap();
    // In rows of 32 inputs: the table 416, q, k, v 128 and o 2 rows of 64 for each of 32, gate 64,
    // down 2 * 32.
    let (rows, up) = (416 + 2 * (128 + 64 + 64 + 64), 2 * 64);
    // The layers of a small model in 16 bits, the table in 8.
    let memory_bytes = 34 * 416 + 64 * (rows - 416 + up);
    let formats = vec![("Q4_1", 20 * rows), ("Q5_1", 24 * up)];
    let kept = vec![Format::F16, Format::Q8_0];
    assert_eq!(found, [LoadNotice::Repacked { formats, kept, memory_bytes }]);
    assert_eq!(model.engine().resolved_dtype().bytes, memory_bytes);
    assert_eq!(greedy(&model, 8, true).0.len(), 8);
}
