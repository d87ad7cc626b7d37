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
    max_running: usize,
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
        let EngineOptions { block_tokens, max_running, .. } = *options;
        let context = config.max_position_embeddings;
        Ok(Self { weights, kv_bytes_per_token, pool_tokens, context, block_tokens, max_running })
    }

    /// Returns how many sequences of this many tokens run at once. Prefixes that they share are not
    /// taken into account.
    pub fn sequences(&self, tokens: usize) -> usize {
        let with_room = self.pool_tokens / tokens.max(1).next_multiple_of(self.block_tokens);
        with_room.min(self.max_running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_sequences_run_than_the_options_allow() {
        let options = EngineOptions { kv_tokens: Some(1000), max_running: 10, ..EngineOptions::default() };
        let source = ModelSource::parse("embedded:triage").unwrap();
        let room = Room::of(&source, &options, Dtype::Auto).unwrap();
        assert_eq!((room.pool_tokens, room.context), (1008, 1024), "in whole blocks of 16");
        assert_eq!([1, 100, 101, 1000, 1024].map(|tokens| room.sequences(tokens)), [10, 9, 9, 1, 0]);
    }
}
