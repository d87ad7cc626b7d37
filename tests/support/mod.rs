//! Small model folders with random weights, made on the fly: `TinyModel::default().write(folder)`.
//! The tokenizer is the one in `tests/golden/tokenizer` (407 ids); it is left out where the
//! vocabulary is smaller.

use half::{bf16, f16};
use maspo::base::Seed;
use maspo::engine::weights::RandomWeights;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::path::Path;

/// A model to write. Keys that the configuration lacks have the defaults below.
pub(crate) struct TinyModel {
    /// The keys of `config.json` that differ from the default.
    pub(crate) config: Value,
    /// The seed of the weights.
    pub(crate) seed: u64,
    /// The storage format: `f32`, `bf16` or `f16`.
    pub(crate) storage: String,
    /// The number of weight files; with more than one an index is written.
    pub(crate) shards: usize,
}

impl Default for TinyModel {
    fn default() -> Self {
        Self { config: json!({}), seed: 1, storage: "f32".to_string(), shards: 1 }
    }
}

impl TinyModel {
    /// Writes the folder's files.
    pub(crate) fn write(&self, folder: &Path) {
        let config = self.whole_config();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        write("config.json", config.to_string().as_bytes());
        if config["vocab_size"].as_u64().unwrap() >= 407 {
            let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenizer");
            for name in ["tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
                write(name, &std::fs::read(golden.join(name)).unwrap());
            }
        }
        let weights = RandomWeights::new(Seed(self.seed));
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = shapes(&config)
            .into_iter()
            .map(|(name, shape)| {
                let bytes = self.stored(&weights.numbers(&name, &shape));
                (name, shape, bytes)
            })
            .collect();
        let per_shard = tensors.len().div_ceil(self.shards);
        let mut weight_map = serde_json::Map::new();
        for (index, tensors) in tensors.chunks(per_shard).enumerate() {
            let file = match self.shards {
                1 => "model.safetensors".to_string(),
                shards => format!("model-{:05}-of-{shards:05}.safetensors", index + 1),
            };
            let views = tensors.iter().map(|(name, shape, bytes)| {
                weight_map.insert(name.clone(), json!(file));
                (name, TensorView::new(self.dtype(), shape.clone(), bytes).unwrap())
            });
            write(&file, &safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap());
        }
        if self.shards > 1 {
            write("model.safetensors.index.json", json!({ "weight_map": weight_map }).to_string().as_bytes());
        }
    }

    /// Returns the configuration with its defaults.
    pub(crate) fn whole_config(&self) -> Value {
        let mut config = json!({
            "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_act": "silu",
            "vocab_size": 416, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6, "rope_theta": 1e6, "tie_word_embeddings": true, "attention_bias": false,
        });
        for (key, value) in self.config.as_object().unwrap() {
            config[key] = value.clone();
        }
        config
    }

    fn dtype(&self) -> Dtype {
        match self.storage.as_str() {
            "f32" => Dtype::F32,
            "bf16" => Dtype::BF16,
            "f16" => Dtype::F16,
            other => panic!("no storage `{other}`"),
        }
    }

    fn stored(&self, numbers: &[f32]) -> Vec<u8> {
        match self.dtype() {
            Dtype::BF16 => numbers.iter().flat_map(|&n| bf16::from_f32(n).to_le_bytes()).collect(),
            Dtype::F16 => numbers.iter().flat_map(|&n| f16::from_f32(n).to_le_bytes()).collect(),
            _ => numbers.iter().flat_map(|n| n.to_le_bytes()).collect(),
        }
    }
}

/// Returns the name and shape of every tensor of a model with this configuration, under Hugging
/// Face's names.
pub(crate) fn shapes(config: &Value) -> Vec<(String, Vec<usize>)> {
    let size = |key: &str| config[key].as_u64().unwrap() as usize;
    let (hidden, d) = (size("hidden_size"), head_dim(config));
    let family = config["model_type"].as_str().unwrap();
    let (q, kv) = (size("num_attention_heads") * d, size("num_key_value_heads") * d);
    let mut tensors = vec![("model.embed_tokens.weight".to_string(), vec![size("vocab_size"), hidden])];
    for layer in 0..size("num_hidden_layers") {
        let mut add =
            |name: &str, shape: &[usize]| tensors.push((format!("model.layers.{layer}.{name}"), shape.to_vec()));
        for (name, rows, columns) in
            [("q_proj", q, hidden), ("k_proj", kv, hidden), ("v_proj", kv, hidden), ("o_proj", hidden, q)]
        {
            add(&format!("self_attn.{name}.weight"), &[rows, columns]);
            let has_bias = if family == "qwen2" { name != "o_proj" } else { config["attention_bias"] == true };
            if has_bias {
                add(&format!("self_attn.{name}.bias"), &[rows]);
            }
        }
        if family == "qwen3" {
            add("self_attn.q_norm.weight", &[d]);
            add("self_attn.k_norm.weight", &[d]);
        }
        for name in ["gate_proj", "up_proj"] {
            add(&format!("mlp.{name}.weight"), &[size("intermediate_size"), hidden]);
        }
        add("mlp.down_proj.weight", &[hidden, size("intermediate_size")]);
        add("input_layernorm.weight", &[hidden]);
        add("post_attention_layernorm.weight", &[hidden]);
    }
    tensors.push(("model.norm.weight".to_string(), vec![hidden]));
    if config["tie_word_embeddings"] == false {
        tensors.push(("lm_head.weight".to_string(), vec![size("vocab_size"), hidden]));
    }
    tensors
}

/// Returns the size of a head, which follows from the width where the configuration gives none.
pub(crate) fn head_dim(config: &Value) -> usize {
    let size = |key: &str| config[key].as_u64().map(|size| size as usize);
    size("head_dim").unwrap_or_else(|| size("hidden_size").unwrap() / size("num_attention_heads").unwrap())
}
