//! `config.json` of a Qwen3 model: Hugging Face's field names, checked before anything is loaded.
//! Unknown keys are ignored, as every Hugging Face file has some; keys that would change the
//! computation and are not supported are errors.

use crate::weights::WeightsError;
use serde::{Deserialize, Serialize};

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

    /// Query heads that share one key/value head.
    pub fn group(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    /// Numbers in the keys and values of one token, over all layers.
    pub fn kv_numbers_per_token(&self) -> usize {
        2 * self.num_hidden_layers * self.num_key_value_heads * self.head_dim
    }

    /// Number of weights, a tied head counted once.
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
    max_position_embeddings: usize,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_theta: Option<f64>,
    /// Where newer files keep the theta.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_parameters: Option<RopeParameters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_scaling: Option<serde_json::Value>,
    #[serde(default = "rms_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "silu")]
    hidden_act: String,
    #[serde(default)]
    use_sliding_window: bool,
}

#[derive(Serialize, Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
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

impl TryFrom<File> for Config {
    type Error = ConfigError;

    fn try_from(file: File) -> Result<Self, ConfigError> {
        if file.model_type != "qwen3" {
            return Err(ConfigError::NotQwen3 { file: FILE.into(), key: "model_type", found: file.model_type });
        }
        let rope_theta = file.theta()?;
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
        if file.use_sliding_window {
            return refuse("use_sliding_window", true, "sliding windows are not supported");
        }
        Ok(Self {
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: file.num_attention_heads,
            num_key_value_heads: file.num_key_value_heads,
            head_dim: file.head_dim,
            attention_bias: file.attention_bias,
            max_position_embeddings: file.max_position_embeddings,
            tie_word_embeddings: file.tie_word_embeddings,
            rope_theta,
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

    fn theta(&self) -> Result<f64, ConfigError> {
        if let Some(scaling) = self.rope_scaling.as_ref().filter(|value| !value.is_null()) {
            return refuse(
                "rope_scaling",
                scaling,
                "only null is supported: set it to null for the model's native context",
            );
        }
        let nested = self.rope_parameters.as_ref();
        if let Some(kind) = nested.and_then(|rope| rope.rope_type.as_deref()).filter(|kind| *kind != "default") {
            return refuse("rope_parameters.rope_type", kind, "only `default` is supported");
        }
        Ok(nested.and_then(|rope| rope.rope_theta).or(self.rope_theta).unwrap_or(10_000.0))
    }
}

fn refuse<T>(key: &'static str, value: impl ToString, rule: impl Into<String>) -> Result<T, ConfigError> {
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
            rope_parameters: None,
            rope_scaling: None,
            rms_norm_eps: config.rms_norm_eps,
            hidden_act: silu(),
            use_sliding_window: false,
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

    /// What is said when `from` is replaced by `to` in a good file.
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
    fn the_newer_place_of_theta_is_known() {
        let text = GOOD
            .replace(r#""rope_theta": 1000000"#, r#""rope_parameters": {"rope_theta": 5e6, "rope_type": "default"}"#);
        assert_eq!(Config::from_json(&text).unwrap().rope_theta, 5e6);
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
        check(
            "null",
            r#"{"rope_type":"yarn"}"#,
            expect![[
                r#"config.json: `rope_scaling` is {"rope_type":"yarn"}; only null is supported: set it to null for the model's native context"#
            ]],
        );
    }
}
