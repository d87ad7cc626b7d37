//! The number formats of GGUF tensors: how many numbers a block has, and how many bytes.

use crate::kernels::Format;

/// The formats that can be read, as messages name them.
pub(super) const READABLE: &str = "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K, IQ4_NL and IQ4_XS";

/// Names of formats that cannot be read, by their number.
const OTHERS: &[(u32, &str)] = &[
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
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
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Kind {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
}

/// What is known of a format.
struct Facts {
    /// Its number in the file.
    id: u32,
    name: &'static str,
    /// Numbers per block.
    block: usize,
    /// Bytes per block.
    bytes: usize,
    /// Where in a block the f16 factors are that scale its numbers.
    factors: &'static [usize],
}

impl Kind {
    /// All of them.
    pub(super) const ALL: [Self; 15] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
    ];

    const fn facts(self) -> Facts {
        const fn of(id: u32, name: &'static str, block: usize, bytes: usize, factors: &'static [usize]) -> Facts {
            Facts { id, name, block, bytes, factors }
        }
        match self {
            Self::F32 => of(0, "F32", 1, 4, &[]),
            Self::F16 => of(1, "F16", 1, 2, &[0]),
            Self::Bf16 => of(30, "BF16", 1, 2, &[]),
            Self::Q8_0 => of(8, "Q8_0", 32, 34, &[0]),
            Self::Q4_0 => of(2, "Q4_0", 32, 18, &[0]),
            Self::Q4_1 => of(3, "Q4_1", 32, 20, &[0, 2]),
            Self::Q5_0 => of(6, "Q5_0", 32, 22, &[0]),
            Self::Q5_1 => of(7, "Q5_1", 32, 24, &[0, 2]),
            Self::Q2K => of(10, "Q2_K", 256, 84, &[80, 82]),
            Self::Q3K => of(11, "Q3_K", 256, 110, &[108]),
            Self::Q4K => of(12, "Q4_K", 256, 144, &[0, 2]),
            Self::Q5K => of(13, "Q5_K", 256, 176, &[0, 2]),
            Self::Q6K => of(14, "Q6_K", 256, 210, &[208]),
            Self::Iq4Nl => of(20, "IQ4_NL", 32, 18, &[0]),
            Self::Iq4Xs => of(23, "IQ4_XS", 256, 136, &[0]),
        }
    }

    /// Finds a format by its number in the file.
    ///
    /// # Errors
    /// The name of a format that cannot be read.
    pub(super) fn from_id(id: u32) -> Result<Self, String> {
        let unreadable = || OTHERS.iter().find(|other| other.0 == id).map(|other| other.1.to_string());
        let found = Self::ALL.into_iter().find(|kind| kind.facts().id == id);
        found.ok_or_else(|| unreadable().unwrap_or(format!("type {id}")))
    }

    /// Returns the format's name.
    pub(super) fn name(self) -> &'static str {
        self.facts().name
    }

    /// Returns the numbers per block.
    pub(super) fn block(self) -> usize {
        self.facts().block
    }

    /// Returns the bytes per block.
    pub(super) fn block_bytes(self) -> usize {
        self.facts().bytes
    }

    /// Returns where in a block the f16 factors are that scale its numbers.
    pub(super) fn factors(self) -> &'static [usize] {
        self.facts().factors
    }

    /// Returns the format of the kernels that keeps all of it, or, where there is none, Q8_0: 255
    /// steps for blocks of 32, where the others have at most 64.
    pub(super) fn format(self) -> Format {
        self.same_bytes().unwrap_or(Format::Q8_0)
    }

    /// Whether it has no kernels and blocks of 32 numbers.
    pub(super) fn is_small_block(self) -> bool {
        self.block() == 32 && self.same_bytes().is_none()
    }

    /// Returns the format of the kernels whose bytes these are.
    pub(super) fn same_bytes(self) -> Option<Format> {
        match self {
            Self::F32 => Some(Format::F32),
            Self::F16 => Some(Format::F16),
            Self::Bf16 => Some(Format::Bf16),
            Self::Q8_0 => Some(Format::Q8_0),
            Self::Q4K => Some(Format::Q4K),
            _ => None,
        }
    }
}
