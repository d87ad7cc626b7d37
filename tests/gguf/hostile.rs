//! Files that break the format: each is refused with a message that says what is wrong and where,
//! and none makes the reader panic.

use crate::support::TinyModel;
use crate::writer::{Put, PutTensor, Writer};
use candle_core::quantized::GgmlDType;
use half::f16;
use maspo::engine::qwen3::Config;
use maspo::engine::text::GgmlVocabulary;
use maspo::engine::weights::{FileBytes, GgufFile, TensorSource};
use proptest::prelude::*;
use serde_json::json;
use std::sync::LazyLock;

fn open(bytes: Vec<u8>) -> Result<GgufFile, String> {
    GgufFile::from_bytes("m.gguf".to_string(), FileBytes::Owned(bytes)).map_err(|error| error.to_string())
}

/// Checks the message about a file of two small tensors with one change.
fn check(change: impl Fn(&mut Writer), expected: &str) {
    let mut writer = Writer::empty();
    writer.put("general.architecture", Put::text("qwen3"));
    writer.zeros("a.weight", &[32, 2], 8, 68);
    writer.zeros("b.weight", &[3], 0, 12);
    assert!(open(writer.bytes()).is_ok());
    change(&mut writer);
    assert_eq!(open(writer.bytes()).err().as_deref(), Some(expected));
}

#[test]
fn counts_and_versions_are_bounded() {
    check(|w| w.version = 1, "m.gguf: version 1 of GGUF; versions 2 and 3 can be read");
    check(|w| w.version = 3 << 24, "m.gguf: a big-endian GGUF file; little-endian ones can be read");
    check(|w| w.counts = Some((u64::MAX, 1)), "m.gguf: 18446744073709551615 tensors; at most 65536 are allowed");
    check(|w| w.counts = Some((2, 1 << 40)), "m.gguf: 1099511627776 metadata keys; at most 4096 are allowed");
    check(|w| w.counts = Some((65_536, 1)), "m.gguf: the tensor ``: 0 dimensions; between 1 and 4 are allowed");
    let message = |bytes: &[u8]| open(bytes.to_vec()).err().unwrap();
    assert_eq!(message(b""), "m.gguf: not a GGUF file: it has 0 bytes");
    assert_eq!(message(b"version https://git-lfs"), "m.gguf: not a GGUF file: it does not begin with `GGUF`");
    assert_eq!(
        message(b"GGUF\x03\0\0\0\x01"),
        "m.gguf: the head of the file: 8 bytes are called for and 1 follow (is the file cut short?)"
    );
}

#[test]
fn metadata_are_checked() {
    for alignment in [0, 24] {
        let expected = format!("m.gguf: the key `general.alignment`: {alignment} is not a power of two");
        check(|w| w.put("general.alignment", Put::whole(alignment)), &expected);
    }
    check(
        |w| w.put("general.alignment", Put::text("32")),
        "m.gguf: the key `general.alignment`: a whole number is called for, and there is a text",
    );
    check(
        |w| w.keys.push(("general.architecture".to_string(), Put::whole(1))),
        "m.gguf: the key `general.architecture` occurs twice",
    );
    check(|w| w.put("k", Put(13, Vec::new())), "m.gguf: the key `k`: a value of the unknown type 13");
    check(
        |w| w.put("k", Put(8, (1u64 << 50).to_le_bytes().to_vec())),
        "m.gguf: the key `k`: a text of 1125899906842624 bytes; at most 1073741824 are allowed",
    );
    check(
        |w| w.put("k", Put(8, [&2u64.to_le_bytes()[..], b"\xC3\x28"].concat())),
        "m.gguf: the key `k`: a text that is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0",
    );
    for (element, count) in [(4u32, u64::MAX), (8, 1 << 60), (9, 1 << 60)] {
        let mut writer = Writer::empty();
        writer.put("k", Put(9, [&element.to_le_bytes()[..], &count.to_le_bytes()].concat()));
        let expected = format!("m.gguf: the key `k`: an array of {count} values, with 15 bytes left in the file");
        assert_eq!(open(writer.bytes()).err().unwrap(), expected);
    }
    let deep = |depth: usize| {
        let one = [9u32.to_le_bytes().as_slice(), &1u64.to_le_bytes()].concat();
        [one.repeat(depth), 0u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec(), vec![7]].concat()
    };
    assert!(
        open({
            let mut w = Writer::empty();
            w.put("k", Put(9, deep(3)));
            w.bytes()
        })
        .is_ok()
    );
    check(|w| w.put("k", Put(9, deep(4))), "m.gguf: the key `k`: arrays in arrays, more than 4 deep");
    check(|w| w.put("k", Put(9, deep(100_000))), "m.gguf: the key `k`: arrays in arrays, more than 4 deep");
    check(
        |w| w.put("split.count", Put::whole(3)),
        "m.gguf: the key `split.count`: this is one of 3 parts of a model, and 1 are at hand",
    );
}

