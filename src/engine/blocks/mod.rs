//! The bookkeeping of K/V blocks: who holds which block, and which blocks hold the keys and values
//! of a known prefix. Knows token ids and block numbers only; no tensors, no requests.

mod chain;
mod store;
mod tree;

pub(crate) use chain::chain_hashes;
pub(crate) use store::{BlockId, Blocks, PoolSize, Table};
