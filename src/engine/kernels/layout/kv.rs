//! How one layer's keys and values lie in memory, and in what numbers.

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

/// The numbers that keys and values are kept in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum KvFormat {
    /// 32-bit floats.
    F32,
    /// 16-bit floats; what is beyond their range becomes the largest of them.
    F16,
    /// Signed bytes from -127 to 127; every token has a scale for the key of each head and one for
    /// the value, a 127th of the largest number, in f32. What is beyond the range of 16-bit floats
    /// becomes the largest of them first.
    Int8,
}

impl KvFormat {
    /// Bytes of a number.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Int8 => 1,
        }
    }

    /// Bytes that the key of a head, or the value, has besides.
    pub(crate) fn scale_bytes(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Int8 => size_of::<f32>(),
        }
    }

    /// Bytes of the keys and values of one token in one layer.
    pub(crate) fn token_bytes(self, heads: Heads) -> usize {
        2 * heads.n_kv * (heads.d * self.bytes() + self.scale_bytes())
    }
}

/// How one layer's keys and values lie in memory. Keys: `[block, n_kv]`, each `[d, block_tokens]`
/// numbers, so that the scores of neighbouring keys are one vector, and then `[block_tokens]`
/// scales where there are some. Values: `[block, n_kv]`, each `[block_tokens, d_padded]` numbers,
/// so that the sum over keys is one, too, and then `[block_tokens]` scales.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KvShape {
    /// The model's heads.
    pub(crate) heads: Heads,
    /// Tokens per block; a multiple of 16 that divides 64.
    pub(crate) block_tokens: usize,
    /// What they are kept in.
    pub(crate) format: KvFormat,
}

impl KvShape {
    /// Head size rounded up to whole vectors of every kernel set.
    pub(crate) fn d_padded(&self) -> usize {
        self.heads.d.next_multiple_of(16)
    }

    /// Numbers of a block's keys of one head.
    pub(in crate::kernels) fn key_numbers(&self) -> usize {
        self.heads.d * self.block_tokens
    }

    /// Numbers of a block's values of one head.
    pub(in crate::kernels) fn value_numbers(&self) -> usize {
        self.block_tokens * self.d_padded()
    }

    /// Bytes of a block's keys of one head, a multiple of 4.
    pub(in crate::kernels) fn key_head_bytes(&self) -> usize {
        self.key_numbers() * self.format.bytes() + self.block_tokens * self.format.scale_bytes()
    }

    /// Bytes of a block's values of one head, a multiple of 4.
    pub(in crate::kernels) fn value_head_bytes(&self) -> usize {
        self.value_numbers() * self.format.bytes() + self.block_tokens * self.format.scale_bytes()
    }

    /// Where a block's keys of one head start, in bytes.
    pub(in crate::kernels) fn keys_at(&self, block: usize, kv_head: usize) -> usize {
        (block * self.heads.n_kv + kv_head) * self.key_head_bytes()
    }

    /// Where a block's values of one head start, in bytes.
    pub(in crate::kernels) fn values_at(&self, block: usize, kv_head: usize) -> usize {
        (block * self.heads.n_kv + kv_head) * self.value_head_bytes()
    }

    /// Room for `blocks` blocks, all zero.
    pub(crate) fn layer(&self, blocks: usize) -> KvLayer {
        let room = |head_bytes: usize| Buffer::zeros(blocks * self.heads.n_kv * head_bytes / size_of::<f32>());
        KvLayer { keys: room(self.key_head_bytes()), values: room(self.value_head_bytes()), blocks }
    }
}

/// One layer's keys and values, as [`KvShape`] says.
pub(crate) struct KvLayer {
    keys: Buffer,
    values: Buffer,
    blocks: usize,
}

impl KvLayer {
    /// How many blocks it has room for.
    pub(in crate::kernels) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Keys and values, for those who know the shape.
    pub(in crate::kernels) fn memory(&self) -> [*const u8; 2] {
        [&self.keys, &self.values].map(|buffer| buffer.as_bytes().as_ptr())
    }

    /// The same, to write.
    pub(in crate::kernels) fn memory_mut(&mut self) -> [&mut [f32]; 2] {
        [&mut self.keys, &mut self.values].map(Buffer::as_mut_slice)
    }
}