#[test]
fn places_of_tensors_are_checked() {
    fn tensor(change: impl Fn(&mut PutTensor), expected: &str) {
        check(|w| change(&mut w.tensors[0]), expected);
    }
    tensor(|t| t.name = "b.weight".to_string(), "m.gguf: the tensor `b.weight` occurs twice");
    tensor(|t| t.dims.clear(), "m.gguf: the tensor `a.weight`: 0 dimensions; between 1 and 4 are allowed");
    tensor(|t| t.dims = vec![32; 5], "m.gguf: the tensor `a.weight`: 5 dimensions; between 1 and 4 are allowed");
    let uncountable = "more numbers than can be counted";
    tensor(
        |t| t.dims = vec![1 << 32, 1 << 32],
        &format!("m.gguf: the tensor `a.weight`: the shape [4294967296, 4294967296] has {uncountable}"),
    );
    tensor(
        |t| (t.kind, t.dims) = (0, vec![1 << 63]),
        &format!("m.gguf: the tensor `a.weight`: the shape [9223372036854775808] has {uncountable}"),
    );
    for dims in [vec![33, 2], vec![0, 2], vec![32, 0]] {
        let whole = "is not made of rows of whole blocks of 32 numbers";
        tensor(|t| t.dims = dims.clone(), &format!("m.gguf: the tensor `a.weight`: the shape {dims:?} {whole}"));
    }
    for (kind, name) in [(18, "IQ3_XXS"), (77, "type 77")] {
        let readable = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL and IQ4_XS can be read";
        tensor(|t| t.kind = kind, &format!("m.gguf: the tensor `a.weight` is stored as {name}; {readable}"));
    }
    tensor(|t| t.offset = Some(4), "m.gguf: the tensor `a.weight`: its offset 4 is not a multiple of the alignment 32");
    let beyond = "m.gguf: the tensor `a.weight`: it ends after the end of the file (is the file cut short?)";
    tensor(|t| t.offset = Some(64), beyond);
    tensor(|t| t.offset = Some(u64::MAX - 31), beyond);
    tensor(|t| t.dims = vec![32, 1 << 50], beyond);
    check(|w| w.tensors[1].offset = Some(64), "m.gguf: the tensors `a.weight` and `b.weight` overlap");
    check(|w| w.tensors[1].offset = Some(0), "m.gguf: the tensors `a.weight` and `b.weight` overlap");
}

