//! What the weights are kept in: the choice that users have.

use crate::kernels::Format;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How a model's matrices are kept. Vectors (norms, biases) are always f32, and so are activations
/// between operations.
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
const COARSER: [Dtype; 2] = [Dtype::Q8_0, Dtype::Q4K];

/// The share of free memory that weights may take; the rest is for keys, values and everything
/// else.
const WEIGHT_SHARE: f64 = 0.7;

/// What the weights are to be kept in, and what that takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResolvedDtype {
    /// What was asked for.
    pub asked: Dtype,
    /// What became of it; `auto` means: as in the file.
    pub dtype: Dtype,
    /// Bytes of the packed matrices.
    pub bytes: u64,
    /// The same if they are kept as in the file.
    pub stored_bytes: u64,
    /// Bytes of memory that are free, where that is known.
    pub free: Option<u64>,
}

impl ResolvedDtype {
    /// Whether the weights have room: of what is free, those that `auto` chose for may take a share
    /// only.
    pub fn fits(&self) -> bool {
        let share = if self.asked == Dtype::Auto { WEIGHT_SHARE } else { 1.0 };
        self.free.is_none_or(|free| self.bytes as f64 <= free as f64 * share)
    }
}

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

    /// Decides what `auto` means for a model whose packed matrices take `bytes` of each choice,
    /// with `free` bytes of memory: itself when that fits, else the finest that does, else the
    /// smallest.
    pub fn resolve(self, bytes: impl Fn(Self) -> u64, free: Option<u64>) -> ResolvedDtype {
        let stored_bytes = bytes(Self::Auto);
        let of = |dtype: Self| ResolvedDtype { asked: self, dtype, bytes: bytes(dtype), stored_bytes, free };
        if self != Self::Auto || of(self).fits() {
            return of(self);
        }
        let mut coarser = COARSER.into_iter().map(of).filter(|resolved| resolved.bytes < stored_bytes);
        let fits = coarser.clone().find(ResolvedDtype::fits);
        fits.or(coarser.next_back()).unwrap_or(of(self))
    }

    /// The format that a matrix is read in which the file keeps in `stored`. (Rows are made into
    /// 8-bit floats when they are packed.)
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
        // Of 100 weights: as in the file, in 8 bits, in 4.
        let bytes = |stored: u64| {
            move |dtype: Dtype| match dtype {
                Dtype::Q8_0 => 106,
                Dtype::Q4K => 60,
                Dtype::F32 => 400,
                _ => stored,
            }
        };
        let resolve = |stored, free| Dtype::Auto.resolve(bytes(stored), Some(free));
        let found = |stored, free| (resolve(stored, free).dtype.name(), resolve(stored, free).fits());
        let expected = [("auto", true), ("q8_0", true), ("q4_k", true), ("q4_k", false)];
        assert_eq!([300, 280, 120, 80].map(|free| found(200, free)), expected);
        assert_eq!(found(58, 10), ("auto", false), "what is smaller than all choices stays");
        assert_eq!(found(100, 100), ("q4_k", true));
        assert!(Dtype::Auto.resolve(bytes(200), None).fits());
        let asked = |free| Dtype::F32.resolve(bytes(200), Some(free));
        assert_eq!((asked(399).dtype, asked(399).fits(), asked(400).fits()), (Dtype::F32, false, true));
    }
}
