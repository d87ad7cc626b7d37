//! The local engine: Qwen3 through candle, with continuous batching, a paged K/V pool and a prefix tree.
//!
//! Inside, each module imports only what stands above it in this list.

pub mod text;

pub mod kernels;
pub mod weights;

pub mod qwen3;
pub mod token_engine;