#[test]
fn numbers_and_scales_are_finite() {
    let (f32s, half) = (f32::NAN.to_le_bytes(), f16::NEG_INFINITY.to_le_bytes());
    for (kind, size, at, bad, value) in [
        (0, 1024, 512, &f32s[..], "NaN"),
        (1, 512, 100, &half[..], "-inf"),
        (30, 512, 100, &f32s[2..], "NaN"),
        (8, 272, 34, &half[..], "-inf"),
        (12, 144, 2, &half[..], "-inf"),
        (14, 210, 208, &half[..], "-inf"),
    ] {
        let mut writer = Writer::empty();
        writer.zeros("output.weight", &[256, 1], kind, size);
        assert!(open(writer.bytes()).unwrap().tensor("lm_head.weight", &[1, 256]).is_ok());
        writer.tensors[0].data[at..at + bad.len()].copy_from_slice(bad);
        let mut file = open(writer.bytes()).unwrap();
        let expected = format!("m.gguf: the tensor `output.weight` holds the value {value}");
        assert_eq!(file.tensor("lm_head.weight", &[1, 256]).unwrap_err().to_string(), expected);
        let format = file.stored_format("lm_head.weight");
        assert_eq!(file.matrix("lm_head.weight", (1, 256), format).err().unwrap().to_string(), expected);
    }
}

#[test]
fn shapes_and_names_are_those_asked_for_or_nothing_comes() {
    let mut writer = Writer::empty();
    writer.zeros("output.weight", &[4, 2], 0, 32);
    let mut file = open(writer.bytes()).unwrap();
    let mut message = |name: &str, shape: &[usize]| file.tensor(name, shape).unwrap_err().to_string();
    assert_eq!(
        message("lm_head.weight", &[4, 2]),
        "the tensor `output.weight` has the shape [2, 4]; the configuration calls for [4, 2]"
    );
    assert_eq!(message("model.norm.weight", &[4]), "the weights lack the tensor `output_norm.weight`");
}

/// Reads everything that opening a model reads, without the engine.
fn use_all(file: &mut GgufFile) {
    let _ = Config::from_gguf(file);
    let metadata = file.metadata();
    if let (Ok(Some(tokens)), Ok(Some(types)), Ok(Some(merges))) = (
        metadata.texts("tokenizer.ggml.tokens"),
        metadata.wholes("tokenizer.ggml.token_type"),
        metadata.texts("tokenizer.ggml.merges"),
    ) {
        let vocabulary = GgmlVocabulary { model: "gpt2", pre: "qwen2", tokens, types, merges };
        vocabulary.ends();
        if let Ok(tokenizer) = vocabulary.tokenizer() {
            let ids = tokenizer.encode_raw("The capital of <|im_end|> is 33").unwrap_or_default();
            tokenizer.decode(&ids);
        }
    }
    for name in ["model.embed_tokens.weight", "model.norm.weight", "model.layers.0.self_attn.q_proj.weight"] {
        let Some(shape) = file.shape(name).map(<[usize]>::to_vec) else { continue };
        let _ = file.tensor(name, &shape);
        if let [outputs, inputs] = shape[..] {
            let format = file.stored_format(name);
            let _ = file.matrix(name, (outputs, inputs), format);
        }
    }
}

/// A small model with everything that a file can have.
static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let config = json!({"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1});
    let model = TinyModel { config, ..TinyModel::default() };
    Writer::model(&model, |_| GgmlDType::Q8_0).with_text(416).bytes()
});

#[test]
fn a_file_cut_short_anywhere_is_refused() {
    let bytes = WHOLE.clone();
    for end in (0..bytes.len()).step_by(97) {
        assert!(open(bytes[..end].to_vec()).is_err(), "{end} of {} bytes", bytes.len());
    }
    use_all(&mut open(bytes).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_changed_bytes_make_it_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
    ) {
        let mut bytes = WHOLE.clone();
        for (at, byte, in_head) in changes {
            let length = if in_head { 2_000 } else { bytes.len() };
            bytes[at.index(length)] = byte;
        }
        if let Ok(mut file) = open(bytes) {
            use_all(&mut file);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), keys in 0u64..4) {
        let head = [b"GGUF\x03\0\0\0".as_slice(), &3u64.to_le_bytes(), &keys.to_le_bytes()].concat();
        let _ = open([head, bytes].concat());
    }
}
