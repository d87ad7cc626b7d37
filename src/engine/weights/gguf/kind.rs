//! The number formats of GGUF tensors: how many numbers a block has, and how many bytes.

use crate::kernels::Format;

/// The formats that can be read, as messages name them.
pub(super) const READABLE: &str = "F32, F16, BF16, Q8_0, Q4_K and Q6_K";

/// Names of formats that cannot be read, by their number.
const OTHERS: &[(u32, &str)] = &[
    (2, "Q4_0"),
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (13, "Q5_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

/// A number format that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4K,
    Q6K,
}

impl Kind {
    /// By its number in the file.
    ///
    /// # Errors
    /// The name of a format that cannot be read.
    pub(super) fn from_id(id: u32) -> Result<Self, String> {
        match id {
            0 => Ok(Self::F32),
            1 => Ok(Self::F16),
            8 => Ok(Self::Q8_0),
            12 => Ok(Self::Q4K),
            14 => Ok(Self::Q6K),
            30 => Ok(Self::Bf16),
            _ => {
                Err(OTHERS.iter().find(|other| other.0 == id).map_or(format!("type {id}"), |other| other.1.to_string()))
            }
        }
    }

    /// Numbers per block.
    pub(super) fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 => 32,
            Self::Q4K | Self::Q6K => 256,
        }
    }

    /// Bytes per block.
    pub(super) fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
            Self::Q6K => 210,
        }
    }

    /// The format of the kernels that keeps all of it, or, where there is none, the next better one
    /// that is not far larger: Q6_K has 64 steps where Q8_0 has 255, for blocks of 16 and of 32.
    pub(super) fn format(self) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::F16 => Format::F16,
            Self::Bf16 => Format::Bf16,
            Self::Q8_0 | Self::Q6K => Format::Q8_0,
            Self::Q4K => Format::Q4K,
        }
    }

    /// The format of the kernels whose bytes these are.
    pub(super) fn same_bytes(self) -> Option<Format> {
        match self {
            Self::F32 => Some(Format::F32),
            Self::F16 => Some(Format::F16),
            Self::Bf16 => Some(Format::Bf16),
            Self::Q8_0 => Some(Format::Q8_0),
            Self::Q4K => Some(Format::Q4K),
            Self::Q6K => None,
        }
    }
}
