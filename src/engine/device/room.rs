//! How much context fits into the CPU's memory beside a model's weights, before they are loaded.

use super::OpenError;
use super::cpu::CpuPlacement;
use super::placement::Placement;
use crate::files::{ModelSource, open_files, read_config};
use crate::qwen3::{Dtype, ResolvedDtype};
use crate::token_engine::EngineOptions;

/// What a model takes of the CPU's memory, and what is left for keys and values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// The number format of the weight matrices, and the memory that they take.
    pub weights: ResolvedDtype,
    /// The keys and values of one token, in bytes over all layers.
    pub kv_bytes_per_token: usize,
    /// The tokens whose keys and values have room, over all sequences.
    pub pool_tokens: usize,
    /// The longest sequence that the model can read, in tokens.
    pub context: usize,
    block_tokens: usize,
}

impl Room {
    /// Reads what the model's files say of its size. Nothing is loaded.
    ///
    /// # Errors
    /// The files are not sound, or an option is out of its bounds.
    pub fn of(source: &ModelSource, options: &EngineOptions, dtype: Dtype) -> Result<Self, OpenError> {
        options.check()?;
        let mut files = open_files(source)?;
        let (config, _) = read_config(&mut *files)?;
        let placement = CpuPlacement::new(options, None)?;
        let source = files.weights()?;
        let weights = placement.resolve(dtype, &config, source)?;
        let kv_bytes_per_token = options.kv_dtype.bytes_per_token(&config, source, weights.dtype);
        let free = weights.free.map(|free| free.saturating_sub(weights.bytes));
        let pool_tokens = options.pool(&config, kv_bytes_per_token, free).total * options.block_tokens;
        let (context, block_tokens) = (config.max_position_embeddings, options.block_tokens);
        Ok(Self { weights, kv_bytes_per_token, pool_tokens, context, block_tokens })
    }

    /// Returns how many sequences of this many tokens run at once. Prefixes that they share are not
    /// taken into account.
    pub fn sequences(&self, tokens: usize) -> usize {
        self.pool_tokens / tokens.max(1).next_multiple_of(self.block_tokens)
    }
}
