//! Seeds and digests, which the engine and everything above it share. Knows nothing of models.

mod digest;
mod seed;

pub use digest::{Digest, Hasher, digest_json};
pub use seed::{Seed, Stage};
