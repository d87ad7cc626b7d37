//! The configuration of a Qwen3 in a GGUF file: its metadata under Hugging Face's names, and from
//! there on the same checks as for a `config.json`, whose messages then name the keys of the GGUF
//! file.

use super::config::{Config, ConfigError, File};
use crate::weights::{GgufFile, Metadata, TensorSource, WeightsError};
use serde_json::{Map, Value, json};

const ARCHITECTURE: &str = "general.architecture";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Hugging Face's names of whole numbers, and those of GGUF files.
const SIZES: &[(&str, &str)] = &[
    ("hidden_size", "qwen3.embedding_length"),
    ("intermediate_size", "qwen3.feed_forward_length"),
    ("num_hidden_layers", "qwen3.block_count"),
    ("num_attention_heads", "qwen3.attention.head_count"),
    ("num_key_value_heads", "qwen3.attention.head_count_kv"),
    ("head_dim", HEAD),
    ("max_position_embeddings", "qwen3.context_length"),
];
const HEAD: &str = "qwen3.attention.key_length";
const THETA: (&str, &str) = ("rope_theta", "qwen3.rope.freq_base");
const EPSILON: (&str, &str) = ("rms_norm_eps", "qwen3.attention.layer_norm_rms_epsilon");

impl Config {
    /// Reads the metadata of a GGUF file. The vocabulary has as many entries as `token_embd.weight`
    /// has rows, the head is tied where there is no `output.weight`, and the attention has biases
    /// where the first layer's queries have one.
    ///
    /// # Errors
    /// Another architecture, a key that is missing, or a value that is out of range or not
    /// supported; each names the key.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self, ConfigError> {
        let metadata = gguf.metadata();
        let found = metadata.required(ARCHITECTURE, metadata.text(ARCHITECTURE)?)?;
        if found != "qwen3" {
            let (file, found) = (metadata.file().to_string(), found.to_string());
            return Err(ConfigError::NotQwen3 { file, key: ARCHITECTURE, found });
        }
        refuse_unsupported(metadata)?;
        let mut fields = Map::new();
        fields.insert("model_type".into(), json!(found));
        for (name, key) in SIZES {
            fields.insert((*name).into(), json!(metadata.required(key, metadata.whole(key)?)?));
        }
        for (name, key) in [THETA, EPSILON] {
            // Not a finite number: null in JSON, so it is refused here.
            let number = metadata.required(key, metadata.number(key)?)?;
            if !number.is_finite() {
                return Err(refused(metadata, key, number, "it must be a finite number"));
            }
            fields.insert(name.into(), json!(number));
        }
        let rows = gguf.shape(EMBEDDING).and_then(|shape| shape.first().copied());
        let rows = rows.ok_or_else(|| WeightsError::Missing("token_embd.weight".to_string()))?;
        fields.insert("vocab_size".into(), json!(rows));
        fields.insert("tie_word_embeddings".into(), json!(!gguf.contains("lm_head.weight")));
        fields.insert("attention_bias".into(), json!(gguf.contains("model.layers.0.self_attn.q_proj.bias")));
        let file: File = serde_json::from_value(Value::Object(fields))?;
        Self::try_from(file).map_err(|error| renamed(metadata, error))
    }
}

/// Keys that would change the computation.
fn refuse_unsupported(metadata: Metadata<'_>) -> Result<(), ConfigError> {
    let scaling = "qwen3.rope.scaling.type";
    if let Some(kind) = metadata.text(scaling)?.filter(|kind| *kind != "none") {
        return Err(refused(metadata, scaling, kind, "only `none` is supported"));
    }
    for key in ["qwen3.rope.scaling.factor", "qwen3.rope.scale_linear"] {
        // Without a type of scaling the factor is that of linear scaling; 0 stands for none.
        if let Some(factor) = metadata.number(key)?.filter(|factor| ![0.0, 1.0].contains(factor)) {
            return Err(refused(metadata, key, factor, "only 1 is supported"));
        }
    }
    for key in ["qwen3.attention.value_length", "qwen3.rope.dimension_count"] {
        if let Some(size) = metadata.whole(key)?
            && Some(size) != metadata.whole(HEAD)?
        {
            return Err(refused(metadata, key, size, &format!("it must be equal to `{HEAD}`")));
        }
    }
    let window = "qwen3.attention.sliding_window";
    if let Some(size) = metadata.whole(window)?.filter(|size| *size > 0) {
        return Err(refused(metadata, window, size, "sliding windows are not supported"));
    }
    match metadata.flag("qwen3.attention.causal")? {
        Some(false) => Err(refused(metadata, "qwen3.attention.causal", false, "only causal attention is supported")),
        _ => Ok(()),
    }
}

fn refused(metadata: Metadata<'_>, key: &str, value: impl ToString, rule: &str) -> ConfigError {
    ConfigError::Value {
        file: metadata.file().to_string(),
        key: key.to_string(),
        value: value.to_string(),
        rule: rule.to_string(),
    }
}

/// An error in the words of the GGUF file.
fn renamed(metadata: Metadata<'_>, error: ConfigError) -> ConfigError {
    let ConfigError::Value { key, value, mut rule, .. } = error else { return error };
    let names = || SIZES.iter().copied().chain([THETA, EPSILON, ("vocab_size", "token_embd.weight")]);
    for (name, key) in names() {
        rule = rule.replace(&format!("`{name}`"), &format!("`{key}`"));
    }
    let key = names().find(|(name, _)| *name == key).map_or(key.as_str(), |(_, key)| key);
    refused(metadata, key, value, &rule)
}
