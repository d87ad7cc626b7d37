//! Writes GGUF files: sound ones of small random models, and, with a field changed, unsound ones.

use crate::support::{TinyModel, head_dim, shapes};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use maspo::base::Seed;
use maspo::engine::weights::RandomWeights;
use serde_json::Value;
use std::path::Path;

/// A metadata value: its type and its bytes.
#[derive(Clone)]
pub(crate) struct Put(pub(crate) u32, pub(crate) Vec<u8>);

impl Put {
    pub(crate) fn whole(number: u32) -> Self {
        Self(4, number.to_le_bytes().to_vec())
    }

    pub(crate) fn number(number: f32) -> Self {
        Self(6, number.to_le_bytes().to_vec())
    }

    pub(crate) fn text(text: &str) -> Self {
        Self(8, text_bytes(text))
    }

    pub(crate) fn texts<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let mut bytes = [8u32.to_le_bytes().as_slice(), &(texts.len() as u64).to_le_bytes()].concat();
        texts.for_each(|text| bytes.extend(text_bytes(text)));
        Self(9, bytes)
    }

    pub(crate) fn wholes(numbers: &[i32]) -> Self {
        let mut bytes = [5u32.to_le_bytes().as_slice(), &(numbers.len() as u64).to_le_bytes()].concat();
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        Self(9, bytes)
    }
}

