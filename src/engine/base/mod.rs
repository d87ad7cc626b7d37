//! Seeds, digests and bounds of options, which the engine and everything above it share. Knows
//! nothing of models.

mod bounds;
mod digest;
mod seed;

pub use bounds::{Bound, Bounded, Number, OutOfBounds, Rule};
pub use digest::{Digest, Hasher, digest_json};
pub use seed::{Seed, Stage};
