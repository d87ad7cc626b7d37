//! The configuration of a model in a GGUF file: its metadata under Hugging Face's names, and from
//! there on the same checks as for a `config.json`, whose messages then name the keys of the GGUF
//! file.

use super::config::{Config, File};
use super::family::Head;
use super::rope::RopeScaling;
use super::{ConfigError, Family};
use crate::weights::{GgufFile, Metadata, TensorSource, WeightsError};
use serde_json::{Map, Value, json};

const ARCHITECTURE: &str = "general.architecture";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Hugging Face's names of whole numbers, and those of GGUF files after the architecture's name.
const SIZES: &[(&str, &str)] = &[
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("num_hidden_layers", "block_count"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", HEAD),
    ("max_position_embeddings", "context_length"),
];
const HEAD: &str = "attention.key_length";
const THETA: (&str, &str) = ("rope_theta", "rope.freq_base");
const EPSILON: (&str, &str) = ("rms_norm_eps", "attention.layer_norm_rms_epsilon");
const SCALING_TYPE: &str = "rope.scaling.type";
/// Factors of linear scaling; the second is the key of older files.
const FACTORS: [&str; 2] = ["rope.scaling.factor", "rope.scale_linear"];
/// Further numbers of `rope_scaling`.
const SCALING: &[(&str, &str)] = &[
    ("original_max_position_embeddings", "rope.scaling.original_context_length"),
    ("beta_fast", "rope.scaling.yarn_beta_fast"),
    ("beta_slow", "rope.scaling.yarn_beta_slow"),
];
/// Keys that files of Qwen2 and Llama may leave out.
const OPTIONAL: &[&str] = &["attention.head_count_kv", HEAD, "rope.freq_base"];

/// The metadata of one architecture.
#[derive(Clone, Copy)]
struct Keys<'a> {
    metadata: Metadata<'a>,
    architecture: &'a str,
    family: Family,
}

impl Config {
    /// Reads the metadata of a GGUF file. The vocabulary has as many entries as `token_embd.weight`
    /// has rows, the head is tied where there is no `output.weight`, and the attention has biases
    /// where the first layer's queries have one.
    ///
    /// # Errors
    /// Another kind of file or architecture, a key that is missing, or a value that is out of range
    /// or not supported; each names the key.
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self, ConfigError> {
        let metadata = gguf.metadata();
        refuse_other_kinds(metadata)?;
        let architecture = metadata.required(ARCHITECTURE, metadata.text(ARCHITECTURE)?)?;
        let family = Head::EMPTY.family(metadata.file(), ARCHITECTURE, architecture)?;
        let keys = Keys { metadata, architecture, family };
        keys.refuse_unsupported()?;
        let mut fields = Map::new();
        fields.insert("model_type".into(), json!(family.name()));
        for (name, key) in SIZES {
            fields.insert((*name).into(), json!(keys.required(key, keys.whole(key)?)?));
        }
        for (name, key) in [THETA, EPSILON] {
            // Not a finite number: null in JSON, so it is refused here.
            let number = keys.required(key, keys.number(key)?)?;
            if let Some(number) = number.filter(|number| !number.is_finite()) {
                return Err(keys.refused(key, number, "it must be a finite number"));
            }
            fields.insert(name.into(), json!(number));
        }
        let rope_scaling = keys.rope_scaling()?;
        let factors = if family == Family::Llama { gguf.rope_factors()? } else { None };
        if factors.is_some() && !rope_scaling.is_null() {
            return Err(keys.refused(
                SCALING_TYPE,
                &rope_scaling["rope_type"],
                "`rope_freqs.weight` is a scaling, too",
            ));
        }
        fields.insert("rope_scaling".into(), rope_scaling);
        let rows = gguf.shape(EMBEDDING).and_then(|shape| shape.first().copied());
        let rows = rows.ok_or_else(|| WeightsError::Missing("token_embd.weight".to_string()))?;
        fields.insert("vocab_size".into(), json!(rows));
        fields.insert("tie_word_embeddings".into(), json!(!gguf.contains("lm_head.weight")));
        fields.insert("attention_bias".into(), json!(gguf.contains("model.layers.0.self_attn.q_proj.bias")));
        let file: File = serde_json::from_value(Value::Object(fields))?;
        let mut config = Self::try_from(file).map_err(|error| keys.renamed(error))?;
        keys.refuse_partial_rotation(&config)?;
        if let Some(factors) = factors {
            if factors.len() != config.head_dim / 2 || factors.iter().any(|factor| *factor <= 0.0) {
                let rule = "it must hold half as many factors as a head is wide, all above 0";
                return Err(refused(metadata, "rope_freqs.weight", format!("{} factors", factors.len()), rule));
            }
            config.rope_scaling = Some(RopeScaling::Factors { factors });
        }
        Ok(config)
    }
}

/// Refuses GGUF files that hold something other than a model.
fn refuse_other_kinds(metadata: Metadata<'_>) -> Result<(), ConfigError> {
    let key = "general.type";
    let Some(found) = metadata.text(key)?.filter(|kind| *kind != "model") else { return Ok(()) };
    let rule = match found {
        "imatrix" => "the file is an importance matrix for quantizing a model: give the model's own file",
        "adapter" => "the file is a LoRA adapter: merge it into its base model and give the result",
        "mmproj" => "the file is the image or audio part of a model: give the file of its language model",
        _ => "only `model` can be run",
    };
    Err(refused(metadata, key, found, rule))
}

