//! The number formats that weight matrices are kept in.

use std::fmt;

/// The number format of a weight matrix. Q8_0 and Q4_K are GGML's block formats: a row is cut into
/// blocks, each with scales of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// 16-bit floats as in IEEE 754.
    F16,
    /// 16-bit floats that are the upper halves of 32-bit floats.
    Bf16,
    /// Blocks of 32 weights: one f16 scale and 32 int8 weights.
    Q8_0,
    /// Blocks of 256 weights: two f16 factors, eight pairs of a 6-bit scale and a 6-bit minimum,
    /// and 256 nibbles.
    Q4K,
}

impl Format {
    /// Returns the number of weights per block. A row is padded with zeros to whole blocks.
    pub fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 => 32,
            Self::Q4K => 256,
        }
    }

    /// Returns the bytes per block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
        }
    }

    /// Returns the bytes of a row of `inputs` weights.
    pub fn row_bytes(self, inputs: usize) -> usize {
        inputs.div_ceil(self.block()) * self.block_bytes()
    }

    /// Returns the format that keeps more of a weight. f16 and bf16 each keep what the other
    /// cannot, so for them it is f32.
    pub(crate) fn finer(self, other: Self) -> Self {
        if matches!((self, other), (Self::F16, Self::Bf16) | (Self::Bf16, Self::F16)) {
            return Self::F32;
        }
        let bytes_per_block = |format: Self| format.block_bytes() * 256 / format.block();
        if bytes_per_block(other) > bytes_per_block(self) { other } else { self }
    }

    /// Returns the name that `dtype` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4_k",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
