//! What keys and values are kept in: the choice that users have.

use super::{Config, Dtype};
use crate::kernels::{Format, Heads, KvFormat};
use crate::weights::TensorSource;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the keys and values of a context are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KvDtype {
    /// In floats: 32 bits if the weights that make them are kept so (and on the CPU), else 16.
    #[default]
    Auto,
    /// In signed bytes with one scale per token and head: about half the memory of 16-bit floats,
    /// and other bits. On the CPU only.
    Int8,
}

impl KvDtype {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Auto, Self::Int8];

    /// The name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Int8 => "int8",
        }
    }

    /// Returns what `auto` means on the CPU beside the weights of `source` that are kept in
    /// `dtype`.
    pub(super) fn floats(source: &dyn TensorSource, dtype: Dtype) -> KvFormat {
        let stored = source.stored_format("model.layers.0.self_attn.k_proj.weight");
        if dtype.format(stored) == Format::F32 { KvFormat::F32 } else { KvFormat::F16 }
    }

    /// Returns what the keys and values of one token take on the CPU, in bytes over all layers.
    pub(crate) fn bytes_per_token(self, config: &Config, source: &dyn TensorSource, dtype: Dtype) -> usize {
        let Config { num_attention_heads: n_q, num_key_value_heads: n_kv, head_dim: d, .. } = *config;
        config.num_hidden_layers * self.format(Self::floats(source, dtype)).token_bytes(Heads { n_q, n_kv, d })
    }

    /// The format on the CPU, where `floats` are what `auto` means.
    pub(super) fn format(self, floats: KvFormat) -> KvFormat {
        match self {
            Self::Auto => floats,
            Self::Int8 => KvFormat::Int8,
        }
    }
}

/// A name that is neither's.
#[derive(Debug, thiserror::Error)]
#[error("kv_dtype `{0}` is not known: it is one of auto, int8")]
pub struct UnknownKvDtype(String);

impl FromStr for KvDtype {
    type Err = UnknownKvDtype;

    fn from_str(text: &str) -> Result<Self, UnknownKvDtype> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == text).ok_or_else(|| UnknownKvDtype(text.to_string()))
    }
}

impl fmt::Display for KvDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for dtype in KvDtype::ALL {
            assert_eq!(dtype.to_string().parse::<KvDtype>().unwrap(), dtype);
            assert_eq!(serde_json::to_string(&dtype).unwrap(), format!("\"{dtype}\""));
        }
        let error = "q8_0".parse::<KvDtype>().unwrap_err().to_string();
        assert_eq!(error, "kv_dtype `q8_0` is not known: it is one of auto, int8");
    }
}