fn text_bytes(text: &str) -> Vec<u8> {
    [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

/// A tensor to be written.
pub(crate) struct PutTensor {
    pub(crate) name: String,
    /// The sizes of the dimensions, the width of a row first.
    pub(crate) dims: Vec<u64>,
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
    /// The offset that the file declares, if it is not the true one.
    pub(crate) offset: Option<u64>,
}

/// A file to be written.
pub(crate) struct Writer {
    pub(crate) version: u32,
    pub(crate) alignment: usize,
    pub(crate) keys: Vec<(String, Put)>,
    pub(crate) tensors: Vec<PutTensor>,
    /// The declared numbers of tensors and keys, if they are not the true ones.
    pub(crate) counts: Option<(u64, u64)>,
}

impl Writer {
    pub(crate) fn empty() -> Self {
        Self { version: 3, alignment: 32, keys: Vec::new(), tensors: Vec::new(), counts: None }
    }

    /// Writes a model without a tokenizer. `kind` returns the format of a matrix by its Hugging
    /// Face name.
    pub(crate) fn model(model: &TinyModel, kind: impl Fn(&str) -> GgmlDType) -> Self {
        let config = model.whole_config();
        let mut writer = Self::empty();
        let architecture = match config["model_type"].as_str().unwrap() {
            "mistral" => "llama",
            family => family,
        };
        writer.put("general.architecture", Put::text(architecture));
        for (key, name) in [
            ("block_count", "num_hidden_layers"),
            ("context_length", "max_position_embeddings"),
            ("embedding_length", "hidden_size"),
            ("feed_forward_length", "intermediate_size"),
            ("attention.head_count", "num_attention_heads"),
            ("attention.head_count_kv", "num_key_value_heads"),
            ("attention.key_length", "head_dim"),
            ("attention.value_length", "head_dim"),
        ] {
            // Converters write the size of a head where the configuration has it.
            if let Some(size) = config[name].as_u64() {
                writer.put(&format!("{architecture}.{key}"), Put::whole(size as u32));
            }
        }
        let number = |name: &str| Put::number(config[name].as_f64().unwrap() as f32);
        writer.put(&format!("{architecture}.rope.freq_base"), number("rope_theta"));
        writer.put(&format!("{architecture}.attention.layer_norm_rms_epsilon"), number("rms_norm_eps"));
        let weights = RandomWeights::new(Seed(model.seed));
        for (name, shape) in shapes(&config) {
            let kind = if shape.len() == 1 { GgmlDType::F32 } else { kind(&name) };
            let mut numbers = weights.numbers(&name, &shape);
            if architecture == "llama" && (name.contains("q_proj") || name.contains("k_proj")) {
                numbers = side_by_side(&numbers, numbers.len() / shape[0], head_dim(&config));
            }
            let stored = quantized(&numbers, &shape, kind);
            let data = stored.data().unwrap().to_vec();
            let dims = shape.iter().rev().map(|&dim| dim as u64).collect();
            writer.tensors.push(PutTensor { name: gguf_name(&name), dims, kind: kind_id(kind), data, offset: None });
        }
        writer
    }

    /// Adds the tokenizer of `tests/golden/tokenizer`, padded to `vocab_size`, its chat template
    /// and its end of turn.
    pub(crate) fn with_text(mut self, vocab_size: usize) -> Self {
        let golden = |name: &str| -> Value {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer").join(name);
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        let tokenizer = golden("tokenizer.json");
        let mut tokens: Vec<String> = (0..vocab_size).map(|id| format!("[PAD{id}]")).collect();
        let mut types = vec![5; vocab_size];
        for (text, id) in tokenizer["model"]["vocab"].as_object().unwrap() {
            let id = id.as_u64().unwrap() as usize;
            (tokens[id], types[id]) = (text.clone(), 1);
        }
        for token in tokenizer["added_tokens"].as_array().unwrap() {
            let id = token["id"].as_u64().unwrap() as usize;
            let text = token["content"].as_str().unwrap().to_string();
            (tokens[id], types[id]) = (text, if token["special"] == true { 3 } else { 4 });
        }
        let merges = tokenizer["model"]["merges"].as_array().unwrap().iter();
        let merges: Vec<String> = merges
            .map(|merge| match merge {
                Value::String(merge) => merge.clone(),
                pair => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
            })
            .collect();
        self.put("tokenizer.ggml.model", Put::text("gpt2"));
        self.put("tokenizer.ggml.pre", Put::text("qwen2"));
        self.put("tokenizer.ggml.tokens", Put::texts(tokens.iter().map(String::as_str)));
        self.put("tokenizer.ggml.token_type", Put::wholes(&types));
        self.put("tokenizer.ggml.merges", Put::texts(merges.iter().map(String::as_str)));
        let template = golden("tokenizer_config.json")["chat_template"].as_str().unwrap().to_string();
        self.put("tokenizer.chat_template", Put::text(&template));
        self
    }

    /// Adds a key, or changes its value.
    pub(crate) fn put(&mut self, key: &str, value: Put) {
        match self.keys.iter_mut().find(|known| known.0 == key) {
            Some(known) => known.1 = value,
            None => self.keys.push((key.to_string(), value)),
        }
    }

    /// Adds a tensor of zeros.
    pub(crate) fn zeros(&mut self, name: &str, dims: &[u64], kind: u32, bytes: usize) {
        let (name, dims) = (name.to_string(), dims.to_vec());
        self.tensors.push(PutTensor { name, dims, kind, data: vec![0; bytes], offset: None });
    }

    /// Returns the file's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let counts = self.counts.unwrap_or((self.tensors.len() as u64, self.keys.len() as u64));
        let mut bytes = [b"GGUF".as_slice(), &self.version.to_le_bytes()].concat();
        bytes.extend(counts.0.to_le_bytes());
        bytes.extend(counts.1.to_le_bytes());
        for (key, Put(kind, value)) in &self.keys {
            bytes.extend(text_bytes(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        let mut data = Vec::new();
        for tensor in &self.tensors {
            data.resize(data.len().next_multiple_of(self.alignment), 0);
            bytes.extend(text_bytes(&tensor.name));
            bytes.extend((tensor.dims.len() as u32).to_le_bytes());
            tensor.dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
            bytes.extend(tensor.kind.to_le_bytes());
            bytes.extend(tensor.offset.unwrap_or(data.len() as u64).to_le_bytes());
            data.extend(&tensor.data);
        }
        bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
        bytes.extend(data);
        bytes
    }
}

/// Puts the rows of the two numbers of a rotated pair side by side in every head, as converters do
/// for Llama.
fn side_by_side(numbers: &[f32], width: usize, d: usize) -> Vec<f32> {
    let heads = numbers.chunks(d * width);
    let pairs = heads.flat_map(|head| {
        let (first, second) = head.split_at(d / 2 * width);
        first.chunks(width).zip(second.chunks(width)).flat_map(|(one, other)| [one, other])
    });
    pairs.flatten().copied().collect()
}

/// Converts numbers to a number format, by candle.
pub(crate) fn quantized(numbers: &[f32], shape: &[usize], kind: GgmlDType) -> QTensor {
    QTensor::quantize(&Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap(), kind).unwrap()
}

fn kind_id(kind: GgmlDType) -> u32 {
    match kind {
        GgmlDType::F32 => 0,
        GgmlDType::F16 => 1,
        GgmlDType::Q4_1 => 3,
        GgmlDType::Q5_1 => 7,
        GgmlDType::Q8_0 => 8,
        GgmlDType::Q4K => 12,
        GgmlDType::Q6K => 14,
        GgmlDType::BF16 => 30,
        other => panic!("{other:?} is not written here"),
    }
}

/// Returns the name that converters give a tensor in a GGUF file.
fn gguf_name(name: &str) -> String {
    [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers", "blk"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        ("post_attention_layernorm", "ffn_norm"),
        ("input_layernorm", "attn_norm"),
    ]
    .iter()
    .fold(name.to_string(), |name, (from, to)| name.replace(from, to))
}
