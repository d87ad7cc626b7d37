//! `config.json` of a Qwen3 model: Hugging Face's field names, checked before anything is loaded.
//! Unknown keys are ignored, as every Hugging Face file has some; keys that would change the
//! computation and are not supported are errors.

use super::rope::{RopeScaling, read_rope};
use crate::weights::WeightsError;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FILE: &str = "config.json";

/// The shape of a dense Qwen3 model. Field names are those of Hugging Face's `config.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct Config {
    /// Rows of the embedding table; may be padded beyond the tokenizer's vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads (n_q).
    pub num_attention_heads: usize,
    /// Key/value heads (n_kv); divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Head size (d); even. Hugging Face's default is 128.
    pub head_dim: usize,
    /// Whether q, k, v and o projections have a bias.
    pub attention_bias: bool,
    /// The longest context, in tokens.
    pub max_position_embeddings: usize,
    /// Whether the LM head is the embedding table.
    pub tie_word_embeddings: bool,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// The scaling of the rotary frequencies, where there is one.
    pub rope_scaling: Option<RopeScaling>,
    /// Added to the mean square in every RMSNorm.
    pub rms_norm_eps: f64,
}

impl Config {
    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// Text that is not JSON, a key that is missing, or a value that is out of range or not
    /// supported; each names the key.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let file: File = serde_json::from_str(text)?;
        Self::try_from(file)
    }

    /// Returns how many query heads share one key/value head.
    pub fn group(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Returns how many numbers the keys and values of one token have, over all layers.
    pub fn kv_numbers_per_token(&self) -> usize {
        2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim
    }

    /// Returns the number of weights; a tied head counts once.
    pub fn parameters(&self) -> usize {
        let (hidden, d) = (self.hidden_size, self.head_dim);
        let (q, kv) = (self.num_attention_heads * d, self.num_key_value_heads * d);
        let bias = if self.attention_bias { q + 2 * kv + hidden } else { 0 };
        let attention = hidden * (2 * q + 2 * kv) + bias + 2 * d;
        let layer = attention + 3 * hidden * self.intermediate_size + 2 * hidden;
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.num_hidden_layers * layer + tables * self.vocab_size * hidden + hidden
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not JSON, a missing key, or a value of the wrong type.
    #[error("config.json: {0}")]
    Json(#[from] serde_json::Error),
    /// Metadata of a GGUF file that are missing or of another type.
    #[error(transparent)]
    Metadata(#[from] WeightsError),
    /// Another architecture.
    #[error("{file}: `{key}` is `{found}`; only dense `qwen3` models are supported")]
    NotQwen3 {
        /// Where it says so.
        file: String,
        /// The key.
        key: &'static str,
        /// The architecture.
        found: String,
    },
    /// A value that no model can have.
    #[error("{file}: `{key}` is {value}; {rule}")]
    Value {
        /// Where it says so.
        file: String,
        /// The key.
        key: String,
        /// What the file says.
        value: String,
        /// What would be right.
        rule: String,
    },
}

/// What is read of the file, before it is checked.
#[derive(Serialize, Deserialize)]
pub(super) struct File {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    #[serde(default = "head_dim")]
    head_dim: usize,
    #[serde(default)]
    attention_bias: bool,
    pub(super) max_position_embeddings: usize,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rope_theta: Option<f64>,
    /// Theta and scaling as transformers 5 writes them.
    #[serde(default, skip_serializing)]
    pub(super) rope_parameters: Value,
    /// The scaling as transformers 4 writes it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) rope_scaling: Value,
    #[serde(default, skip_serializing)]
    partial_rotary_factor: Option<f64>,
    #[serde(default = "rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default, skip_serializing)]
    use_sliding_window: bool,
    #[serde(default = "sliding_window", skip_serializing)]
    sliding_window: Option<u64>,
    /// The first layer that has a window.
    #[serde(default = "max_window_layers", skip_serializing)]
    max_window_layers: usize,
    #[serde(default, skip_serializing)]
    layer_types: Option<Vec<String>>,
}

fn head_dim() -> usize {
    128
}

fn rms_norm_eps() -> f64 {
    1e-6
}

fn silu() -> String {
    "silu".into()
}

/// The window where the file has no such key.
#[expect(clippy::unnecessary_wraps, reason = "serde wants a default of the field's type")]
fn sliding_window() -> Option<u64> {
    Some(4096)
}

fn max_window_layers() -> usize {
    28
}

impl TryFrom<File> for Config {
    type Error = ConfigError;

    fn try_from(file: File) -> Result<Self, ConfigError> {
        if file.model_type != "qwen3" {
            return Err(ConfigError::NotQwen3 { file: FILE.into(), key: "model_type", found: file.model_type });
        }
        let (rope_theta, rope_scaling) = read_rope(&file)?;
        for (key, value) in file.sizes() {
            if !(1..=1 << 30).contains(&value) {
                return refuse(key, value, "it must be between 1 and 2^30");
            }
        }
        if !file.head_dim.is_multiple_of(2) {
            return refuse("head_dim", file.head_dim, "it must be even");
        }
        if !file.num_attention_heads.is_multiple_of(file.num_key_value_heads) {
            let rule = format!("it must divide `num_attention_heads`, which is {}", file.num_attention_heads);
            return refuse("num_key_value_heads", file.num_key_value_heads, rule);
        }
        if !(rope_theta.is_finite() && rope_theta >= 1.0) {
            return refuse("rope_theta", rope_theta, "it must be at least 1");
        }
        if !(file.rms_norm_eps.is_finite() && file.rms_norm_eps > 0.0) {
            return refuse("rms_norm_eps", file.rms_norm_eps, "it must be positive");
        }
        if file.hidden_act != "silu" {
            return refuse("hidden_act", file.hidden_act, "only `silu` is supported");
        }
        file.refuse_windows()?;
        if let Some(part) = file.partial_rotary_factor.filter(|part| *part != 1.0) {
            return refuse("partial_rotary_factor", part, "only 1 is supported");
        }
        let scaled_context = rope_scaling.as_ref().map_or(0, RopeScaling::context);
        Ok(Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: file.num_attention_heads,
            num_key_value_heads: file.num_key_value_heads,
            head_dim: file.head_dim,
            attention_bias: file.attention_bias,
            max_position_embeddings: file.max_position_embeddings.max(scaled_context),
            tie_word_embeddings: file.tie_word_embeddings,
            rope_theta,
            rope_scaling,
            rms_norm_eps: file.rms_norm_eps,
        })
    }
}

impl File {
    fn sizes(&self) -> [(&'static str, usize); 8] {
        [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ]
    }

    /// Refuses sliding windows that a layer of the model would use. `layer_types` decides where it
    /// is given; otherwise the layers from `max_window_layers` on have a window.
    fn refuse_windows(&self) -> Result<(), ConfigError> {
        let rule = "sliding windows are not supported";
        match &self.layer_types {
            Some(types) => match types.iter().find(|kind| *kind != "full_attention") {
                Some(kind) => refuse("layer_types", kind, "only `full_attention` is supported"),
                None => Ok(()),
            },
            None if self.use_sliding_window
                && self.sliding_window.is_some()
                && self.max_window_layers < self.num_hidden_layers =>
            {
                refuse("use_sliding_window", true, rule)
            }
            None => Ok(()),
        }
    }
}

pub(super) fn refuse<T>(key: &str, value: impl ToString, rule: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Value { file: FILE.into(), key: key.into(), value: value.to_string(), rule: rule.into() })
}

impl From<Config> for File {
    fn from(config: Config) -> Self {
        Self {
            model_type: "qwen3".into(),
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            num_key_value_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            attention_bias: config.attention_bias,
            max_position_embeddings: config.max_position_embeddings,
            tie_word_embeddings: config.tie_word_embeddings,
            rope_theta: Some(config.rope_theta),
            rope_parameters: Value::Null,
            rope_scaling: config.rope_scaling.map_or(Value::Null, |scaling| scaling.to_json()),
            partial_rotary_factor: None,
            rms_norm_eps: config.rms_norm_eps,
            hidden_act: silu(),
            use_sliding_window: false,
            sliding_window: None,
            max_window_layers: max_window_layers(),
            layer_types: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const GOOD: &str = r#"{"model_type": "qwen3", "vocab_size": 768, "hidden_size": 256, "intermediate_size": 512,
        "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "rope_scaling": null,
        "max_position_embeddings": 4096, "rope_theta": 1000000, "tie_word_embeddings": true, "torch_dtype": "bfloat16"}"#;

    /// Checks the message when `from` is replaced by `to` in a good file.
    fn check(from: &str, to: &str, said: Expect) {
        assert!(GOOD.contains(from));
        said.assert_eq(&Config::from_json(&GOOD.replace(from, to)).unwrap_err().to_string());
    }

    #[test]
    fn a_good_file_is_read_and_written_back() {
        let config = Config::from_json(GOOD).unwrap();
        assert_eq!((config.group(), config.rope_theta, config.rms_norm_eps), (2, 1e6, 1e-6));
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(Config::from_json(&text).unwrap(), config);
    }

    #[test]
    fn windows_that_no_layer_uses_change_nothing() {
        let with =
            |keys: &str| Config::from_json(&GOOD.replace(r#""rope_scaling""#, &format!(r#"{keys}, "rope_scaling""#)));
        let plain = Config::from_json(GOOD).unwrap();
        for keys in [
            r#""use_sliding_window": false, "sliding_window": 16, "max_window_layers": 0"#,
            r#""use_sliding_window": true, "sliding_window": 16, "max_window_layers": 6"#,
            r#""use_sliding_window": true, "sliding_window": 16"#,
            r#""use_sliding_window": true, "sliding_window": null, "max_window_layers": 0"#,
            r#""use_sliding_window": true, "max_window_layers": 0, "layer_types": ["full_attention"]"#,
        ] {
            assert_eq!(with(keys).unwrap(), plain, "{keys}");
        }
        let message = |keys: &str| with(keys).unwrap_err().to_string();
        assert_eq!(
            message(r#""use_sliding_window": true, "max_window_layers": 5"#),
            "config.json: `use_sliding_window` is true; sliding windows are not supported"
        );
        assert_eq!(
            message(r#""layer_types": ["full_attention", "sliding_attention"]"#),
            "config.json: `layer_types` is sliding_attention; only `full_attention` is supported"
        );
    }

    #[test]
    fn every_mistake_names_its_key() {
        check(
            r#""qwen3""#,
            r#""llama""#,
            expect!["config.json: `model_type` is `llama`; only dense `qwen3` models are supported"],
        );
        check(
            r#""hidden_size""#,
            r#""hiden_size""#,
            expect!["config.json: missing field `hidden_size` at line 3 column 119"],
        );
        check("768", "0", expect!["config.json: `vocab_size` is 0; it must be between 1 and 2^30"]);
        check(
            r#""num_key_value_heads": 2"#,
            r#""num_key_value_heads": 3"#,
            expect!["config.json: `num_key_value_heads` is 3; it must divide `num_attention_heads`, which is 4"],
        );
        check(r#""head_dim": 64"#, r#""head_dim": 63"#, expect!["config.json: `head_dim` is 63; it must be even"]);
    }
}
