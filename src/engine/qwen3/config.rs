//! `config.json` of a dense decoder: Hugging Face's field names, checked before anything is loaded.
//! Unknown keys are ignored, as every Hugging Face file has some; keys that would change the
//! computation and are not supported are errors.

use super::ConfigError;
use super::family::{Biases, Family, Head, Windows};
use super::quantization::refuse_quantization;
use super::rope::{RopeScaling, read_rope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

const FILE: &str = "config.json";

/// The shape of a dense decoder. Field names are those of Hugging Face's `config.json`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(try_from = "File", into = "File")]
pub struct Config {
    /// The family, which `model_type` names.
    pub family: Family,
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
    /// Head size (d); even.
    pub head_dim: usize,
    /// Whether the projections of attention have a bias: q, k, v and o, in Qwen2 all but o.
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
        let head: Head = serde_json::from_str(text)?;
        head.family(FILE, "model_type", head.model_type.as_deref().unwrap_or("missing"))?;
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
        let (hidden, table) = (self.hidden_size, self.layer());
        let projections = table.projections().into_iter().map(|projection| {
            let biases: usize = projection.biases(self, 0).iter().map(|(_, size)| size).sum();
            projection.outputs(self) * projection.inputs.of(self) + biases
        });
        let layer = projections.chain(table.norms().map(|norm| norm.weight(self, 0).1)).sum::<usize>();
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.num_hidden_layers * layer + tables * self.vocab_size * hidden + hidden
    }
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
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    #[serde(default)]
    attention_bias: bool,
    /// Whether the MLP has biases, in configurations of Llama.
    #[serde(default, skip_serializing)]
    mlp_bias: bool,
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
    #[serde(default = "sliding_window")]
    sliding_window: Option<u64>,
    /// The first layer that has a window.
    #[serde(default = "max_window_layers", skip_serializing)]
    max_window_layers: usize,
    #[serde(default, skip_serializing)]
    layer_types: Option<Vec<String>>,
    /// How the weights are quantized, where they are.
    #[serde(default, skip_serializing)]
    quantization_config: Value,
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
        let family = Head::EMPTY.family(FILE, "model_type", &file.model_type)?;
        let rules = family.rules();
        let num_key_value_heads = match file.num_key_value_heads {
            Some(heads) => heads,
            None if rules.may_omit_kv_heads => file.num_attention_heads,
            None => return refuse("num_key_value_heads", "missing", format!("a {} has it", family.name())),
        };
        let divided = file.hidden_size.checked_div(file.num_attention_heads).unwrap_or(0);
        let head_dim = file.head_dim.or(rules.head_dim).unwrap_or(divided);
        let attention_bias = match rules.biases {
            Biases::Configured => file.attention_bias,
            Biases::Always => true,
            Biases::Never => false,
        };
        let (rope_theta, rope_scaling) = read_rope(&file)?;
        let sizes = file.sizes().into_iter();
        for (key, value) in sizes.chain([("num_key_value_heads", num_key_value_heads), ("head_dim", head_dim)]) {
            if !(1..=1 << 30).contains(&value) {
                return refuse(key, value, "it must be between 1 and 2^30");
            }
        }
        if !head_dim.is_multiple_of(2) {
            return refuse("head_dim", head_dim, "it must be even");
        }
        if !file.num_attention_heads.is_multiple_of(num_key_value_heads) {
            let rule = format!("it must divide `num_attention_heads`, which is {}", file.num_attention_heads);
            return refuse("num_key_value_heads", num_key_value_heads, rule);
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
        if file.mlp_bias {
            return refuse("mlp_bias", true, "an MLP without biases is supported");
        }
        file.refuse_windows(rules.windows)?;
        refuse_quantization(&file.quantization_config)?;
        if let Some(part) = file.partial_rotary_factor.filter(|part| *part != 1.0) {
            return refuse("partial_rotary_factor", part, "only 1 is supported");
        }
        let scaled_context = rope_scaling.as_ref().map_or(0, RopeScaling::context);
        Ok(Self {
            family,
            vocab_size: file.vocab_size,
            hidden_size: file.hidden_size,
            intermediate_size: file.intermediate_size,
            num_hidden_layers: file.num_hidden_layers,
            num_attention_heads: file.num_attention_heads,
            num_key_value_heads,
            head_dim,
            attention_bias,
            max_position_embeddings: file.max_position_embeddings.max(scaled_context),
            tie_word_embeddings: file.tie_word_embeddings,
            rope_theta,
            rope_scaling,
            rms_norm_eps: file.rms_norm_eps,
        })
    }
}

