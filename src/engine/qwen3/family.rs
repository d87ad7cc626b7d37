//! The families of dense decoders: what their configuration files mean where they leave something
//! out. Which tensors a layer has is in [`tensors`](super::tensors); nothing else tells families
//! apart.

use super::ConfigError;
use super::tensors::{LLAMA, LayerTensors, QWEN2, QWEN3};
use serde::Deserialize;

/// A family of dense decoders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// Qwen3: RMSNorm of every query and key head.
    Qwen3,
    /// Qwen2 and Qwen2.5: biases of queries, keys and values.
    Qwen2,
    /// Llama, and models of its layout such as SmolLM2.
    Llama,
    /// Mistral: Llama's layers; earlier ones have a sliding window.
    Mistral,
}

/// Which layers see a window of the context only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Windows {
    /// None.
    Never,
    /// All layers where the configuration gives a window.
    Given,
    /// Later layers where the configuration turns windows on.
    TurnedOn,
}

/// Whether attention has biases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Biases {
    /// As the key `attention_bias` says.
    Configured,
    /// Always, without a key.
    Always,
    /// Never, without a key.
    Never,
}

/// What tells a family apart.
pub(super) struct FamilyRules {
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// `general.architecture` in GGUF files.
    pub(super) gguf: &'static str,
    /// The tensors of a layer.
    pub(super) layer: &'static LayerTensors,
    pub(super) biases: Biases,
    pub(super) windows: Windows,
    /// The head size where the configuration gives none; the width of the model divided by its
    /// heads where this is `None`.
    pub(super) head_dim: Option<usize>,
    /// Whether the configuration may leave out `num_key_value_heads`, which is then the number of
    /// heads.
    pub(super) may_omit_kv_heads: bool,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Qwen3, Self::Qwen2, Self::Llama, Self::Mistral];

    /// Returns what tells the family apart.
    pub(super) fn rules(self) -> FamilyRules {
        let llama = FamilyRules {
            model_type: "llama",
            gguf: "llama",
            layer: &LLAMA,
            biases: Biases::Configured,
            windows: Windows::Never,
            head_dim: None,
            may_omit_kv_heads: true,
        };
        match self {
            Self::Qwen3 => FamilyRules {
                model_type: "qwen3",
                gguf: "qwen3",
                layer: &QWEN3,
                biases: Biases::Configured,
                windows: Windows::TurnedOn,
                head_dim: Some(128),
                may_omit_kv_heads: false,
            },
            Self::Qwen2 => FamilyRules {
                model_type: "qwen2",
                gguf: "qwen2",
                layer: &QWEN2,
                biases: Biases::Always,
                windows: Windows::TurnedOn,
                head_dim: None,
                may_omit_kv_heads: false,
            },
            Self::Llama => llama,
            Self::Mistral => FamilyRules {
                model_type: "mistral",
                biases: Biases::Never,
                windows: Windows::Given,
                may_omit_kv_heads: false,
                ..llama
            },
        }
    }

    /// Returns the name, as `model_type` in `config.json` has it.
    pub fn name(self) -> &'static str {
        self.rules().model_type
    }

    /// Returns the family of that `model_type`.
    pub(super) fn named(model_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == model_type)
    }

    /// Returns the family of that `general.architecture`; the files of Mistral models call
    /// themselves `llama`.
    pub(super) fn of_gguf(architecture: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.rules().gguf == architecture)
    }
}

/// Whether a `model_type` or `general.architecture` is that of a mixture of experts.
fn is_mixture(name: &str) -> bool {
    const NAMES: &[&str] =
        &["mixtral", "deepseek_v2", "deepseek_v3", "deepseek2", "gpt_oss", "gpt-oss", "llama4", "dbrx"];
    NAMES.contains(&name) || name.contains("moe") || name == "qwen3_next"
}

/// What says whose file it is, read before anything else: other architectures lack keys.
#[derive(Deserialize)]
pub(super) struct Head {
    pub(super) model_type: Option<String>,
    #[serde(default)]
    num_experts: Option<u64>,
    #[serde(default)]
    num_local_experts: Option<u64>,
}

impl Head {
    /// Returns a head of which nothing is known.
    pub(super) const EMPTY: Self = Self { model_type: None, num_experts: None, num_local_experts: None };

    /// Returns the family that `found` under `key` names, of GGUF files if `key` is theirs.
    pub(super) fn family(&self, file: &str, key: &'static str, found: &str) -> Result<Family, ConfigError> {
        let (file, found) = (file.to_string(), found.to_string());
        if is_mixture(&found) {
            return Err(ConfigError::Experts { file, key, found });
        }
        for (key, experts) in [("num_experts", self.num_experts), ("num_local_experts", self.num_local_experts)] {
            if let Some(experts) = experts.filter(|experts| *experts > 1) {
                return Err(ConfigError::Experts { file, key, found: experts.to_string() });
            }
        }
        let family = if key == "model_type" { Family::named(&found) } else { Family::of_gguf(&found) };
        family.ok_or(ConfigError::Architecture { file, key, found })
    }
}
