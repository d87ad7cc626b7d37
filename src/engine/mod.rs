//! The local engine: Qwen3 through candle, with continuous batching, a paged K/V pool and a prefix tree.
