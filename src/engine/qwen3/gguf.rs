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
const SCALING_TYPE: &str = "qwen3.rope.scaling.type";
/// Factors of linear scaling; the second is the key of older files.
const FACTORS: [&str; 2] = ["qwen3.rope.scaling.factor", "qwen3.rope.scale_linear"];
/// Further numbers of `rope_scaling`.
const SCALING: &[(&str, &str)] = &[
    ("original_max_position_embeddings", "qwen3.rope.scaling.original_context_length"),
    ("beta_fast", "qwen3.rope.scaling.yarn_beta_fast"),
    ("beta_slow", "qwen3.rope.scaling.yarn_beta_slow"),
];

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
        fields.insert("rope_scaling".into(), rope_scaling(metadata)?);
        let rows = gguf.shape(EMBEDDING).and_then(|shape| shape.first().copied());
        let rows = rows.ok_or_else(|| WeightsError::Missing("token_embd.weight".to_string()))?;
        fields.insert("vocab_size".into(), json!(rows));
        fields.insert("tie_word_embeddings".into(), json!(!gguf.contains("lm_head.weight")));
        fields.insert("attention_bias".into(), json!(gguf.contains("model.layers.0.self_attn.q_proj.bias")));
        let file: File = serde_json::from_value(Value::Object(fields))?;
        Self::try_from(file).map_err(|error| renamed(metadata, error))
    }
}

/// Refuses keys that would change the computation.
fn refuse_unsupported(metadata: Metadata<'_>) -> Result<(), ConfigError> {
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

/// Reads the scaling of rotary frequencies as `rope_scaling` of `config.json`. A factor without a
/// type is that of linear scaling, and 0 stands for none, as in llama.cpp.
fn rope_scaling(metadata: Metadata<'_>) -> Result<Value, ConfigError> {
    let mut factor = None;
    for key in FACTORS {
        factor = factor.or(metadata.number(key)?.filter(|factor| *factor != 0.0));
    }
    let kind = match metadata.text(SCALING_TYPE)? {
        None if factor.is_some_and(|factor| factor != 1.0) => "linear",
        None | Some("none") => return Ok(Value::Null),
        Some(kind @ ("linear" | "yarn")) => kind,
        Some(kind) => {
            return Err(refused(metadata, SCALING_TYPE, kind, "only `none`, `linear` and `yarn` are supported"));
        }
    };
    let Some(factor) = factor.filter(|factor| factor.is_finite() && *factor >= 1.0) else {
        let value = factor.map_or("missing".to_string(), |factor| factor.to_string());
        return Err(refused(metadata, FACTORS[0], value, "it must be at least 1"));
    };
    let mut table = json!({"rope_type": kind, "factor": factor});
    for (name, key) in SCALING {
        if let Some(number) = metadata.number(key)?.filter(|number| number.is_finite()) {
            table[*name] = json!(number);
        }
    }
    // llama.cpp multiplies YaRN's own factor by this one.
    for key in ["qwen3.rope.scaling.attn_factor", "qwen3.rope.scaling.yarn_attn_factor"] {
        if let Some(by) = metadata.number(key)?.filter(|by| by.is_finite() && *by != 1.0) {
            table["attention_factor"] = json!(by * (0.1 * factor.ln() + 1.0));
        }
    }
    let extrapolation = "qwen3.rope.scaling.yarn_ext_factor";
    match metadata.number(extrapolation)?.filter(|factor| ![1.0, -1.0].contains(factor)) {
        Some(other) => Err(refused(metadata, extrapolation, other, "only 1 is supported")),
        None => Ok(table),
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

/// Returns an error in the words of the GGUF file.
fn renamed(metadata: Metadata<'_>, error: ConfigError) -> ConfigError {
    let ConfigError::Value { key, value, mut rule, .. } = error else { return error };
    let key = key.strip_prefix("rope_scaling.").map(str::to_string).unwrap_or(key);
    let others = [THETA, EPSILON, ("vocab_size", "token_embd.weight"), ("factor", FACTORS[0])];
    let names = || SIZES.iter().chain(SCALING).copied().chain(others);
    for (name, key) in names() {
        rule = rule.replace(&format!("`{name}`"), &format!("`{key}`"));
    }
    let key = names().find(|(name, _)| *name == key).map_or(key.as_str(), |(_, key)| key);
    refused(metadata, key, value, &rule)
}
