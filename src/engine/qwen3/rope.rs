//! The scaling of rotary frequencies: how configuration files write it, and the frequencies that
//! follow. The formulas and the order of roundings are those of Hugging Face transformers
//! (`modeling_rope_utils.py`).

use super::ConfigError;
use super::config::{Config, File, refuse};
use crate::kernels::{Rotary, rotary_periods};
use serde_json::{Map, Value, json};
use std::f64::consts::TAU;

const SCALING: &str = "rope_scaling";
const PARAMETERS: &str = "rope_parameters";
/// The types that can be read, as messages name them.
const TYPES: &str = "only `default`, `linear`, `yarn` and `llama3` are supported";

/// How a model reaches beyond the context that it was first trained on.
#[derive(Clone, PartialEq, Debug)]
pub enum RopeScaling {
    /// All positions are divided by `factor`.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// YaRN (arXiv 2309.00071): low frequencies are divided by `factor`, high ones are kept.
    Yarn {
        /// The factor.
        factor: f64,
        /// The context before scaling, in tokens.
        original_max_position_embeddings: f64,
        /// Frequencies with more rotations than this in the original context are kept.
        beta_fast: f64,
        /// Frequencies with fewer rotations than this are divided.
        beta_slow: f64,
        /// The multiplier of all cosines and sines.
        attention_factor: f64,
        /// Whether the bounds of the ramp are whole numbers.
        truncate: bool,
    },
    /// Llama 3.1's: as YaRN with another ramp and no multiplier.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above the original context divided by this are scaled.
        low_freq_factor: f64,
        /// Wavelengths below the original context divided by this are kept.
        high_freq_factor: f64,
        /// The context before scaling, in tokens.
        original_max_position_embeddings: f64,
    },
    /// A divisor of every frequency, as GGUF files store what Llama 3.1's scaling comes to.
    Factors {
        /// The divisors, d / 2 of them.
        factors: Vec<f32>,
    },
}

/// A table of a configuration file and the key that it stands under.
struct Table<'a> {
    key: &'static str,
    fields: &'a Map<String, Value>,
}

/// Reads theta and scaling from either layout of `config.json`.
pub(super) fn read_rope(file: &File) -> Result<(f64, Option<RopeScaling>), ConfigError> {
    let scaling = Table::read(SCALING, &file.rope_scaling)?;
    let parameters = Table::read(PARAMETERS, &file.rope_parameters)?;
    let mut theta = file.rope_theta;
    let mut found = Vec::new();
    for table in [scaling, parameters].into_iter().flatten() {
        theta = table.number("rope_theta")?.or(theta);
        if let Some(scaling) = table.scaling(file.max_position_embeddings)? {
            found.push(scaling);
        }
    }
    if let [one, other] = &found[..]
        && one != other
    {
        return refuse(SCALING, &file.rope_scaling, "`rope_parameters` has another scaling: remove one of them");
    }
    Ok((theta.unwrap_or(10_000.0), found.pop()))
}

impl<'a> Table<'a> {
    fn read(key: &'static str, value: &'a Value) -> Result<Option<Self>, ConfigError> {
        let fields = match value {
            Value::Null => return Ok(None),
            Value::Object(fields) => fields,
            _ => return refuse(key, value, "it must be an object or null"),
        };
        // One table for each type of layers: this model has layers of one type only.
        match fields.get("full_attention") {
            Some(Value::Object(fields)) => Ok(Some(Self { key, fields })),
            _ if fields.values().any(Value::is_object) => {
                refuse(key, value, "only `full_attention` is supported in it")
            }
            _ => Ok(Some(Self { key, fields })),
        }
    }

    fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.key)
    }

    fn number(&self, name: &str) -> Result<Option<f64>, ConfigError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => refuse(&self.path(name), value, "it must be a number"),
            },
        }
    }

    /// Reads a number that must be there and at least `least`.
    fn required(&self, name: &str, least: f64) -> Result<f64, ConfigError> {
        match self.number(name)? {
            Some(number) if number >= least => Ok(number),
            Some(number) => refuse(&self.path(name), number, format!("it must be at least {least}")),
            None => refuse(&self.path(name), "missing", "this type of scaling needs it"),
        }
    }

    /// Reads the type, which older files call `type`.
    fn rope_type(&self) -> Result<&'a str, ConfigError> {
        let mut types = Vec::new();
        for name in ["rope_type", "type"] {
            match self.fields.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(kind)) => types.push(kind.as_str()),
                Some(other) => return refuse(&self.path(name), other, "it must be a text"),
            }
        }
        match types[..] {
            [] if self.fields.contains_key("factor") => refuse(&self.path("rope_type"), "missing", TYPES),
            [] => Ok("default"),
            [one, other] if one != other => refuse(&self.path("type"), other, format!("`rope_type` is {one}")),
            [one, ..] => Ok(one),
        }
    }

    fn scaling(&self, max_position_embeddings: usize) -> Result<Option<RopeScaling>, ConfigError> {
        if let Some(part) = self.number("partial_rotary_factor")?.filter(|part| *part != 1.0) {
            return refuse(&self.path("partial_rotary_factor"), part, "only 1 is supported");
        }
        let original = "original_max_position_embeddings";
        match self.rope_type()? {
            "default" => Ok(None),
            "linear" => Ok(Some(RopeScaling::Linear { factor: self.required("factor", 1.0)? })),
            "yarn" => self.yarn(max_position_embeddings as f64).map(Some),
            "llama3" => {
                let low_freq_factor = self.required("low_freq_factor", f64::MIN_POSITIVE)?;
                let high_freq_factor = self.required("high_freq_factor", 0.0)?;
                if high_freq_factor <= low_freq_factor {
                    let rule = format!("it must be above `low_freq_factor`, which is {low_freq_factor}");
                    return refuse(&self.path("high_freq_factor"), high_freq_factor, rule);
                }
                Ok(Some(RopeScaling::Llama3 {
                    factor: self.required("factor", 1.0)?,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings: self.required(original, 1.0)?,
                }))
            }
            kind => {
                let name = if self.fields.contains_key("rope_type") { "rope_type" } else { "type" };
                refuse(&self.path(name), kind, TYPES)
            }
        }
    }

    fn yarn(&self, max_position_embeddings: f64) -> Result<RopeScaling, ConfigError> {
        let original = match self.number("original_max_position_embeddings")? {
            None => max_position_embeddings,
            Some(_) => self.required("original_max_position_embeddings", 1.0)?,
        };
        let factor = match self.number("factor")? {
            None if original < max_position_embeddings => max_position_embeddings / original,
            _ => self.required("factor", 1.0)?,
        };
        // Zero stands for the default, as in transformers.
        let or = |name: &str, default: f64| -> Result<f64, ConfigError> {
            Ok(self.number(name)?.filter(|number| *number != 0.0).unwrap_or(default))
        };
        let (beta_fast, beta_slow) = (or("beta_fast", 32.0)?, or("beta_slow", 1.0)?);
        if !(beta_slow > 0.0 && beta_fast > 0.0) {
            return refuse(&self.path("beta_fast"), beta_fast, "it and `beta_slow` must be positive");
        }
        let mscale = |scale: f64| 0.1 * scale * factor.ln() + 1.0;
        let attention_factor = match (self.number("attention_factor")?, or("mscale", 0.0)?, or("mscale_all_dim", 0.0)?)
        {
            (Some(given), ..) => given,
            (None, scale, all) if scale != 0.0 && all != 0.0 => mscale(scale) / mscale(all),
            _ => mscale(1.0),
        };
        let truncate = match self.fields.get("truncate") {
            None => true,
            Some(Value::Bool(truncate)) => *truncate,
            Some(other) => return refuse(&self.path("truncate"), other, "it must be true or false"),
        };
        let original_max_position_embeddings = original;
        Ok(RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            beta_fast,
            beta_slow,
            attention_factor,
            truncate,
        })
    }
}