impl File {
    fn sizes(&self) -> [(&'static str, usize); 6] {
        [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("max_position_embeddings", self.max_position_embeddings),
        ]
    }

    /// Refuses sliding windows that a layer of the model would use. `layer_types` decides where it
    /// is given; otherwise all layers have a window, or those from `max_window_layers` on. A window
    /// over the whole context is none, but is refused where Qwen's files turn it on.
    fn refuse_windows(&self, windows: Windows) -> Result<(), ConfigError> {
        if let Some(types) = &self.layer_types {
            return match types.iter().find(|kind| *kind != "full_attention") {
                Some(kind) => refuse("layer_types", kind, "only `full_attention` is supported"),
                None => Ok(()),
            };
        }
        let turned_on = self.use_sliding_window && self.max_window_layers < self.num_hidden_layers;
        match (windows, self.sliding_window) {
            (Windows::TurnedOn, Some(_)) if turned_on => {
                refuse("use_sliding_window", true, "sliding windows are not supported")
            }
            (Windows::Given, Some(window)) if window < self.max_position_embeddings as u64 => {
                let rule = format!(
                    "sliding windows are not supported: with `sliding_window` null and `max_position_embeddings` \
                    {window} the model computes the same, up to that many tokens"
                );
                refuse("sliding_window", window, rule)
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn refuse<T>(key: &str, value: impl ToString, rule: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Value { file: FILE.into(), key: key.into(), value: value.to_string(), rule: rule.into() })
}

impl From<Config> for File {
    fn from(config: Config) -> Self {
        Self {
            model_type: config.family.name().into(),
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            num_hidden_layers: config.num_hidden_layers,
            num_attention_heads: config.num_attention_heads,
            num_key_value_heads: Some(config.num_key_value_heads),
            head_dim: Some(config.head_dim),
            attention_bias: config.attention_bias,
            mlp_bias: false,
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
            quantization_config: Value::Null,
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
            r#""gemma2""#,
            expect![
                "config.json: `model_type` is `gemma2`; dense models of the families qwen3, qwen2, llama and \
                mistral are supported"
            ],
        );
        let remote = "a mixture of experts, which the built-in engine does not run: serve it with an OpenAI-compatible \
            server and use that as a remote backend";
        for (from, to, found) in [
            (r#""qwen3""#, r#""qwen3_moe""#, "`model_type` is `qwen3_moe`"),
            (r#""qwen3""#, r#""mixtral""#, "`model_type` is `mixtral`"),
            (r#""rope_scaling""#, r#""num_local_experts": 8, "rope_scaling""#, "`num_local_experts` is `8`"),
        ] {
            let message = Config::from_json(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert_eq!(message, format!("config.json: {found}, {remote}"));
        }
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

    /// Reads a file of a family with these keys beside the sizes.
    fn of_family(model_type: &str, keys: &str) -> Result<Config, String> {
        let text = format!(
            r#"{{"model_type": "{model_type}", "vocab_size": 768, "hidden_size": 576, "intermediate_size": 512,
            "num_hidden_layers": 6, "num_attention_heads": 9, "max_position_embeddings": 4096, "rope_theta": 1e5
            {keys}}}"#
        );
        Config::from_json(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn families_differ_in_what_they_leave_out() {
        let kv = r#", "num_key_value_heads": 3"#;
        let facts = |model_type: &str, keys: &str| {
            let config = of_family(model_type, keys).unwrap();
            assert_eq!(Config::from_json(&serde_json::to_string(&config).unwrap()).unwrap(), config);
            (config.family, config.head_dim, config.num_key_value_heads, config.attention_bias)
        };
        assert_eq!(facts("qwen3", kv), (Family::Qwen3, 128, 3, false));
        assert_eq!(facts("qwen2", kv), (Family::Qwen2, 64, 3, true));
        assert_eq!(facts("llama", kv), (Family::Llama, 64, 3, false));
        assert_eq!(facts("llama", r#", "head_dim": null"#), (Family::Llama, 64, 9, false));
        assert_eq!(facts("llama", r#", "head_dim": 32, "attention_bias": true"#), (Family::Llama, 32, 9, true));
        let mistral = r#", "num_key_value_heads": 3, "sliding_window": null, "attention_bias": true"#;
        assert_eq!(facts("mistral", mistral), (Family::Mistral, 64, 3, false));
        let long = Config { max_position_embeddings: 32_768, ..of_family("mistral", mistral).unwrap() };
        assert_eq!(Config::from_json(&serde_json::to_string(&long).unwrap()).unwrap(), long);
        let missing = "config.json: `num_key_value_heads` is missing; a qwen2 has it";
        assert_eq!(of_family("qwen2", "").unwrap_err(), missing);
        assert_eq!(
            of_family("llama", r#", "mlp_bias": true"#).unwrap_err(),
            "config.json: `mlp_bias` is true; an MLP without biases is supported"
        );
    }

    #[test]
    fn a_mistral_has_a_window_unless_it_says_otherwise() {
        let with = |keys: &str| of_family("mistral", &format!(r#", "num_key_value_heads": 3{keys}"#));
        assert!(with(r#", "sliding_window": null"#).is_ok());
        assert!(with(r#", "sliding_window": 4096"#).is_ok() && with("").is_ok(), "a window over the whole context");
        assert_eq!(
            with(r#", "sliding_window": 1024"#).unwrap_err(),
            "config.json: `sliding_window` is 1024; sliding windows are not supported: with `sliding_window` null and \
            `max_position_embeddings` 1024 the model computes the same, up to that many tokens"
        );
        assert!(of_family("llama", r#", "sliding_window": 16"#).is_ok(), "Llama has no windows");
    }

    #[test]
    fn weights_are_counted_by_family() {
        let parameters = |model_type: &str| {
            of_family(model_type, r#", "num_key_value_heads": 3, "head_dim": 64, "sliding_window": null"#)
                .unwrap()
                .parameters()
        };
        let (llama, layers) = (parameters("llama"), 6);
        assert_eq!(parameters("mistral"), llama);
        assert_eq!(parameters("qwen2") - llama, layers * (576 + 2 * 192));
        assert_eq!(parameters("qwen3") - llama, layers * 2 * 64);
    }
}
