//! The number formats that weight matrices are kept in.

use std::fmt;

/// How the weights of a matrix are kept. Q8_0 and Q4_K are GGML's block formats: a row is cut into
/// blocks, each with a scale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// 32-bit floats.
    F32,
    /// 16-bit floats of IEEE 754.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// Blocks of 32: one f16 scale and 32 signed bytes.
    Q8_0,
    /// Blocks of 256: two f16 scales, eight pairs of 6-bit scales and minima, 256 half bytes.
    Q4K,
}

impl Format {
    /// Weights per block; a row is padded with zeros to whole blocks.
    pub fn block(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 => 32,
            Self::Q4K => 256,
        }
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4K => 144,
        }
    }

    /// Bytes of a row of `inputs` weights.
    pub fn row_bytes(self, inputs: usize) -> usize {
        inputs.div_ceil(self.block()) * self.block_bytes()
    }

    /// The one that keeps more of a weight; of the two 16-bit floats, each of which keeps what the
    /// other cannot, 32-bit floats.
    pub(crate) fn finer(self, other: Self) -> Self {
        if matches!((self, other), (Self::F16, Self::Bf16) | (Self::Bf16, Self::F16)) {
            return Self::F32;
        }
        let bytes_per_block = |format: Self| format.block_bytes() * 256 / format.block();
        if bytes_per_block(other) > bytes_per_block(self) { other } else { self }
    }

    /// The name, as `dtype` takes it.
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
