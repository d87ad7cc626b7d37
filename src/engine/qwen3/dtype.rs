//! What the weights are kept in: the choice that users have.

use super::Config;
use crate::engine::kernels::Format;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a model's matrices are kept. Vectors (norms, biases) are always f32, and so are activations between operations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// As the file keeps them if memory allows, else in the finest format that fits.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// Upper halves of 32-bit floats.
    Bf16,
    /// Blocks of 32 signed bytes.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// Blocks of 256 half bytes; the token tables in Q8_0.
    #[serde(rename = "q4_k")]
    Q4K,
    /// 8-bit floats (e4m3) with one scale a row, the token tables in bf16; on NVIDIA's GPUs only.
    F8,
}

/// What `auto` tries when the file's own formats do not fit, finest first.
const COARSER: [(Dtype, Format); 2] = [(Dtype::Q8_0, Format::Q8_0), (Dtype::Q4K, Format::Q4K)];

/// The share of free memory that weights may take; the rest is for keys, values and everything else.
const WEIGHT_SHARE: f64 = 0.7;

impl Dtype {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Auto, Self::F32, Self::Bf16, Self::Q8_0, Self::Q4K, Self::F8];

    /// The name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
            Self::F8 => "f8",
        }
    }

    /// Decides what `auto` means for a model that the file keeps in `stored`, with `free` bytes of memory: itself when that fits.
    pub fn settle(self, config: &Config, stored: Format, free: Option<u64>) -> Self {
        let (Self::Auto, Some(free)) = (self, free) else { return self };
        let room = free as f64 * WEIGHT_SHARE;
        let size = |format: Format| config.parameters() as f64 / format.block() as f64 * format.block_bytes() as f64;
        if size(stored) <= room {
            return Self::Auto;
        }
        let mut coarser = COARSER.into_iter().filter(|(_, format)| format.finer(stored) == stored);
        let fits = coarser.clone().find(|(_, format)| size(*format) <= room);
        fits.or(coarser.next_back()).map_or(Self::Auto, |(dtype, _)| dtype)
    }

    /// The format that a matrix is read in which the file keeps in `stored`. (Rows are made into 8-bit floats when they are packed.)
    pub(super) fn format(self, stored: Format) -> Format {
        match self {
            Self::Auto => stored,
            Self::F32 => Format::F32,
            Self::Bf16 | Self::F8 => Format::Bf16,
            Self::Q8_0 => Format::Q8_0,
            Self::Q4K => Format::Q4K,
        }
    }

    /// The format of a token table, which loses less by 8 bits than the rest by 4.
    pub(super) fn table_format(self, stored: Format) -> Format {
        match self {
            Self::Auto => stored,
            other => other.format(stored).finer(Format::Q8_0),
        }
    }
}

/// A name that is none of the formats'.
#[derive(Debug, thiserror::Error)]
#[error("dtype `{0}` is not known: it is one of auto, f32, bf16, q8_0, q4_k, f8")]
pub struct UnknownDtype(String);

impl FromStr for Dtype {
    type Err = UnknownDtype;

    fn from_str(text: &str) -> Result<Self, UnknownDtype> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == text).ok_or_else(|| UnknownDtype(text.to_string()))
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::qwen3::testing::plain_config;

    #[test]
    fn names_are_read_as_they_are_written() {
        for dtype in Dtype::ALL {
            assert_eq!(dtype.to_string().parse::<Dtype>().unwrap(), dtype);
            assert_eq!(serde_json::to_string(&dtype).unwrap(), format!("\"{dtype}\""));
        }
        let error = "int8".parse::<Dtype>().unwrap_err().to_string();
        assert_eq!(error, "dtype `int8` is not known: it is one of auto, f32, bf16, q8_0, q4_k, f8");
    }

    #[test]
    fn auto_takes_the_finest_that_fits() {
        let config = plain_config();
        let weights = config.parameters() as u64;
        let settle = |free_per_weight: f64| {
            let free = (weights as f64 * free_per_weight) as u64;
            Dtype::Auto.settle(&config, Format::Bf16, Some(free)).name()
        };
        assert_eq!([3.0, 2.0, 1.0, 0.1].map(settle), ["auto", "q8_0", "q4_k", "q4_k"]);
        assert_eq!(Dtype::Auto.settle(&config, Format::Q4K, Some(0)), Dtype::Q4K);
        assert_eq!(Dtype::Auto.settle(&config, Format::F32, None), Dtype::Auto);
        assert_eq!(Dtype::F32.settle(&config, Format::F32, Some(0)), Dtype::F32);
    }
}