impl RopeScaling {
    /// Returns the context that the scaling is made for, in tokens, where that is known: YaRN is
    /// turned on by its own key, beside the context of the plain model.
    pub(super) fn context(&self) -> usize {
        match self {
            Self::Yarn { factor, original_max_position_embeddings, .. } => {
                (factor * original_max_position_embeddings).min(f64::from(1 << 30)) as usize
            }
            Self::Linear { .. } | Self::Llama3 { .. } | Self::Factors { .. } => 0,
        }
    }

    /// Writes the scaling as `rope_scaling` of `config.json`. Hugging Face has no type for bare
    /// factors.
    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            Self::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                attention_factor,
                truncate,
            } => json!({
                "rope_type": "yarn", "factor": factor,
                "original_max_position_embeddings": original_max_position_embeddings,
                "beta_fast": beta_fast, "beta_slow": beta_slow,
                "attention_factor": attention_factor, "truncate": truncate,
            }),
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => json!({
                "rope_type": "llama3", "factor": factor,
                "low_freq_factor": low_freq_factor, "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_max_position_embeddings,
            }),
            Self::Factors { factors } => json!({"rope_type": "factors", "factors": factors}),
        }
    }

    /// Returns the inverse frequencies of heads of size `d`, d / 2 of them.
    fn inverse_frequencies(&self, d: usize, theta: f64) -> Vec<f32> {
        let periods = rotary_periods(d, theta);
        match *self {
            Self::Factors { ref factors } => {
                assert_eq!(factors.len(), d / 2, "one factor for each frequency");
                periods.zip(factors).map(|(period, factor)| 1.0 / period / factor).collect()
            }
            Self::Linear { factor } => periods.map(|period| 1.0 / period / factor as f32).collect(),
            Self::Yarn { factor, original_max_position_embeddings, beta_fast, beta_slow, truncate, .. } => {
                // The pair of numbers that makes so many rotations in the original context.
                let pair = |rotations: f64| {
                    d as f64 * (original_max_position_embeddings / (rotations * TAU)).ln() / (2.0 * theta.ln())
                };
                let (low, high) = (pair(beta_fast), pair(beta_slow));
                let (low, high) = if truncate { (low.floor(), high.ceil()) } else { (low, high) };
                let (low, high) = (low.max(0.0), high.min(d as f64 - 1.0));
                let high = if low == high { high + 0.001 } else { high };
                let scaled = |(i, period): (usize, f32)| {
                    let ramp = ((i as f32 - low as f32) / (high - low) as f32).clamp(0.0, 1.0);
                    let kept = 1.0 - ramp;
                    1.0 / (factor as f32 * period) * (1.0 - kept) + 1.0 / period * kept
                };
                periods.enumerate().map(scaled).collect()
            }
            Self::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                let (factor, low, high) = (factor as f32, low_freq_factor as f32, high_freq_factor as f32);
                let original = original_max_position_embeddings as f32;
                let scaled = |period: f32| {
                    let frequency = 1.0 / period;
                    let wavelength = TAU as f32 / frequency;
                    if wavelength > original / low {
                        return frequency / factor;
                    }
                    if wavelength < original / high {
                        return frequency;
                    }
                    let smooth = (original / wavelength - low) / (high - low);
                    (1.0 - smooth) * frequency / factor + smooth * frequency
                };
                periods.map(scaled).collect()
            }
        }
    }
}

