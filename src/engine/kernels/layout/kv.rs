//! The memory layout and the number formats of one layer's keys and values.

use super::matrix::Buffer;

/// The heads of an attention layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heads {
    /// Query heads.
    pub(crate) n_q: usize,
    /// Key/value heads.
    pub(crate) n_kv: usize,
    /// Head size.
    pub(crate) d: usize,
}

/// The number format of keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KvFormat {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; numbers beyond their range become the largest of them.
    F16,
    /// int8 from -127 to 127. Every token has one f32 scale for the key of each head and one for
    /// the value: the largest magnitude divided by 127. Numbers beyond the range of f16 become the
    /// largest f16 first.
    Int8,
}

impl KvFormat {
    /// Returns the bytes of one number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Int8 => 1,
        }
    }

    /// Returns the bytes of the scale that a head's key, or its value, has beside its numbers.
    pub(crate) fn scale_bytes(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Int8 => size_of::<f32>(),
        }
    }

    /// Returns the bytes of one token's keys and values in one layer.
    pub(crate) fn token_bytes(self, heads: Heads) -> usize {
        2 * heads.n_kv * (heads.d * self.bytes() + self.scale_bytes())
    }
}

/// The memory layout of one layer's keys and values.
///
/// Keys are `[block, n_kv]`, each `[d, block_tokens]` numbers, so that the scores of neighbouring
/// keys form a vector, followed by `[block_tokens]` scales if the format has any. Values are
/// `[block, n_kv]`, each `[block_tokens, d_padded]` numbers, so that the weighted sum over keys
/// forms a vector too, followed by `[block_tokens]` scales.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KvShape {
    /// The model's heads.
    pub(crate) heads: Heads,
    /// Tokens per block; a multiple of 16 that divides 64.
    pub(crate) block_tokens: usize,
    /// The number format.
    pub(crate) format: KvFormat,
}

impl KvShape {
    /// Returns the head size rounded up to whole vectors of every kernel set.
    pub(crate) fn d_padded(&self) -> usize {
        self.heads.d.next_multiple_of(16)
    }

    /// Returns the count of numbers in one head's keys of a block.
    pub(in crate::kernels) fn key_numbers(&self) -> usize {
        self.heads.d * self.block_tokens
    }

    /// Returns the count of numbers in one head's values of a block.
    pub(in crate::kernels) fn value_numbers(&self) -> usize {
        self.block_tokens * self.d_padded()
    }

    /// Returns the bytes of one head's keys of a block, a multiple of 4.
    pub(in crate::kernels) fn key_head_bytes(&self) -> usize {
        self.key_numbers() * self.format.bytes() + self.block_tokens * self.format.scale_bytes()
    }

    /// Returns the bytes of one head's values of a block, a multiple of 4.
    pub(in crate::kernels) fn value_head_bytes(&self) -> usize {
        self.value_numbers() * self.format.bytes() + self.block_tokens * self.format.scale_bytes()
    }

    /// Returns the byte offset of one head's keys of a block.
    pub(in crate::kernels) fn keys_at(&self, block: usize, kv_head: usize) -> usize {
        (block * self.heads.n_kv + kv_head) * self.key_head_bytes()
    }

    /// Returns the byte offset of one head's values of a block.
    pub(in crate::kernels) fn values_at(&self, block: usize, kv_head: usize) -> usize {
        (block * self.heads.n_kv + kv_head) * self.value_head_bytes()
    }

    /// Creates memory for `blocks` blocks, all zero.
    pub(crate) fn layer(&self, blocks: usize) -> KvLayer {
        let room = |head_bytes: usize| Buffer::zeros(blocks * self.heads.n_kv * head_bytes / size_of::<f32>());
        KvLayer { keys: room(self.key_head_bytes()), values: room(self.value_head_bytes()), blocks }
    }
}

/// One layer's keys and values, laid out as [`KvShape`] says.
pub(crate) struct KvLayer {
    keys: Buffer,
    values: Buffer,
    blocks: usize,
}

impl KvLayer {
    /// Returns the number of blocks.
    pub(in crate::kernels) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Returns pointers to the keys and to the values.
    pub(in crate::kernels) fn memory(&self) -> [*const u8; 2] {
        [&self.keys, &self.values].map(|buffer| buffer.as_bytes().as_ptr())
    }

    /// Returns the memory of the keys and of the values, to be written.
    pub(in crate::kernels) fn memory_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.keys, &mut self.values].map(Buffer::as_mut_slice)
    }
}