impl Keys<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn whole(&self, key: &str) -> Result<Option<u64>, WeightsError> {
        self.metadata.whole(&self.key(key))
    }

    fn number(&self, key: &str) -> Result<Option<f64>, WeightsError> {
        self.metadata.number(&self.key(key))
    }

    /// Returns an answer that must be there, unless the family's files may leave it out.
    fn required<T>(&self, key: &str, answer: Option<T>) -> Result<Option<T>, WeightsError> {
        if answer.is_none() && self.family != Family::Qwen3 && OPTIONAL.contains(&key) {
            return Ok(None);
        }
        self.metadata.required(&self.key(key), answer).map(Some)
    }

    /// Refuses keys that would change the computation.
    fn refuse_unsupported(&self) -> Result<(), ConfigError> {
        if let Some(experts) = self.whole("expert_count")?.filter(|experts| *experts > 1) {
            let (file, found) = (self.metadata.file().to_string(), experts.to_string());
            return Err(ConfigError::Experts { file, key: "expert_count", found });
        }
        let window = "attention.sliding_window";
        if let Some(size) = self.whole(window)?.filter(|size| *size > 0) {
            return Err(self.refused(window, size, "sliding windows are not supported"));
        }
        match self.metadata.flag(&self.key("attention.causal"))? {
            Some(false) => Err(self.refused("attention.causal", false, "only causal attention is supported")),
            _ => Ok(()),
        }
    }

    /// Refuses heads of which a part is rotated, or whose values have another size.
    fn refuse_partial_rotation(&self, config: &Config) -> Result<(), ConfigError> {
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(size) = self.whole(key)?.filter(|size| *size != config.head_dim as u64) {
                let rule = match self.whole(HEAD)? {
                    Some(_) => format!("it must be equal to `{}`", self.key(HEAD)),
                    None => format!("it must be equal to the size of a head, {}", config.head_dim),
                };
                return Err(self.refused(key, size, &rule));
            }
        }
        Ok(())
    }

    /// Reads the scaling of rotary frequencies as `rope_scaling` of `config.json`. A factor without
    /// a type is that of linear scaling, and 0 stands for none, as in llama.cpp.
    fn rope_scaling(&self) -> Result<Value, ConfigError> {
        let mut factor = None;
        for key in FACTORS {
            factor = factor.or(self.number(key)?.filter(|factor| *factor != 0.0));
        }
        let kind = match self.metadata.text(&self.key(SCALING_TYPE))? {
            None if factor.is_some_and(|factor| factor != 1.0) => "linear",
            None | Some("none") => return Ok(Value::Null),
            Some(kind @ ("linear" | "yarn")) => kind,
            Some(kind) => {
                return Err(self.refused(SCALING_TYPE, kind, "only `none`, `linear` and `yarn` are supported"));
            }
        };
        let Some(factor) = factor.filter(|factor| factor.is_finite() && *factor >= 1.0) else {
            let value = factor.map_or("missing".to_string(), |factor| factor.to_string());
            return Err(self.refused(FACTORS[0], value, "it must be at least 1"));
        };
        let mut table = json!({"rope_type": kind, "factor": factor});
        for (name, key) in SCALING {
            if let Some(number) = self.number(key)?.filter(|number| number.is_finite()) {
                table[*name] = json!(number);
            }
        }
        // llama.cpp multiplies YaRN's own factor by this one.
        for key in ["rope.scaling.attn_factor", "rope.scaling.yarn_attn_factor"] {
            if let Some(by) = self.number(key)?.filter(|by| by.is_finite() && *by != 1.0) {
                table["attention_factor"] = json!(by * (0.1 * factor.ln() + 1.0));
            }
        }
        let extrapolation = "rope.scaling.yarn_ext_factor";
        match self.number(extrapolation)?.filter(|factor| ![1.0, -1.0].contains(factor)) {
            Some(other) => Err(self.refused(extrapolation, other, "only 1 is supported")),
            None => Ok(table),
        }
    }

    fn refused(&self, key: &str, value: impl ToString, rule: &str) -> ConfigError {
        refused(self.metadata, &self.key(key), value, rule)
    }

    /// Returns an error in the words of the GGUF file.
    fn renamed(&self, error: ConfigError) -> ConfigError {
        let ConfigError::Value { key, value, mut rule, .. } = error else { return error };
        let key = key.strip_prefix("rope_scaling.").map(str::to_string).unwrap_or(key);
        let ours = SIZES.iter().chain(SCALING).copied().chain([THETA, EPSILON, ("factor", FACTORS[0])]);
        let ours = ours.map(|(name, key)| (name, self.key(key)));
        let names: Vec<(&str, String)> = ours.chain([("vocab_size", "token_embd.weight".to_string())]).collect();
        for (name, key) in &names {
            rule = rule.replace(&format!("`{name}`"), &format!("`{key}`"));
        }
        let key = names.iter().find(|(name, _)| *name == key).map_or(key.as_str(), |(_, key)| key);
        refused(self.metadata, key, value, &rule)
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