impl Config {
    /// Makes the tables of cosines and sines.
    pub(crate) fn rotary(&self) -> Rotary {
        match &self.rope_scaling {
            None => Rotary::new(self.head_dim, self.rope_theta),
            Some(scaling) => {
                let attention_factor = match scaling {
                    RopeScaling::Yarn { attention_factor, .. } => *attention_factor as f32,
                    _ => 1.0,
                };
                Rotary::scaled(scaling.inverse_frequencies(self.head_dim, self.rope_theta), attention_factor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration with these keys in place of `rope_theta`.
    fn read(keys: &str) -> Result<Config, String> {
        let text = format!(
            r#"{{"model_type": "qwen3", "vocab_size": 768, "hidden_size": 256, "intermediate_size": 512,
            "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
            "max_position_embeddings": 4096, {keys}}}"#
        );
        Config::from_json(&text).map_err(|error| error.to_string())
    }

    fn scaling(keys: &str) -> Option<RopeScaling> {
        read(keys).unwrap().rope_scaling
    }

    #[test]
    fn both_layouts_say_the_same() {
        let one = read(
            r#""rope_theta": 5e6, "rope_scaling":
            {"type": "yarn", "factor": 4, "original_max_position_embeddings": 1024}"#,
        );
        let other = read(
            r#""rope_parameters": {"rope_theta": 5e6, "rope_type": "yarn",
            "factor": 4.0, "original_max_position_embeddings": 1024}"#,
        );
        let nested = read(
            r#""rope_parameters": {"full_attention": {"rope_theta": 5e6, "type": "yarn",
            "factor": 4.0, "original_max_position_embeddings": 1024}}"#,
        );
        assert_eq!(one.as_ref().unwrap().rope_theta, 5e6);
        assert_eq!(one, other);
        assert_eq!(one, nested);
        let config = one.unwrap();
        assert_eq!(Config::from_json(&serde_json::to_string(&config).unwrap()).unwrap(), config);
        let Some(RopeScaling::Yarn { attention_factor, .. }) = config.rope_scaling else { panic!() };
        assert!((attention_factor - 1.138_629_436).abs() < 1e-9);
    }

    #[test]
    fn a_default_is_no_scaling() {
        for keys in [
            r#""rope_scaling": null"#,
            r#""rope_scaling": {"rope_type": "default"}"#,
            r#""rope_scaling": {"type": "default"}"#,
            r#""rope_parameters": {"rope_theta": 10000.0}"#,
            r#""rope_parameters": {"full_attention": {"rope_type": "default"}}"#,
        ] {
            assert_eq!(scaling(keys), None, "{keys}");
        }
    }

    #[test]
    fn yarn_reaches_its_own_context_and_its_factor_can_follow_from_it() {
        let context = |keys: &str| read(keys).unwrap().max_position_embeddings;
        let yarn = |rest: &str| format!(r#""rope_scaling": {{"rope_type": "yarn", {rest}}}"#);
        assert_eq!(context(&yarn(r#""factor": 4.0, "original_max_position_embeddings": 4000"#)), 16_000);
        assert_eq!(context(&yarn(r#""factor": 4.0, "original_max_position_embeddings": 64"#)), 4096);
        let Some(RopeScaling::Yarn { factor, .. }) = scaling(&yarn(r#""original_max_position_embeddings": 1024"#))
        else {
            panic!()
        };
        assert_eq!(factor, 4.0);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (keys, expected) in [
            (
                r#""rope_scaling": {"rope_type": "longrope"}"#,
                "`rope_scaling.rope_type` is longrope; only `default`, `linear`, `yarn` and `llama3` are supported",
            ),
            (
                r#""rope_parameters": {"type": "dynamic", "factor": 2}"#,
                "`rope_parameters.type` is dynamic; only `default`, `linear`, `yarn` and `llama3` are supported",
            ),
            (
                r#""rope_scaling": {"factor": 2}"#,
                "`rope_scaling.rope_type` is missing; only `default`, `linear`, `yarn` and `llama3` are supported",
            ),
            (
                r#""rope_scaling": {"type": "linear", "rope_type": "yarn"}"#,
                "`rope_scaling.type` is linear; `rope_type` is yarn",
            ),
            (
                r#""rope_scaling": {"type": "linear"}"#,
                "`rope_scaling.factor` is missing; this type of scaling needs it",
            ),
            (
                r#""rope_scaling": {"type": "linear", "factor": 0.5}"#,
                "`rope_scaling.factor` is 0.5; it must be at least 1",
            ),
            (
                r#""rope_scaling": {"type": "linear", "factor": "2"}"#,
                "`rope_scaling.factor` is \"2\"; it must be a number",
            ),
            (
                r#""rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}"#,
                "`rope_scaling.high_freq_factor` is 4; it must be above `low_freq_factor`, which is 4",
            ),
            (r#""rope_scaling": "yarn""#, "`rope_scaling` is \"yarn\"; it must be an object or null"),
            (
                r#""rope_parameters": {"sliding_attention": {"rope_theta": 1e4}}"#,
                "`rope_parameters` is {\"sliding_attention\":{\"rope_theta\":10000.0}}; only \
                `full_attention` is supported in it",
            ),
            (
                r#""rope_parameters": {"partial_rotary_factor": 0.5}"#,
                "`rope_parameters.partial_rotary_factor` is 0.5; only 1 is supported",
            ),
            (r#""partial_rotary_factor": 0.5"#, "`partial_rotary_factor` is 0.5; only 1 is supported"),
            (
                r#""rope_scaling": {"type": "linear", "factor": 2},
                "rope_parameters": {"rope_type": "linear", "factor": 4}"#,
                "`rope_scaling` is {\"type\":\"linear\",\"factor\":2}; `rope_parameters` has another scaling: \
                remove one of them",
            ),
        ] {
            assert_eq!(read(keys).unwrap_err(), format!("config.json: {expected}"));
        }
    }

    /// What transformers makes of a configuration, as `tests/golden/make_rope.py` writes it.
    #[derive(serde::Deserialize)]
    struct Golden {
        frequencies: Vec<GoldenTable>,
    }

    #[derive(serde::Deserialize)]
    struct GoldenTable {
        name: String,
        config: Value,
        context: usize,
        head_dim: usize,
        inverse_frequencies: Vec<f32>,
        attention_factor: f64,
    }

    #[test]
    fn frequencies_are_those_of_transformers() {
        let golden = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/rope.json"));
        let golden: Golden = serde_json::from_str(golden).unwrap();
        assert!(golden.frequencies.len() >= 14);
        for table in golden.frequencies {
            let mut file = json!({"model_type": "qwen3", "vocab_size": 768, "hidden_size": 256,
                "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2,
                "head_dim": table.head_dim, "max_position_embeddings": table.context});
            file.as_object_mut().unwrap().extend(table.config.as_object().unwrap().clone());
            let config = Config::from_json(&file.to_string()).unwrap();
            assert_eq!(config.max_position_embeddings, table.context, "{}", table.name);
            let (ours, factor) = match &config.rope_scaling {
                None => (rotary_periods(table.head_dim, config.rope_theta).map(|period| 1.0 / period).collect(), 1.0),
                Some(scaling) => (
                    scaling.inverse_frequencies(table.head_dim, config.rope_theta),
                    match scaling {
                        RopeScaling::Yarn { attention_factor, .. } => *attention_factor,
                        _ => 1.0,
                    },
                ),
            };
            assert!((factor - table.attention_factor).abs() < 1e-12, "{}: {factor}", table.name);
            assert_eq!(ours.len(), table.inverse_frequencies.len());
            for (index, (ours, theirs)) in ours.iter().zip(&table.inverse_frequencies).enumerate() {
                // Two roundings of f32.
                let error = (ours - theirs).abs() / theirs;
                assert!(error < 2.5e-7, "{}: frequency {index} is {ours}, not {theirs}", table.name);
            }
        }
    }
}
