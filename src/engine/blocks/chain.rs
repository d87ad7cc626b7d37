//! Hashes of whole-block prefixes. They only delay or order work: whether two sequences share a
//! block is decided by comparing tokens.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Returns one hash per whole block of `tokens`; entry `i` covers the tokens of blocks `0..=i`. The
/// hashes are equal on every machine and in every run.
pub(crate) fn chain_hashes(tokens: &[u32], block_tokens: usize) -> Vec<u64> {
    let mut before = 0u64;
    let chunks = tokens.chunks_exact(block_tokens);
    chunks
        .map(|chunk| {
            let mut hasher = DefaultHasher::new();
            (before, chunk).hash(&mut hasher);
            before = hasher.finish();
            before
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_covers_everything_before_it() {
        let (a, b) = (chain_hashes(&[1, 2, 3, 4, 5], 2), chain_hashes(&[9, 2, 3, 4], 2));
        assert_eq!((a.len(), b.len()), (2, 2));
        assert_ne!(a[1], b[1]);
        assert_eq!(a, chain_hashes(&[1, 2, 3, 4], 2));
    }
}
