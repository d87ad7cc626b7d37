//! What the host decides before it launches kernels: sizes of workspaces, how work is divided, how
//! weights are packed. None of it depends on what is in a batch, only on shapes and the device.

use super::args::Weights;

/// Memory that a product wants besides its operands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct LinearNeeds {
    pub(crate) workspace_bytes: usize,
    pub(crate) counters: usize,
}

/// Where packed rows go.
pub(crate) struct Packed<'a> {
    /// As many as [`KernelRules::packed_bytes`] says.
    pub(crate) bytes: &'a mut [u8],
    /// Those of e4m3 rows, one per packed row and up to the next multiple of 16; none of other
    /// formats.
    pub(crate) scales: &'a mut [f32],
}

/// The rules of one device's kernels. Sizes are in rows, numbers and keys; results in bytes where
/// the name says so.
pub(crate) trait KernelRules: Send + Sync {
    /// Parts of the inputs of a product that fill `multiprocessors`: of the matrix and the device
    /// only, never of the batch.
    fn linear_splits(&self, packing: Weights, inputs: usize, outputs: usize, multiprocessors: u32) -> u32;

    /// What a product of `rows` rows wants.
    fn linear_needs(&self, rows: usize, outputs: usize, splits: u32) -> LinearNeeds;

    /// The workspace of decode attention over up to `keys` keys.
    fn decode_attention_bytes(&self, rows: usize, n_q: usize, d: usize, keys: usize) -> usize;

    /// Blocks that share the keys of a row and head so that `multiprocessors` are filled; changes
    /// no bit of the result.
    fn decode_attention_spread(&self, rows: usize, n_kv: usize, keys: usize, multiprocessors: u32) -> u32;

    /// Tokens of a full tile of prefill attention.
    fn tile_tokens(&self, n_q: usize, n_kv: usize) -> usize;

    /// The workspace of the choice of tokens.
    fn argmax_bytes(&self, rows: usize) -> usize;

    /// The workspace of questions about `asked` rows of logits, the `top` largest ones among them.
    fn scores_bytes(&self, asked: usize, top: usize) -> usize;

    /// Bytes of a packed matrix; of two gated ones, `outputs` are those of both.
    fn packed_bytes(&self, packing: Weights, inputs: usize, outputs: usize) -> usize;

    /// Packs `rows` rows of `inputs` weights from GGUF's layout; with `up`, gate and up together.
    /// Rows from a multiple of 16 on (8 of gated ones) may be packed apart.
    ///
    /// # Errors
    /// A text for a format or shape that cannot be packed.
    fn pack(
        &self,
        packing: Weights,
        rows: usize,
        inputs: usize,
        from: &[u8],
        up: Option<&[u8]>,
        to: Packed<'_>,
    ) -> Result<(), String>;
}
